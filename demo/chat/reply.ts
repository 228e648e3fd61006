// How a reply looks: its growing text, its figures, what can be done with it.

import type { GenerationResult, GenerationStats } from "../../src/index.ts";
import { button, make } from "../shared/dom.ts";
import { count, rate, seconds } from "../shared/numbers.ts";
import { thoughtsView, withoutThought } from "../shared/thoughts.ts";
import { markdownView } from "./markdown.ts";
import { forkButton, versionArrows, type Versions } from "./messagetools.ts";
import { type Reading, readingView } from "./reading.ts";
import type { KeptTurn } from "./thread.ts";

/** What can be done with a finished reply. */
export interface ReplyTools {
  versions: Versions;
  onFork: () => unknown;
  /** Null: not without a model. */
  onRegenerate: (() => unknown) | null;
  /** Null: it came to its end. */
  onContinue: (() => unknown) | null;
}

export interface Reply {
  readonly element: HTMLElement;
  /** The prompt ends within a thought, which the reply goes on with. */
  thinks(): void;
  /** Prompt tokens processed; `reused` of them were in the cache. */
  reading(done: number, total: number, reused: number): void;
  /** All that was written so far. */
  writing(text: string, tokens: number): void;
  /** `looped`: it was stopped because it went round in circles. */
  done(result: GenerationResult, looped: boolean): void;
  /** A reply that is there already. */
  restore(turn: KeptTurn): void;
  offer(tools: ReplyTools): void;
  /** Shows below what it read. */
  read(reading: Reading): void;
  /** The conversation has continued: the reply cannot, and what it read is folded. */
  settle(): void;
}

/** `before`: the reply that is gone on with. Space is reserved for everything that will appear in it, so that nothing jumps. */
export function reply(speaker: string, { content: before = "", thinks = false }: Partial<KeptTurn> = {}): Reply {
  const body = make("div", { className: "body" });
  const figures = make("p", { className: "figures", textContent: "Starting" });
  const fill = make("i");
  const progress = make(
    "div",
    { className: "reading", attributes: { role: "progressbar", "aria-label": "Reading the prompt" } },
    fill,
  );
  const tools = make("div", { className: "tools" });
  const foot = make("footer", {}, figures, tools);
  const heading = make("h2", { className: "speaker", textContent: speaker });
  const element = make("article", { className: "message model busy" }, heading, body, progress, foot);
  const showAnswer = markdownView(body);
  const thoughts = thoughtsView(body);
  let begun = thinks;
  const show = (whole: string): void => {
    const { thought, answer } = withoutThought(whole, begun);
    thoughts(thought);
    showAnswer(answer);
  };
  const started = performance.now();
  let firstToken = 0;
  let text = before;
  if (before) show(before);
  const end = (whole: string, line: string): void => {
    text = whole;
    show(text);
    progress.classList.add("over");
    element.classList.remove("busy");
    figures.textContent = line;
  };
  return {
    element,
    thinks: () => void (begun = true),
    reading(done, total, reused) {
      const readTokens = done - reused;
      const elapsed = performance.now() - started;
      fill.style.width = `${(100 * done) / total}%`;
      progress.setAttribute("aria-valuemax", String(total));
      progress.setAttribute("aria-valuenow", String(done));
      const speed = readTokens > 0 && elapsed > 0 ? ` · ${rate((1000 * readTokens) / elapsed)}` : "";
      figures.textContent = `Reading ${count(done)} of ${count(total)} tokens${speed}`;
    },
    writing(soFar, tokens) {
      const now = performance.now();
      firstToken ||= now;
      progress.classList.add("over");
      show(before + soFar);
      const speed = tokens > 1 && now > firstToken ? ` · ${rate((1000 * (tokens - 1)) / (now - firstToken))}` : "";
      figures.textContent = `Writing, ${count(tokens)} tokens${speed}`;
    },
    done: ({ text: fresh, finish, stats }, looped) =>
      end(before + fresh, figuresLine(looped ? "loop" : finish === "stop" ? null : finish, stats)),
    restore({ content, thinks: within = false, cut = null, stats, read }) {
      begun = within;
      end(content, stats ? figuresLine(cut, stats) : "");
      if (read) element.append(readingView(read));
    },
    read: (reading) => element.append(readingView(reading)),
    offer: (offered) => tools.replaceChildren(...toolsOf(offered, () => withoutThought(text, begun).answer.trim())),
    settle() {
      tools.querySelector(".continue")?.remove();
      element.querySelector(".attended")?.removeAttribute("open");
    },
  };
}

const ENDS = { loop: "Stopped: it repeated itself", abort: "Stopped", length: "cut at the limit" } as const;

/** What a reply cost. */
function figuresLine(end: keyof typeof ENDS | null, stats: GenerationStats): string {
  const fresh = stats.promptTokens - stats.reusedTokens;
  const reused = stats.reusedTokens > 0 ? `, ${count(stats.reusedTokens)} reused` : "";
  const parts = [
    end ? ENDS[end] : "",
    `read ${count(fresh)} ${fresh === 1 ? "token" : "tokens"} in ${seconds(stats.prefillMs)} (${rate(stats.prefillTokensPerSecond)}${reused})`,
    stats.newTokens > 1 ? `wrote ${count(stats.newTokens)} at ${rate(stats.decodeTokensPerSecond)}` : "",
  ];
  const line = parts.filter(Boolean).join(" · ");
  return line.charAt(0).toUpperCase() + line.slice(1);
}

function toolsOf({ versions, onFork, onRegenerate, onContinue }: ReplyTools, answer: () => string): HTMLElement[] {
  const copy = button("Copy", "tool", async () => {
    await navigator.clipboard.writeText(answer());
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  return [
    ...versionArrows(versions),
    ...(onContinue ? [button("Continue", "tool change continue", onContinue)] : []),
    copy,
    ...(onRegenerate ? [button("Regenerate", "tool change", onRegenerate)] : []),
    forkButton(onFork),
  ];
}

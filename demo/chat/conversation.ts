// How messages look: a user's block, a growing reply with its figures, the scroll that follows it.

import type { Generation, GenerationResult } from "../../src/index.ts";
import { button, find, make } from "../shared/dom.ts";
import { markdownView } from "./markdown.ts";
import { count, rate, seconds } from "../shared/numbers.ts";
import type { ribbon } from "./ribbon.ts";

/** The list of messages. Follows what grows until the reader scrolls up. */
export interface Conversation {
  readonly list: HTMLElement;
  add(element: HTMLElement): void;
  clear(): void;
  /** Call after anything in it has grown. */
  follow(): void;
  toEnd(): void;
  /** Scrolls to the top of an element that may be higher than the view. */
  reveal(element: HTMLElement): void;
}

export function conversation(): Conversation {
  const list = find("messages", HTMLElement);
  const scroller = find("scroller", HTMLElement);
  const latest = find("latest", HTMLButtonElement);
  let following = true;
  const atEnd = (): boolean => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 16;
  let height = 0;
  const leave = (): void => {
    // A growing composer scrolls the text too; that does not mean that the reader scrolled up.
    if (following && scroller.clientHeight !== height) return follow();
    following = atEnd();
    latest.hidden = following;
  };
  const follow = (): void => {
    height = scroller.clientHeight;
    if (following) scroller.scrollTop = scroller.scrollHeight;
  };
  const toEnd = (): void => {
    following = true;
    latest.hidden = true;
    follow();
  };
  scroller.addEventListener("scroll", leave, { passive: true });
  // A small turn of the wheel must stop the following, although the next token comes before the scroll event.
  scroller.addEventListener("wheel", (event) => void (following &&= event.deltaY >= 0), { passive: true });
  latest.addEventListener("click", toEnd);
  new ResizeObserver(follow).observe(scroller);
  return {
    list,
    follow,
    toEnd,
    add(element) {
      list.append(element);
      follow();
    },
    reveal(element) {
      following = false;
      element.scrollIntoView({ block: "start" });
    },
    clear: () => list.replaceChildren(),
  };
}

/** What the user said; a long text before it is folded. */
export function userMessage(question: string, longText: string, note: string): HTMLElement {
  const folded = longText
    ? make(
        "details",
        { className: "folded" },
        make("summary", {}, make("strong", { textContent: "Long text" }), ` ${note}`),
        make("div", { className: "folded-text", textContent: longText, tabIndex: 0 }),
      )
    : null;
  return make(
    "article",
    { className: "message user" },
    make("h2", { className: "unseen", textContent: "You" }),
    folded,
    question ? make("p", { className: "plain", textContent: question }) : null,
  );
}

export interface Reply {
  readonly element: HTMLElement;
  /** Prompt tokens processed; `reused` of them were in the cache. */
  reading(done: number, total: number, reused: number): void;
  /** The whole text so far. */
  writing(text: string, tokens: number): void;
  /** `looped`: it was stopped because it went round in circles. */
  done(result: GenerationResult, looped: boolean): void;
  /** A reply of an earlier visit. */
  restore(text: string): void;
  /** Puts it below: what the reply read. */
  append(reading: HTMLElement): void;
  /** Removes "Regenerate" and folds what it read, because the conversation has continued. */
  settle(): void;
}

/** A reply of the model. Space is reserved for everything that will appear in it, so that nothing jumps. */
export function reply(speaker: string, onRegenerate: () => unknown): Reply {
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
  const show = (whole: string): void => {
    const { thought, answer } = withoutThought(whole);
    thoughts(thought);
    showAnswer(answer);
  };
  const started = performance.now();
  let firstToken = 0;
  let readTokens = 0;
  let text = "";

  const regenerate = button("Regenerate", "tool", onRegenerate);
  const copy = button("Copy", "tool", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  const end = (whole: string): void => {
    text = whole;
    show(text);
    progress.classList.add("over");
    element.classList.remove("busy");
    figures.textContent = "";
    tools.replaceChildren(copy, regenerate);
  };
  return {
    element,
    reading(done, total, reused) {
      readTokens = done - reused;
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
      text = soFar;
      progress.classList.add("over");
      show(text);
      const speed = tokens > 1 && now > firstToken ? ` · ${rate((1000 * (tokens - 1)) / (now - firstToken))}` : "";
      figures.textContent = `Writing, ${count(tokens)} tokens${speed}`;
    },
    restore: end,
    done({ stats, finish, text: whole }, looped) {
      end(whole);
      const fresh = stats.promptTokens - stats.reusedTokens;
      const reused = stats.reusedTokens > 0 ? `, ${count(stats.reusedTokens)} reused` : "";
      const parts = [
        looped ? "Stopped: it repeated itself" : finish === "abort" ? "Stopped" : "",
        finish === "length" ? "cut at the limit" : "",
        `read ${count(fresh)} ${fresh === 1 ? "token" : "tokens"} in ${seconds(stats.prefillMs)} (${rate(stats.prefillTokensPerSecond)}${reused})`,
        stats.newTokens > 1 ? `wrote ${count(stats.newTokens)} at ${rate(stats.decodeTokensPerSecond)}` : "",
      ];
      const line = parts.filter(Boolean).join(" · ");
      figures.textContent = line.charAt(0).toUpperCase() + line.slice(1);
    },
    append: (reading) => element.append(reading),
    settle() {
      regenerate.remove();
      element.querySelector(".attended")?.removeAttribute("open");
    },
  };
}

/** What a model thinks aloud before it answers; the answer may be still to come. */
export function withoutThought(text: string): { thought: string; answer: string } {
  const [all = "", thought = ""] = /^\s*<think>([^]*?)(?:<\/think>|$)/.exec(text) ?? [];
  return { thought: thought.trim(), answer: text.slice(all.length) };
}

/** Thoughts stand folded before the answer, where there are any. */
function thoughtsView(answer: HTMLElement): (text: string) => void {
  const text = make("div", { className: "folded-text", tabIndex: 0 });
  const folded = make("details", { className: "folded" }, make("summary", { textContent: "Thoughts" }), text);
  return (thought) => {
    if (thought && !folded.isConnected) answer.before(folded);
    if (text.textContent !== thought) text.textContent = thought;
  };
}

interface Listening {
  /** Once a frame, with the text so far. */
  onText: (soFar: string, tokens: number) => void;
  onToken: (id: number) => void;
}

/** Follows a generation to its end. Rejects as the generation does. */
export async function stream(generation: Generation, { onText, onToken }: Listening): Promise<GenerationResult> {
  generation.result.catch(() => {}); // the loop throws the same error
  let soFar = "";
  let tokens = 0;
  let frame = 0;
  const paint = (): void => {
    frame = 0;
    onText(soFar, tokens);
  };
  try {
    for await (const token of generation) {
      soFar += token.text;
      tokens++;
      onToken(token.id);
      frame ||= requestAnimationFrame(paint);
    }
  } finally {
    cancelAnimationFrame(frame);
  }
  return generation.result;
}

/** What is updated while a reply runs. */
interface Moving {
  /** Tokens that were in the cache before. */
  held: number;
  context: number;
  draw: ReturnType<typeof ribbon>;
  scroll: () => void;
}

/** Keeps the reply, the ribbon and the scroll in step with a running generation. */
export function follow(view: Reply, { held, context, draw, scroll }: Moving) {
  let reused = -1;
  let promptTokens = 0;
  return {
    reading(done: number, total: number): void {
      // The first call comes before or after the first chunk; no more can be reused than was in the cache.
      if (reused < 0) reused = Math.min(done, held);
      promptTokens = total;
      view.reading(done, total, reused);
      draw({ context, held: done, waiting: total - done, reply: 0 });
      scroll();
    },
    writing(soFar: string, tokens: number): void {
      view.writing(soFar, tokens);
      draw({ context, held: promptTokens, waiting: 0, reply: tokens });
      scroll();
    },
  };
}

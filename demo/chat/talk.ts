// A conversation under way: questions go out, replies come in, both are kept.

import { EngineError } from "../../src/index.ts";
import type { GenerationResult } from "../../src/index.ts";
import { button, find, make } from "../shared/dom.ts";
import { loopWatch } from "../shared/loop.ts";
import { count } from "../shared/numbers.ts";
import { explain, tooLong, type Trouble, troubleCard } from "../shared/trouble.ts";
import type { Remedy } from "../shared/trouble.ts";
import { keep, type KeptTurn, titleOf } from "./archive.ts";
import type { Box } from "./box.ts";
import { follow, reply, stream, userMessage } from "./conversation.ts";
import type { Conversation, Reply } from "./conversation.ts";
import { readingOf } from "./reading.ts";
import type { ribbon } from "./ribbon.ts";
import type { Settings } from "./settings.ts";
import { followUps } from "./starters.ts";
import { promptOf, type State } from "./state.ts";
import type { SwiftKvPanel } from "./swiftkv.ts";
import type { Work } from "./work.ts";

interface Parts {
  state: State;
  box: Box;
  list: Conversation;
  settings: Settings;
  panel: () => SwiftKvPanel;
  drawRibbon: ReturnType<typeof ribbon>;
  setRunning: (controller: AbortController | null, work?: Work) => void;
  /** What a card about an error may offer. */
  remedies: Partial<Record<Remedy, () => unknown>>;
}

export interface Talk {
  send(): Promise<void>;
  /** Shows the conversation of the state from its beginning. */
  show(): void;
}

type Outcome = "done" | "refused";

export function talk(parts: Parts): Talk {
  const { state, box, list, settings, setRunning } = parts;
  let last: Reply | null = null;

  const send = async (): Promise<void> => {
    const { engine } = state;
    const content = box.content();
    if (!engine || state.running || content === "") return;
    const draft = box.get();
    const note = draft.long ? `${count(engine.tokenize(draft.long).length)} tokens` : "";
    const element = userMessage(draft.text.trim(), draft.long, note);
    find("starters", HTMLElement).hidden = true;
    last?.settle();
    removeExtras();
    list.toEnd();
    list.add(element);
    state.turns.push({ role: "user", content, ...(draft.long ? { long: draft.long.length } : {}) });
    box.set({ text: "", long: "" });
    save();
    if ((await answer()) === "done") return;
    state.turns.pop();
    save();
    element.remove();
    box.set(draft); // leaves less room for the card
    const card = document.getElementById("chat-trouble");
    if (card) list.reveal(card);
  };

  /** Generates the reply to the last question. "refused" = there was no token, and the question may be withdrawn. */
  const answer = (): Promise<Outcome> => {
    const outcome = generate();
    state.active = outcome;
    return outcome;
  };

  const generate = async (): Promise<Outcome> => {
    const { engine, session } = state;
    if (!engine || !session) return "refused";
    const view = reply(speakerOf(state), regenerate);
    list.add(view.element);
    const controller = new AbortController();
    setRunning(controller, "reply");
    const { held } = state;
    const watch = follow(view, { held, context: engine.model.context, draw: parts.drawRibbon, scroll: list.follow });
    const isLoop = loopWatch();
    let looped = false;
    const onToken = (token: number): void => {
      if (looped || !isLoop(token)) return;
      looped = true;
      controller.abort();
    };
    try {
      const options = { ...settings.generate(), attended: true, signal: controller.signal, onPrefill: watch.reading };
      const generation = session.generate(promptOf(state, settings, state.turns), options);
      finish(await stream(generation, { onText: watch.writing, onToken }), view, looped);
      return "done";
    } catch (error) {
      view.element.remove();
      showTrouble(error);
      return "refused";
    } finally {
      setRunning(null);
      box.draw();
    }
  };

  const finish = (result: GenerationResult, view: Reply, looped: boolean): void => {
    view.done(result, looped);
    const reading = state.engine && readingOf(state.engine, result);
    if (reading) view.append(reading);
    const { promptTokens, reusedTokens, newTokens, prefillMs } = result.stats;
    state.held = promptTokens + newTokens;
    if (reusedTokens === 0 && newTokens > 0) parts.panel().record({ milliseconds: prefillMs, promptTokens });
    state.turns.push({ role: "assistant", content: result.text, speaker: speakerOf(state) });
    save();
    last = view;
    find("announcer", HTMLElement).textContent = `${state.loaded?.name ?? "Reply"}: ${result.text}`;
    list.follow();
    offerFollowUps();
  };

  const regenerate = async (): Promise<void> => {
    if (!state.engine || state.running || state.turns.at(-1)?.role !== "assistant") return;
    const before = state.turns.pop();
    const view = last;
    if (view) view.element.hidden = true;
    if ((await answer()) === "done") return view?.element.remove();
    if (before) state.turns.push(before);
    if (view) view.element.hidden = false;
  };

  const save = (): void => {
    showTitle(state);
    const { id, turns, loaded } = state;
    if (id === null || !loaded || turns.length === 0) return;
    const source = typeof loaded.source === "string" ? loaded.source : null;
    void keep({ id, model: { source, name: loaded.name }, turns: turns.slice(), changed: Date.now() });
  };

  const offerFollowUps = (): void => {
    removeExtras();
    const open = followUps(state.turns);
    if (open.length === 0) return;
    const buttons = open.map((question) =>
      button(question, "quiet", () => {
        box.text.value = question;
        void send();
      }),
    );
    list.add(make("div", { id: "follow-ups", className: "actions" }, ...buttons));
  };

  const showTrouble = (error: unknown): void => {
    const answered = state.turns.length > 0 && state.turns.at(-1)?.role === "assistant";
    const retry = (): void => {
      removeExtras();
      void send();
    };
    const card = troubleCard(troubleOf(error), answered ? parts.remedies : { ...parts.remedies, retry });
    card.id = "chat-trouble";
    list.add(card);
  };

  const troubleOf = (error: unknown): Trouble => {
    const { engine, turns } = state;
    if (!engine || !(error instanceof EngineError) || error.code !== "context-too-small") return explain(error);
    const tokens = (some: typeof turns): number => tokensOf(promptOf(state, settings, some));
    const { context, trainedContext: trained } = engine.model;
    return tooLong({ message: tokens(turns.slice(-1)), all: tokens(turns), context, trained }, error);
  };

  const tokensOf = (prompt: ReturnType<typeof promptOf>): number => {
    const { engine } = state;
    if (!engine || "tokens" in prompt) return 0;
    if ("text" in prompt) return engine.tokenize(prompt.text).length;
    const { messages, ...options } = prompt;
    return engine.tokenize(engine.render(messages, options), { addSpecial: false }).length;
  };

  return {
    send,
    show() {
      showTitle(state);
      list.clear();
      last = null;
      for (const turn of state.turns) {
        if (turn.role === "user") list.add(asked(turn));
        else {
          last?.settle();
          last = reply(turn.speaker ?? "Reply", regenerate);
          last.restore(turn.content);
          list.add(last.element);
        }
      }
      if (!state.engine) last?.settle(); // nothing to write another one with
      list.toEnd();
    },
  };
}

function asked({ content, long = 0 }: KeptTurn): HTMLElement {
  const note = long ? `${count(long)} characters` : "";
  return userMessage(content.slice(long).trim(), content.slice(0, long), note);
}

function speakerOf({ mode, engine, loaded }: State): string {
  const name = loaded?.name ?? "Reply";
  return mode.swiftkv && engine?.model.undistilled && !engine.model.calibration ? `${name}, untrained SwiftKV` : name;
}

/** The conversation's name, as the page's heading and in its tab. */
function showTitle({ turns }: State): void {
  const title = turns.length > 0 ? titleOf({ turns }) : "New conversation";
  find("chat-title", HTMLElement).textContent = title;
  document.title = turns.length > 0 ? `${title} · longprompt` : "longprompt";
}

/** Cards and suggestions at the end. */
function removeExtras(): void {
  document.getElementById("chat-trouble")?.remove();
  document.getElementById("follow-ups")?.remove();
}

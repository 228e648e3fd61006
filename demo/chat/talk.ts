// A conversation under way: questions go out, replies come in, both are kept.

import { EngineError } from "../../src/index.ts";
import type { GenerationResult } from "../../src/index.ts";
import { button, find, make } from "../shared/dom.ts";
import { loopWatch } from "../shared/loop.ts";
import { explain, tooLong, type Trouble, troubleCard } from "../shared/trouble.ts";
import type { Remedy } from "../shared/trouble.ts";
import type { Box } from "./box.ts";
import { follow, stream } from "./conversation.ts";
import type { Conversation } from "./conversation.ts";
import { type Reading, readingOf } from "./reading.ts";
import type { Reply } from "./reply.ts";
import type { ribbon } from "./ribbon.ts";
import type { Settings } from "./settings.ts";
import { followUps } from "./starters.ts";
import { opensThought, promptOf, promptWithin, type State, tokensOf } from "./state.ts";
import type { SwiftKvPanel } from "./swiftkv.ts";
import { type KeptTurn, picturesOf, plain } from "./thread.ts";
import { removeExtras, transcript } from "./transcript.ts";
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
  /** The conversation has changed. */
  onChange: () => void;
  onFork: (at: number) => unknown;
}

/** How a reply began: in the middle of the last one, within a thought. */
interface How {
  goingOn: boolean;
  thinks: boolean;
}

export interface Talk {
  send(): Promise<void>;
  /** Shows the conversation of the state from its beginning. */
  show(): void;
}

export function talk(parts: Parts): Talk {
  const { state, box, list, settings, setRunning } = parts;
  const messages = transcript(state, list, () => ({
    regenerate: (at) => void regenerate(at),
    goOn: () => void goOn(),
    edit: (at, text) => void edit(at, text),
    answer: () => void answerLast(),
    fork: parts.onFork,
    turned() {
      state.held = 0;
      parts.onChange();
      box.draw();
    },
  }));

  const send = async (): Promise<void> => {
    const { text, documents } = box.get();
    const isEmpty = box.content() === "" && picturesOf(documents).length === 0;
    if (!state.engine || state.running || isEmpty) return;
    const before = state.thread.leaf;
    await ask({ role: "user", content: text.trim(), documents }, { before, text });
  };

  const edit = async (at: number, text: string): Promise<void> => {
    if (state.running) return;
    const before = state.thread.leaf;
    state.thread.cut(state.thread.parent(at));
    state.held = 0;
    const { documents = [] } = state.thread.all[at]!;
    await ask({ role: "user", content: text, documents }, { before, text });
  };

  /** Adds a question to what is on view, and has it answered. Where that fails, `text` goes into the box, and `before` is on view. */
  const ask = async (turn: KeptTurn, { before, text }: { before: number; text: string }): Promise<void> => {
    find("starters", HTMLElement).hidden = true;
    state.thread.add(turn);
    box.set({ text: "", documents: [] });
    messages.show();
    parts.onChange();
    const trouble = await answer();
    if (!trouble) return;
    state.thread.withdraw(before);
    messages.show();
    parts.onChange();
    box.set({ text, documents: turn.documents ?? [] }); // leaves less room for the card
    showTrouble(trouble, send);
  };

  const regenerate = async (at: number): Promise<void> => {
    if (!state.engine || state.running) return;
    const before = state.thread.leaf;
    state.thread.cut(state.thread.parent(at));
    messages.show();
    const trouble = await answer();
    if (!trouble) return;
    state.thread.cut(before);
    messages.show();
    showTrouble(trouble, () => regenerate(at));
  };

  const answerLast = async (): Promise<void> => {
    const trouble = state.running ? null : await answer();
    if (!trouble) return;
    messages.show();
    showTrouble(trouble, answerLast);
  };

  const goOn = async (): Promise<void> => {
    if (!state.engine || state.running) return;
    const trouble = await answer(true);
    if (!trouble) return;
    messages.show();
    showTrouble(trouble, goOn);
  };

  /** Generates the reply to the last question, or goes on with the last reply. What went wrong, if anything: then nothing has changed. */
  const answer = (goingOn = false): Promise<Trouble | null> => {
    const outcome = generate(goingOn);
    state.active = outcome;
    return outcome;
  };

  const generate = async (goingOn: boolean): Promise<Trouble | null> => {
    const { engine, session, thread } = state;
    if (!engine || !session) return null;
    const turns = plain(thread.turns);
    const controller = new AbortController();
    setRunning(controller, "reply");
    const view = messages.grow(speakerOf(state), goingOn);
    const { held } = state;
    const watch = follow(view, { held, context: engine.model.context, draw: parts.drawRibbon, scroll: list.follow });
    const loop = stopAtLoop(controller);
    try {
      const prompt = (goingOn ? promptWithin : promptOf)(state, settings, turns);
      const thinks = goingOn ? (thread.turns.at(-1)?.thinks ?? false) : opensThought(state, prompt);
      if (thinks) view.thinks();
      const options = { ...settings.generate(), attended: true, signal: controller.signal, onPrefill: watch.reading };
      const generation = session.generate(prompt, options);
      const result = await stream(generation, { onText: watch.writing, onToken: loop.onToken });
      finish(result, view, { looped: loop.found(), goingOn, thinks });
      return null;
    } catch (error) {
      view.element.remove();
      return troubleOf(error);
    } finally {
      setRunning(null);
      box.draw();
    }
  };

  const finish = (result: GenerationResult, view: Reply, how: How & { looped: boolean }): void => {
    view.done(result, how.looped);
    const read = state.engine ? readingOf(state.engine, result) : undefined;
    if (read) view.read(read);
    const { promptTokens, reusedTokens, newTokens, prefillMs } = result.stats;
    state.held = promptTokens + newTokens;
    if (reusedTokens === 0 && newTokens > 0) parts.panel().record({ milliseconds: prefillMs, promptTokens });
    messages.grown(view, keepReply(result, read, how));
    parts.onChange();
    find("announcer", HTMLElement).textContent = `${state.loaded?.name ?? "Reply"}: ${result.text}`;
    list.follow();
    offerFollowUps();
  };

  /** Its place. */
  const keepReply = (result: GenerationResult, read: Reading | undefined, { goingOn, thinks }: How): number => {
    const { thread } = state;
    const { text, finish: end, stats } = result;
    // a cut reply goes on by its tokens, which say nothing of pictures
    const sees = thread.turns.some(({ documents }) => picturesOf(documents).length > 0);
    const fields = {
      speaker: speakerOf(state),
      ...(thinks ? { thinks } : {}),
      stats,
      cut: end === "stop" || sees ? undefined : end,
      read,
    };
    if (!goingOn) return thread.add({ role: "assistant", content: text, ...fields });
    thread.change(thread.leaf, { content: thread.all[thread.leaf]!.content + text, ...fields });
    return thread.leaf;
  };

  const offerFollowUps = (): void => {
    removeExtras();
    const open = followUps(state.thread.turns);
    if (open.length === 0) return;
    const buttons = open.map((next) =>
      button(next, "quiet", () => {
        box.text.value = next;
        void send();
      }),
    );
    list.add(make("div", { id: "follow-ups", className: "actions extra" }, ...buttons));
  };

  const showTrouble = (trouble: Trouble, retry: () => unknown): void => {
    const again = (): void => {
      removeExtras();
      void retry();
    };
    const card = troubleCard(trouble, { ...parts.remedies, retry: again });
    card.classList.add("extra");
    removeExtras();
    list.add(card);
    list.reveal(card);
  };

  const troubleOf = (error: unknown): Trouble => {
    const { engine } = state;
    if (!engine || !(error instanceof EngineError) || error.code !== "context-too-small") return explain(error);
    const turns = plain(state.thread.turns);
    const tokens = (some: typeof turns): number => tokensOf(engine, promptOf(state, settings, some));
    const { context, trainedContext: trained } = engine.model;
    return tooLong({ message: tokens(turns.slice(-1)), all: tokens(turns), context, trained }, error);
  };

  return { send, show: messages.show };
}

/** Ends a reply that goes round in circles. */
function stopAtLoop(controller: AbortController): { onToken: (token: number) => void; found: () => boolean } {
  const isLoop = loopWatch();
  let found = false;
  return {
    onToken(token) {
      if (found || !isLoop(token)) return;
      found = true;
      controller.abort();
    },
    found: () => found,
  };
}

function speakerOf({ mode, engine, loaded }: State): string {
  const name = loaded?.name ?? "Reply";
  return mode.swiftkv && engine?.model.undistilled && !engine.model.calibration ? `${name}, untrained SwiftKV` : name;
}

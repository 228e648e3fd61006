// The conversation on view: a message for each turn of the thread's path, with what can be done to it.

import { button, make } from "../shared/dom.ts";
import type { Conversation } from "./conversation.ts";
import type { Versions } from "./messagetools.ts";
import { question, sizeOf } from "./question.ts";
import { type Reply, reply } from "./reply.ts";
import type { State } from "./state.ts";
import type { KeptTurn, Thread } from "./thread.ts";

/** What the messages ask for; turns by their place. */
export interface Wishes {
  regenerate(at: number): unknown;
  /** The last reply goes on where it was cut. */
  goOn(): unknown;
  edit(at: number, text: string): unknown;
  /** The last question has no reply yet. */
  answer(): unknown;
  fork(at: number): unknown;
  /** Another version is on view. */
  turned(): unknown;
}

export interface Transcript {
  show(): void;
  /** A reply that will grow: at the end, or in the place of the last one, which it goes on. */
  grow(speaker: string, goingOn: boolean): Reply;
  /** It has become the turn at this place. */
  grown(view: Reply, at: number): void;
}

export function transcript(state: State, list: Conversation, wishes: () => Wishes): Transcript {
  /** Of replies that are drawn, by place: they keep what they read. */
  const replies = new Map<number, Reply>();
  let drawn: Thread | null = null;

  const versionsOf = (at: number): Versions => {
    const all = state.thread.versions(at);
    return { at: all.indexOf(at), of: all.length, onShow: (to) => turnTo(all[to]!) };
  };
  const turnTo = (at: number): void => {
    if (state.running) return;
    state.thread.show(at);
    wishes().turned();
    show();
    const message = list.list.children[state.thread.path.indexOf(at)];
    if (!(message instanceof HTMLElement)) return;
    list.reveal(message);
    message.querySelector<HTMLElement>(".arrow:enabled")?.focus({ preventScroll: true });
  };
  const questionAt = (at: number, turn: KeptTurn): HTMLElement => {
    const size = (text: string): string => sizeOf(text, state.engine?.tokenize(text).length ?? null);
    return question(turn, size, {
      versions: versionsOf(at),
      onFork: () => wishes().fork(at),
      onEdit: state.engine && ((text) => void wishes().edit(at, text)),
    });
  };
  const offer = (view: Reply, at: number): void => {
    const isLast = at === state.thread.leaf;
    if (!isLast) view.settle();
    view.offer({
      versions: versionsOf(at),
      onFork: () => wishes().fork(at),
      onRegenerate: state.engine && (() => void wishes().regenerate(at)),
      onContinue: isLast && state.engine && state.thread.all[at]!.cut ? () => void wishes().goOn() : null,
    });
  };
  const replyAt = (at: number, turn: KeptTurn): HTMLElement => {
    const view = replies.get(at) ?? reply(turn.speaker ?? "Reply");
    if (!replies.has(at)) view.restore(turn);
    replies.set(at, view);
    offer(view, at);
    return view.element;
  };
  const show = (): void => {
    if (drawn !== state.thread) replies.clear();
    drawn = state.thread;
    list.clear();
    for (const at of state.thread.path) {
      const turn = state.thread.all[at]!;
      list.add(turn.role === "user" ? questionAt(at, turn) : replyAt(at, turn));
    }
    if (state.engine && !state.running && state.thread.turns.at(-1)?.role === "user") list.add(unanswered());
    list.toEnd();
  };
  const unanswered = (): HTMLElement =>
    make(
      "div",
      { className: "actions extra" },
      button("Answer", "quiet", () => void wishes().answer()),
    );

  return {
    show,
    grow(speaker, goingOn) {
      const last = state.thread.all[state.thread.leaf];
      const view = reply(speaker, goingOn ? last : {});
      if (goingOn) replies.get(state.thread.leaf)?.element.remove();
      removeExtras();
      list.add(view.element);
      return view;
    },
    grown(view, at) {
      replies.set(at, view);
      offer(view, at);
    },
  };
}

/** Cards and suggestions at the end. */
export function removeExtras(): void {
  for (const extra of document.querySelectorAll("#messages > .extra")) extra.remove();
}

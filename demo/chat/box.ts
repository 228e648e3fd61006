// The draft: what stands in the box and the documents before it, and whether the context has room for it.

import { find } from "../shared/dom.ts";
import { count } from "../shared/numbers.ts";
import type { Document } from "../shared/turn.ts";
import type { Documents } from "./documents.ts";
import type { ribbon } from "./ribbon.ts";
import type { Settings } from "./settings.ts";
import type { State } from "./state.ts";
import { plain, written } from "./thread.ts";

export interface Draft {
  text: string;
  documents: readonly Document[];
}

export interface Box {
  readonly text: HTMLTextAreaElement;
  get(): Draft;
  /** Puts it there, or nothing. */
  set(draft: Draft): void;
  /** What is sent. */
  content(): string;
  /** The box is as high as its text. */
  fit(): void;
  /** Shows how many tokens the draft would add. */
  draw(): void;
}

interface Parts {
  state: State;
  settings: Settings;
  documents: Documents;
  draw: ReturnType<typeof ribbon>;
}

/** Tokenizing a book takes a while, so it waits for a pause in typing. */
const PAUSE_MS = 120;

export function box({ state, settings, documents, draw }: Parts): Box {
  const text = find("composer-text", HTMLTextAreaElement);
  let measured = { text: "", tokens: 0 };
  let timer = 0;
  const content = (): string => written({ content: text.value.trim(), documents: documents.get() });
  const measure = (): void => {
    const { engine, held, thread } = state;
    if (!engine || state.running) return;
    const fresh = content();
    const all =
      held > 0 ? fresh : [settings.system(), ...plain(thread.turns).map((turn) => turn.content), fresh].join("\n");
    if (all !== measured.text) measured = { text: all, tokens: all.trim() ? engine.tokenize(all).length : 0 };
    const { context } = engine.model;
    draw({ context, held, waiting: measured.tokens, reply: 0 });
    showExcess(held + measured.tokens - context + 1);
  };
  const later = (): void => {
    clearTimeout(timer);
    timer = window.setTimeout(measure, PAUSE_MS);
  };
  const fit = (): void => {
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
    lockStarters(content() !== "");
    later();
  };
  return {
    text,
    content,
    fit,
    draw: later,
    get: () => ({ text: text.value, documents: documents.get() }),
    set(draft) {
      text.value = draft.text;
      documents.set(draft.documents);
      fit();
    },
  };
}

/** Tokens too many: said below the box, and Send is off. */
function showExcess(tokens: number): void {
  const over = tokens > 0;
  find("send", HTMLButtonElement).disabled = over;
  const line = find("excess", HTMLElement);
  line.hidden = !over;
  if (over) line.textContent = `${count(tokens)} ${tokens === 1 ? "token" : "tokens"} too many for this context.`;
}

/** A starter would take the place of a draft. */
function lockStarters(locked: boolean): void {
  for (const starter of find("starters", HTMLElement).querySelectorAll("button")) starter.disabled = locked;
}

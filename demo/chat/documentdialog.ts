// The dialog in which a document is pasted, typed, changed, or cut to some of its pages.

import { find } from "../shared/dom.ts";
import { count } from "../shared/numbers.ts";
import type { Document } from "../shared/turn.ts";
import { sizeOf } from "./question.ts";

/** A document that has not been sent. */
export interface Attached extends Document {
  /** Of a PDF: what was read, and which of it is used; pages from 1. */
  pages?: { texts: readonly string[]; of: number; from: number; to: number };
}

/** What is known of texts. */
export interface Sizes {
  /** Number of tokens of a text, or null while no model is loaded. */
  tokens: (text: string) => number | null;
  /** Tokens that still fit, or null. */
  room: () => number | null;
}

export interface DocumentDialog {
  /** `onUse` gets what became of it. */
  edit(document: Attached, onUse: (document: Attached) => void): void;
}

interface Options extends Sizes {
  onFiles: (files: readonly File[]) => unknown;
}

/** Connects #longtext-dialog. */
export function documentDialog({ tokens, room, onFiles }: Options): DocumentDialog {
  const dialog = find("longtext-dialog", HTMLDialogElement);
  const area = find("longtext", HTMLTextAreaElement);
  const size = find("longtext-size", HTMLElement);
  const file = find("longtext-file", HTMLInputElement);
  let open: Attached = { name: "", text: "" };
  let use: (document: Attached) => void = () => {};

  const measure = (): void => {
    const [inTokens, left] = [tokens(area.value), room()];
    const over = inTokens !== null && left !== null ? inTokens - left : 0;
    const excess = over > 0 ? `: ${count(over)} too many for this context` : "";
    size.textContent = area.value === "" ? "" : sizeOf(area.value, inTokens) + excess;
    size.classList.toggle("over", over > 0);
  };
  const range = pageRange((pages) => {
    open = { ...open, pages };
    area.value = pages.texts
      .slice(pages.from - 1, pages.to)
      .join("\n\n")
      .trim();
    measure();
  });

  let timer = 0;
  area.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(measure, 150);
  });
  file.addEventListener("change", () => {
    const files = [...(file.files ?? [])];
    file.value = "";
    if (files.length === 0) return;
    dialog.close();
    void onFiles(files);
  });
  find("longtext-cancel", HTMLButtonElement).addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    const { returnValue } = dialog;
    dialog.returnValue = "";
    if (returnValue === "use") use({ ...open, text: area.value.trim() });
  });
  return {
    edit(document, onUse) {
      [open, use] = [document, onUse];
      find("longtext-title", HTMLElement).textContent = document.name;
      area.value = document.text;
      range(document.pages);
      measure();
      dialog.showModal();
      area.focus();
    },
  };
}

type Pages = NonNullable<Attached["pages"]>;

/** Connects #longtext-pages; shown for a PDF only. */
function pageRange(onChange: (pages: Pages) => void): (pages: Pages | undefined) => void {
  const from = find("longtext-from", HTMLInputElement);
  const to = find("longtext-to", HTMLInputElement);
  let shown: Pages | undefined;
  const show = (pages: Pages): void => {
    shown = pages;
    [from.value, to.value] = [String(pages.from), String(pages.to)];
    const most = pages.texts.length;
    from.max = to.max = String(most);
    const unread = pages.of > most ? `; the first ${count(most)} were read` : "";
    find("longtext-pages-of", HTMLElement).textContent = `of ${count(pages.of)}${unread}`;
  };
  const change = (): void => {
    if (!shown) return;
    const within = (value: string): number =>
      Math.max(1, Math.min(shown!.texts.length, Math.round(Number(value)) || 1));
    const [first, last] = [within(from.value), within(to.value)];
    show({ ...shown, from: Math.min(first, last), to: Math.max(first, last) });
    onChange(shown);
  };
  for (const field of [from, to]) field.addEventListener("change", change);
  return (pages) => {
    find("longtext-pages", HTMLElement).hidden = !pages;
    shown = pages;
    if (pages) show(pages);
  };
}

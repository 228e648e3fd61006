// The texts and pictures that go before a question: pasted, typed, or read from files, a chip for each in the composer.

import { find, make } from "../shared/dom.ts";
import { fileKind } from "../shared/dropped.ts";
import { count } from "../shared/numbers.ts";
import type { Document } from "../shared/turn.ts";
import { type Attached, documentDialog, type Sizes } from "./documentdialog.ts";
import { pictureDocument, pictureElement } from "./pictures.ts";
import { sizeOf } from "./question.ts";

/** A paste of at least this many characters becomes a document instead of filling the box. */
export const LONG_PASTE = 1200;

export interface Documents {
  get(): readonly Document[];
  set(documents: readonly Document[]): void;
  add(document: Document): void;
  /** The dialog for another one. */
  open(): void;
  /** Reads texts, PDFs and, where the model sees, pictures. */
  take(files: readonly File[]): Promise<void>;
}

export interface DocumentsOptions extends Sizes {
  /** Whether the model sees pictures. */
  sees: () => boolean;
  onChange: () => void;
}

/** Connects #documents, #documents-note and the dialog. */
export function documentList(options: DocumentsOptions): Documents {
  const { tokens, onChange } = options;
  const list = find("documents", HTMLUListElement);
  const say = noteLine();
  let attached: Attached[] = [];

  const put = (next: Attached[]): void => {
    attached = next;
    list.hidden = next.length === 0;
    list.replaceChildren(...next.map((document, at) => chip(document, at)));
    onChange();
  };
  const textChip = (document: Attached, label: string, at: number): HTMLElement => {
    const size = sizeOf(document.text, tokens(document.text));
    const edit = make("button", { type: "button", className: "chip-name" }, make("strong", { textContent: label }));
    edit.append(` ${size}`);
    edit.setAttribute("aria-label", `Edit attachment: ${label}, ${size}`);
    edit.addEventListener("click", () => dialog.edit(document, (next) => put(attached.with(at, next))));
    return edit;
  };
  const chip = (document: Attached, at: number): HTMLElement => {
    const label = labelOf(document);
    const shown = document.picture ? pictureElement(document, "thumbnail") : textChip(document, label, at);
    const remove = make("button", { type: "button", className: "chip-remove", textContent: "×" });
    remove.setAttribute("aria-label", `Remove attachment: ${label}`);
    remove.addEventListener("click", () => {
      put(attached.toSpliced(at, 1));
      find("composer-text", HTMLTextAreaElement).focus();
    });
    return make("li", {}, shown, remove);
  };
  const add = (document: Attached): void => {
    if (document.text.trim() !== "" || document.picture)
      put([...attached, { ...document, name: freeName(document.name, attached) }]);
  };
  const take = async (files: readonly File[]): Promise<void> => {
    const troubles: string[] = [];
    const stop = new AbortController();
    for (const file of files) {
      say(`Reading ${file.name}`, () => stop.abort());
      const onPage = (page: number, of: number): void =>
        say(`Reading ${file.name}: page ${count(page)} of ${count(of)}`, () => stop.abort());
      const read = await readDocument(file, { onPage, signal: stop.signal, sees: options.sees() });
      if (stop.signal.aborted) break;
      if (typeof read === "string") troubles.push(read);
      else add(read);
    }
    say(troubles.join(" "), () => say(""));
  };
  const dialog = documentDialog({ ...options, onFiles: take });
  return {
    get: () =>
      attached.map((document) => {
        const { text, picture } = document;
        return { name: labelOf(document), text, ...(picture !== undefined && { picture }) };
      }),
    set(next) {
      if (next.length === 0) say("");
      put([...next]);
    },
    add,
    take,
    open: () => dialog.edit({ name: "Long text", text: "" }, add),
  };
}

/** "report.pdf, pages 3 to 10" where that is not all of it. */
function labelOf({ name, pages }: Attached): string {
  if (!pages || (pages.from === 1 && pages.to === pages.of)) return name;
  const { from, to } = pages;
  return from === to ? `${name}, page ${count(from)}` : `${name}, pages ${count(from)} to ${count(to)}`;
}

function freeName(name: string, others: readonly Document[]): string {
  const isTaken = (wanted: string): boolean => others.some((other) => other.name === wanted);
  let free = name;
  for (let number = 2; isTaken(free); number++) free = `${name} ${number}`;
  return free;
}

/** A sentence where there is nothing to read. */
async function readDocument(
  file: File,
  how: { onPage: (page: number, of: number) => void; signal: AbortSignal; sees: boolean },
): Promise<Attached | string> {
  const kind = await fileKind(file);
  if (kind === "picture") return how.sees ? pictureDocument(file) : `${file.name} is a picture: this model sees none.`;
  if (kind === "pdf") return readPdfDocument(file, how);
  if (kind !== "text") return `${file.name} is neither a text nor a PDF.`;
  return { name: file.name, text: (await file.text()).trim() };
}

async function readPdfDocument(file: File, how: Parameters<typeof readDocument>[1]): Promise<Attached | string> {
  try {
    const { readPdf } = await import("./pdf.ts");
    const { pages, of } = await readPdf(file, how);
    return { name: file.name, text: pages.join("\n\n").trim(), pages: { texts: pages, of, from: 1, to: pages.length } };
  } catch (error) {
    if (how.signal.aborted) return "";
    return error instanceof Error ? error.message : String(error);
  }
}

/** What is being read, or why something could not be; with a button that ends it. "" hides it. */
function noteLine(): (text: string, onClose?: () => void) => void {
  const line = find("documents-note", HTMLElement);
  const text = make("span", { attributes: { role: "status" } });
  let close = (): void => {};
  const end = make("button", { type: "button", className: "tool", textContent: "Dismiss" });
  end.addEventListener("click", () => close());
  line.replaceChildren(text, end);
  return (words, onClose = () => {}) => {
    close = onClose;
    line.hidden = words === "";
    text.textContent = words;
    end.textContent = words.startsWith("Reading ") ? "Stop" : "Dismiss";
  };
}

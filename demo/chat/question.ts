// How a question looks: its documents, folded; its words, which can be changed.

import { button, make } from "../shared/dom.ts";
import { count } from "../shared/numbers.ts";
import type { Document } from "../shared/turn.ts";
import { forkButton, versionArrows, type Versions } from "./messagetools.ts";
import { pictureElement } from "./pictures.ts";
import type { KeptTurn } from "./thread.ts";

/** What can be done with a question. */
export interface QuestionTools {
  versions: Versions;
  onFork: () => unknown;
  /** Asks something else in its place. Null: not without a model. */
  onEdit: ((text: string) => unknown) | null;
}

/** `size`: of a document, in words. */
export function question(turn: KeptTurn, size: (text: string) => string, tools: QuestionTools): HTMLElement {
  const { content, documents = [] } = turn;
  const shown = (each: Document): HTMLElement =>
    each.picture ? pictureElement(each, "picture") : folded(each, size(each.text));
  const words = content ? make("p", { className: "plain", textContent: content }) : null;
  const bubble = make("div", { className: "bubble" }, ...documents.map(shown), words);
  const row = make("div", { className: "tools" });
  const { versions, onFork, onEdit } = tools;
  const edit = onEdit && button("Edit", "tool change", () => element.replaceChild(editor(), bubble));
  const close = (form: HTMLElement): void => {
    form.replaceWith(bubble);
    row.hidden = false;
    edit?.focus();
  };
  const editor = (): HTMLElement => {
    row.hidden = true;
    return editForm(content, { onSend: onEdit!, onClose: close });
  };
  row.append(...(edit ? [edit] : []), forkButton(onFork), ...versionArrows(versions));
  const heading = make("h2", { className: "unseen", textContent: "You" });
  const element = make("article", { className: "message user" }, heading, bubble, row);
  return element;
}

function folded({ name, text }: Document, size: string): HTMLElement {
  return make(
    "details",
    { className: "folded" },
    make("summary", {}, make("strong", { textContent: name }), ` ${size}`),
    make("div", { className: "folded-text", textContent: text, tabIndex: 0 }),
  );
}

/** Enter sends, Esc leaves it as it was. */
function editForm(
  content: string,
  { onSend, onClose }: { onSend: (text: string) => unknown; onClose: (form: HTMLElement) => void },
): HTMLElement {
  const text = make("textarea", { value: content, rows: 1, attributes: { "aria-label": "Changed message" } });
  const cancel = make("button", { type: "button", className: "quiet", textContent: "Cancel" });
  const send = make("button", { type: "submit", className: "primary", textContent: "Send" });
  const form = make("form", { className: "editing" }, text, make("div", { className: "actions" }, cancel, send));
  const fit = (): void => {
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight + 2}px`;
  };
  text.addEventListener("input", fit);
  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape") onClose(form);
    else if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    else form.requestSubmit();
    event.preventDefault();
    event.stopPropagation();
  });
  cancel.addEventListener("click", () => onClose(form));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (text.value.trim()) onSend(text.value.trim());
  });
  requestAnimationFrame(() => {
    fit();
    text.focus();
    text.setSelectionRange(text.value.length, text.value.length);
  });
  return form;
}

/** "1,234 characters, 310 tokens" */
export function sizeOf(text: string, tokens: number | null): string {
  return `${count(text.length)} characters${tokens === null ? "" : `, ${count(tokens)} tokens`}`;
}

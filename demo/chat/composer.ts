// The box to write in: Enter sends, a long paste or a picture becomes a document.

import { find } from "../shared/dom.ts";
import { type Documents, LONG_PASTE } from "./documents.ts";

interface Composer {
  text: HTMLTextAreaElement;
  documents: Documents;
  /** Whether the model sees pictures. */
  sees: () => boolean;
  onInput: () => void;
  onSend: () => void;
}

/** Connects the form in index.html. */
export function connectComposer({ text, documents, sees, onInput, onSend }: Composer): void {
  find("composer", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    onSend();
  });
  text.addEventListener("input", onInput);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    onSend();
  });
  text.addEventListener("paste", (event) => {
    const pictures = [...(event.clipboardData?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
    if (pictures.length > 0 && sees()) {
      event.preventDefault();
      void documents.take(pictures);
      return;
    }
    const pasted = event.clipboardData?.getData("text/plain") ?? "";
    if (pasted.length < LONG_PASTE) return;
    event.preventDefault();
    documents.add({ name: "Pasted text", text: pasted.trim() });
  });
  find("longtext-button", HTMLButtonElement).addEventListener("click", documents.open);
}

// The box to write in: Enter sends, a long paste becomes an attachment.

import { find } from "../shared/dom.ts";
import { LONG_PASTE, type longText } from "./longtext.ts";

interface Composer {
  text: HTMLTextAreaElement;
  attachment: ReturnType<typeof longText>;
  onInput: () => void;
  onSend: () => void;
}

/** Connects the form in index.html. */
export function connectComposer({ text, attachment, onInput, onSend }: Composer): void {
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
    const pasted = event.clipboardData?.getData("text/plain") ?? "";
    if (pasted.length < LONG_PASTE) return;
    event.preventDefault();
    attachment.set([attachment.get(), pasted].filter(Boolean).join("\n\n"), "Pasted text");
  });
  find("longtext-button", HTMLButtonElement).addEventListener("click", attachment.open);
}

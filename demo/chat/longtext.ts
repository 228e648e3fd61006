// The long text that goes before a question: pasted, typed or read from a file, shown as a chip in the composer.

import { button, find, make } from "../shared/dom.ts";
import { fileKind } from "../shared/dropped.ts";
import { count } from "../shared/numbers.ts";

/** A paste of at least this many characters becomes an attachment instead of filling the box. */
export const LONG_PASTE = 1200;

export interface LongText {
  get(): string;
  set(text: string, name?: string): void;
  open(): void;
}

export interface LongTextOptions {
  /** Number of tokens of a text, or null while no model is loaded. */
  tokens: (text: string) => number | null;
  /** Tokens that still fit, or null. */
  room: () => number | null;
  onChange: () => void;
}

/** Connects #longtext-dialog and #attachment. */
export function longText({ tokens, room, onChange }: LongTextOptions): LongText {
  const dialog = find("longtext-dialog", HTMLDialogElement);
  const area = find("longtext", HTMLTextAreaElement);
  const size = find("longtext-size", HTMLElement);
  const file = find("longtext-file", HTMLInputElement);
  const chip = find("attachment", HTMLElement);
  let text = "";
  let name = "";
  let opened = ""; // name of the file read into the dialog

  const describe = (content: string): string => {
    const inTokens = tokens(content);
    return `${count(content.length)} characters${inTokens === null ? "" : `, ${count(inTokens)} tokens`}`;
  };
  const measure = (): void => {
    const [inTokens, left] = [tokens(area.value), room()];
    const over = inTokens !== null && left !== null && inTokens > left;
    size.textContent =
      area.value === ""
        ? ""
        : describe(area.value) + (over ? `: ${count(inTokens - left)} too many for this context` : "");
    size.classList.toggle("over", over);
  };
  const set = (content: string, title = "Long text"): void => {
    text = content.trim();
    name = text === "" ? "" : title;
    chip.hidden = text === "";
    const edit = button("", "chip-name", open);
    edit.append(make("strong", { textContent: name }), ` ${describe(text)}`);
    edit.setAttribute("aria-label", `Edit attachment: ${name}, ${describe(text)}`);
    const remove = button("×", "chip-remove", () => set(""));
    remove.setAttribute("aria-label", "Remove attachment");
    chip.replaceChildren(...(text === "" ? [] : [edit, remove]));
    onChange();
  };
  const open = (): void => {
    area.value = text;
    opened = name;
    measure();
    dialog.showModal();
    area.focus();
  };
  const read = async (chosen: File | undefined): Promise<void> => {
    if (!chosen) return;
    if ((await fileKind(chosen)) !== "text") {
      size.textContent = `${chosen.name} is no plain text. Save it as plain text first.`;
      size.classList.add("over");
      return;
    }
    area.value = await chosen.text();
    opened = chosen.name;
    measure();
  };

  let timer = 0;
  area.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(measure, 150);
  });
  file.addEventListener("change", async () => {
    await read(file.files?.[0]);
    file.value = "";
  });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "use") set(area.value, opened || "Long text");
    dialog.returnValue = "";
  });
  return { get: () => text, set, open };
}

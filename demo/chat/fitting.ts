// The part of the panel "Faster reading" that fits a student to a text, saves it and opens one.

import { find, saveFile } from "../shared/dom.ts";
import type { Student } from "./shelf.ts";

/** What a student is fitted to: the conversation with its long texts, the stories that come with the page, or a file. */
export type FitText = "conversation" | "stories" | File;

export interface FitSection {
  button: HTMLButtonElement;
  controls: readonly (HTMLInputElement | HTMLSelectElement | HTMLButtonElement)[];
  start(): void;
  /** `student` of the shape that is chosen. */
  show(student: Student | null): void;
}

export function fitSection(actions: { onFit: (text: FitText) => void; onOpen: (file: File) => void }): FitSection {
  const button = find("swiftkv-fit", HTMLButtonElement);
  const choice = find("swiftkv-text", HTMLSelectElement);
  const text = find("swiftkv-file", HTMLInputElement);
  const saved = find("swiftkv-open", HTMLInputElement);
  const save = find("swiftkv-save", HTMLButtonElement);
  let current: Student | null = null;
  const chosen = (): FitText | undefined => {
    if (choice.value === "file") return text.files?.[0];
    return choice.value === "stories" ? "stories" : "conversation";
  };
  const start = (): void => {
    const what = chosen();
    if (what) actions.onFit(what);
    else text.click();
  };
  choice.addEventListener("change", () => {
    text.value = "";
    if (choice.value === "file") text.click();
  });
  text.addEventListener("change", () => showFile(choice, text.files?.[0]));
  saved.addEventListener("change", () => {
    const [file] = saved.files ?? [];
    saved.value = "";
    if (file) actions.onOpen(file);
  });
  save.addEventListener("click", () => current && download(current));
  return {
    button,
    controls: [choice, save, saved],
    start,
    show(student) {
      current = student;
      save.hidden = !(student?.source instanceof File);
    },
  };
}

/** The choice "A text file" bears the file's name. */
function showFile(choice: HTMLSelectElement, file: File | undefined): void {
  const option = choice.namedItem("swiftkv-text-file");
  if (option) option.textContent = file ? `The file ${file.name}` : "A text file …";
}

function download({ source, swiftkv }: Student): void {
  if (!(source instanceof File)) return;
  saveFile(source, `student-k${swiftkv.layers}${swiftkv.group > 1 ? `-g${swiftkv.group}` : ""}.safetensors`);
}

// Where a model is chosen: the opening view of the page.

import type { ModelSource } from "../src/index.ts";
import { droppedFiles, embedded, hub, localChoices } from "./catalogue.ts";
import type { Choice } from "./catalogue.ts";
import { find, make } from "./dom.ts";

/** Fills #picker-list and connects the form, the file inputs and drag and drop. The benchmark page uses it too. */
export async function picker(onChoose: (source: ModelSource, name: string) => void): Promise<void> {
  const list = find("picker-list", HTMLElement);
  const row = (choice: Choice): HTMLElement => {
    const button = make(
      "button",
      { type: "button", className: "model-row" },
      make("span", { className: "model-name", textContent: choice.name }),
      make("span", { className: "model-note", textContent: choice.note || String(choice.source) }),
      make("span", { className: "model-size", textContent: choice.size }),
    );
    button.addEventListener("click", () => onChoose(choice.source, choice.name));
    return make("li", {}, button);
  };
  const group = (title: string, choices: readonly Choice[]): HTMLElement =>
    make("section", { className: "model-group" }, make("h2", { textContent: title }), make("ul", {}, ...choices.map(row)));
  list.append(group("Included", [embedded]), group("From Hugging Face", hub));
  connectForm(onChoose);
  connectFiles(onChoose);
  const local = await localChoices();
  if (local.length > 0) list.insertBefore(group("In the models folder", local), list.children[1] ?? null);
}

function connectForm(onChoose: (source: ModelSource, name: string) => void): void {
  const form = find("picker-form", HTMLFormElement);
  const field = find("picker-source", HTMLInputElement);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    // People paste the address of the model's page; the engine wants the id.
    const source = field.value.trim().replace(/^https:\/\/huggingface\.co\/([\w.-]+\/[\w.-]+)\/?(?:tree\/main\/?)?$/, "$1");
    const valid = /^(https?:\/\/\S+|\/\S+|[\w.-]+\/[\w.-]+(@[\w./-]+)?)$/.test(source);
    field.setCustomValidity(valid ? "" : "Write owner/name, or an address that begins with https://");
    if (valid) onChoose(source, source.replace(/\/+$/, "").split("/").at(-1) ?? source);
    else field.reportValidity();
  });
  field.addEventListener("input", () => field.setCustomValidity(""));
}

function connectFiles(onChoose: (source: ModelSource, name: string) => void): void {
  for (const id of ["pick-files", "pick-folder"]) {
    const input = find(id, HTMLInputElement);
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      if (files.length > 0) onChoose(files, nameOf(files));
      input.value = "";
    });
  }
  const zone = find("drop-zone", HTMLElement);
  const over = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    zone.classList.add("over");
  };
  zone.addEventListener("dragenter", over);
  zone.addEventListener("dragover", over);
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const files = event.dataTransfer ? await droppedFiles(event.dataTransfer) : [];
    if (files.length > 0) onChoose(files, nameOf(files));
  });
}

/** The .gguf's name, else the folder's. */
function nameOf(files: readonly File[]): string {
  const single = files.find((file) => /\.gguf$/i.test(file.name));
  if (single) return single.name.replace(/\.gguf$/i, "");
  return files.map((file) => file.webkitRelativePath.split("/")[0]).find(Boolean) ?? "Own files";
}

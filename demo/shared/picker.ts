// The model picker, which the page opens with.

import type { ModelSource } from "../../src/index.ts";
import { droppedFiles, embedded, localChoices } from "./catalogue.ts";
import { type Choice, hub } from "./hub.ts";
import { make } from "./dom.ts";
import { fileKind } from "./dropped.ts";
import { RUNS } from "./trouble.ts";
import type { Properties } from "./dom.ts";

export type OnChoose = (source: ModelSource, name: string) => void;

export interface PickerOptions {
  onChoose: OnChoose;
  /** The model of the last visit, offered first. */
  last?: { source: string; name: string } | null;
  /** Files were dropped that are no model. */
  onWrong: (file: File) => void;
}

/** Fills `target` with models to choose, a field for any other, and a drop zone for the user's own files. The benchmark page uses it too. */
export async function picker(target: HTMLElement, { onChoose, last = null, onWrong }: PickerOptions): Promise<void> {
  const row = (choice: Choice): HTMLElement => {
    const button = make(
      "button",
      { type: "button", className: "model-row" },
      make("span", { className: "model-name", textContent: choice.name }),
      make("span", { className: "model-note", textContent: choice.note }),
      make("span", { className: "model-size", textContent: choice.size }),
    );
    button.addEventListener("click", () => onChoose(choice.source, choice.name));
    return make("li", {}, button);
  };
  const list = (title: string, choices: readonly Choice[]): HTMLElement =>
    group(title, make("ul", {}, ...choices.map(row)));
  const hint = `${RUNS} Downloads are kept in this browser.`;
  const others = group(
    "Any other model",
    otherForm(onChoose),
    dropZone(onChoose, onWrong),
    make("p", { className: "hint", textContent: hint }),
  );
  const online = list("From Hugging Face", hub);
  const again = last && list("Last used", [{ name: last.name, note: noteOf(last), size: "", source: last.source }]);
  target.replaceChildren(...(again ? [again] : []), list("Included", [embedded]), online, others);
  const local = await localChoices();
  if (local.length > 0) online.before(list("In the models folder", local));
}

/** What is known of it, else where it comes from. */
const noteOf = ({ source }: { source: string }): string =>
  [embedded, ...hub].find((choice) => choice.source === source)?.note ?? source;

const group = (title: string, ...children: HTMLElement[]): HTMLElement =>
  make("section", { className: "model-group" }, make("h2", { textContent: title }), ...children);

function otherForm(onChoose: OnChoose): HTMLElement {
  const field = make("input", {
    type: "text",
    placeholder: "owner/name, or https://…/model.gguf",
    autocomplete: "off",
    spellcheck: false,
    autocapitalize: "off",
    attributes: { "aria-label": "Hugging Face id or address" },
  });
  const load = make("button", { type: "submit", className: "quiet", textContent: "Load" });
  const form = make("form", { className: "picker-form", noValidate: true }, field, load);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const source = readSource(field.value);
    field.setCustomValidity(source ? "" : "Write owner/name, or an address that begins with https://");
    if (source) onChoose(source, nameOfSource(source));
    else field.reportValidity();
  });
  field.addEventListener("input", () => field.setCustomValidity(""));
  return form;
}

/** The source that the typed text names; null if it is neither an id nor an address. */
export function readSource(typed: string): string | null {
  // People paste the address of the model's page; the engine wants the id.
  const source = typed.trim().replace(/^https:\/\/huggingface\.co\/([\w.-]+\/[\w.-]+)\/?(?:tree\/main\/?)?$/, "$1");
  return /^(https?:\/\/\S+|\/\S+|[\w.-]+\/[\w.-]+(@[\w./-]+)?)$/.test(source) ? source : null;
}

/** A short name for an id, an address or a path. */
export function nameOfSource(source: string): string {
  if (source === embedded.source) return embedded.name;
  return hub.find((choice) => choice.source === source)?.name ?? source.replace(/\/+$/, "").split("/").at(-1) ?? source;
}

function dropZone(onChoose: OnChoose, onWrong: (file: File) => void): HTMLElement {
  const take = async (files: readonly File[]): Promise<void> => {
    const kinds = await Promise.all(files.map(fileKind));
    if (kinds.includes("model")) onChoose(files, nameOfFiles(files));
    else if (files[0]) onWrong(files[0]);
  };
  const choose = (label: string, properties: Properties<"input">): HTMLElement => {
    const input = make("input", { type: "file", className: "unseen", ...properties });
    input.addEventListener("change", () => {
      void take([...(input.files ?? [])]);
      input.value = "";
    });
    return make("label", { className: "quiet file" }, label, input);
  };
  const zone = make(
    "div",
    { className: "drop-zone" },
    make("p", { textContent: "Drop a .gguf file or a checkpoint folder here, or choose" }),
    choose("files", {
      ariaLabel: "Choose model files",
      multiple: true,
      accept: ".gguf,.safetensors,.json,.jinja,.txt",
    }),
    choose("a folder", { ariaLabel: "Choose a model folder", webkitdirectory: true }),
  );
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
    if (event.dataTransfer) void take(await droppedFiles(event.dataTransfer));
  });
  return zone;
}

/** The .gguf's name, else the folder's. */
function nameOfFiles(files: readonly File[]): string {
  const single = files.find((file) => /\.gguf$/i.test(file.name));
  if (single) return single.name.replace(/\.gguf$/i, "");
  return files.map((file) => file.webkitRelativePath.split("/")[0]).find(Boolean) ?? "Own files";
}

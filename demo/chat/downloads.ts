// The models that are kept in this browser: how large, in which precision, when used; deleted where the user says so.

import { kept } from "../../src/index.ts";
import type { KeptModel, KeptStorage } from "../../src/index.ts";
import { button, make } from "../shared/dom.ts";
import { bytes } from "../shared/numbers.ts";
import { nameOfSource } from "../shared/picker.ts";
import { type ModelUse, usesOf } from "./archive.ts";
import { ago } from "./kept.ts";
import { precisionOf } from "./precision.ts";

export interface DownloadActions {
  onLoad: (source: string, name: string) => unknown;
  /** Source of the model in use. */
  current: () => unknown;
}

/** Fills `target`; the result draws it again. */
export function downloadList(target: HTMLElement, actions: DownloadActions): () => Promise<void> {
  const draw = async (): Promise<void> => {
    const [models, space] = await Promise.all([kept.list(), kept.space()]);
    target.hidden = models.length === 0;
    const uses = usesOf();
    target.replaceChildren(
      make("h2", { textContent: "Kept in this browser" }),
      make("ul", {}, ...models.map((model) => row(model, uses[model.source], actions, draw))),
      storageLine(space, draw),
    );
  };
  return draw;
}

function row(
  model: KeptModel,
  use: ModelUse | undefined,
  { onLoad, current }: DownloadActions,
  onGone: () => unknown,
): HTMLElement {
  const name = nameOfSource(model.source);
  const open = make(
    "button",
    { type: "button", className: "model-row" },
    make("span", { className: "model-name", textContent: name }),
    make("span", { className: "model-note", textContent: noteOf(model, use, current() === model.source) }),
    make("span", { className: "model-size", textContent: bytes(model.bytes) }),
  );
  open.addEventListener("click", () => onLoad(model.source, name));
  return make("li", {}, open, deleteButton(name, model, onGone));
}

function noteOf(model: KeptModel, use: ModelUse | undefined, inUse: boolean): string {
  const state = model.isComplete ? "" : `not complete: ${bytes(model.totalBytes)} in all`;
  const when = inUse ? "in use" : use ? `used ${ago(use.used)}` : `downloaded ${ago(model.since)}`;
  return [precisionOf(model, use?.parameters), state, when].filter(Boolean).join(", ");
}

/** Asks once more: a download cannot be taken back. */
function deleteButton(name: string, model: KeptModel, onGone: () => unknown): HTMLElement {
  const element = make("button", { type: "button", className: "tool row-delete", textContent: "Delete" });
  const label = (text: string): void => {
    element.textContent = text;
    element.setAttribute("aria-label", `${text}: ${name}`);
  };
  let asked = false;
  const ask = (on: boolean): void => {
    asked = on;
    element.classList.toggle("asking", on);
    label(on ? "Really delete" : "Delete");
  };
  ask(false);
  element.addEventListener("blur", () => ask(false));
  element.addEventListener("click", async () => {
    if (!asked) return ask(true);
    await kept.delete(model.name);
    onGone();
  });
  return element;
}

function storageLine({ usedBytes, quotaBytes, isPersistent }: KeptStorage, redraw: () => unknown): HTMLElement {
  const free = quotaBytes === null ? "" : `, ${bytes(Math.max(0, quotaBytes - usedBytes))} free`;
  const kind = isPersistent
    ? "The browser deletes nothing by itself."
    : "The browser may clear it when the disk is full.";
  const text = make("p", { className: "hint", textContent: `Storage: ${bytes(usedBytes)} used${free}. ${kind}` });
  const ask = async (): Promise<void> => {
    if (await kept.persist()) return void redraw();
    text.textContent = `Storage: ${bytes(usedBytes)} used${free}. The browser did not agree to keep it for good.`;
  };
  const persist = isPersistent ? null : button("Keep it for good", "tool", ask);
  return make("div", { className: "storage" }, text, persist);
}

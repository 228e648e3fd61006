// A list of kept conversations: to open, rename, save, delete and bring back.

import { button, make } from "../shared/dom.ts";
import { conversations, type Kept, titleOf } from "./archive.ts";
import { menu, type MenuItem } from "./menu.ts";

export interface KeptActions {
  open: (kept: Kept) => unknown;
  /** For the menu of each. */
  items: (kept: Kept) => readonly MenuItem[];
  /** What was deleted last and can come back. */
  deleted: () => Kept | null;
  onUndo: () => unknown;
  onImport: (file: File) => unknown;
  onExportAll: () => unknown;
  /** What came of an import. */
  said: () => string;
}

/** So many are shown at first. */
const FEW = 5;

/** The result draws it, where it is on view. `current`: the conversation on view. `always`: also where there is nothing in it. */
export function keptList(target: HTMLElement, actions: KeptActions, current: () => string | null, always: boolean) {
  let whole = false;
  return async (): Promise<void> => {
    if (!target.parentElement!.checkVisibility()) return; // all conversations with their documents would be read for nothing
    const all = await conversations();
    target.hidden = !always && all.length === 0 && !actions.deleted() && actions.said() === "";
    if (target.hidden) return target.replaceChildren();
    const shown = whole ? all : all.slice(0, FEW);
    const more = button(`Show all ${all.length}`, "quiet", () => {
      whole = true;
      target.querySelectorAll<HTMLElement>(".model-row")[FEW - 1]?.focus();
      for (const kept of all.slice(FEW)) list.append(row(kept, actions, current()));
      more.remove();
    });
    const focus = focusIn(target);
    const list = make("ul", {}, ...shown.map((kept) => row(kept, actions, current())));
    target.replaceChildren(
      make("h2", { textContent: "Conversations" }),
      ...(all.length > 0 ? [list] : [make("p", { className: "hint", textContent: "None is kept in this browser." })]),
      ...undoLine(actions),
      make(
        "div",
        { className: "actions" },
        ...(all.length > shown.length ? [more] : []),
        importLabel(actions.onImport),
        ...(all.length > 1 ? [button("Export all", "tool", actions.onExportAll)] : []),
      ),
      make("p", { className: "hint", textContent: actions.said(), attributes: { role: "status" } }),
    );
    focus();
  };
}

/** Where the focus was in what is replaced it is again: at the same conversation, at Undo where that one is gone. */
function focusIn(target: HTMLElement): () => void {
  const now = document.activeElement;
  if (!now || !target.contains(now)) return () => {};
  const id = now.closest("li")?.dataset.id;
  return () => {
    const places = [`[data-id="${id}"] .menu-button`, ".undo button", ".model-row", "input"];
    const found = places.map((place) => target.querySelector<HTMLElement>(place)).find(Boolean);
    found?.focus();
  };
}

function row(kept: Kept, actions: KeptActions, current: string | null): HTMLElement {
  const title = titleOf(kept);
  const open = make(
    "button",
    { type: "button", className: "model-row" },
    make("span", { className: "model-name", textContent: title }),
    make("span", { className: "model-note", textContent: `${kept.model.name}, ${ago(kept.changed)}` }),
  );
  if (kept.id === current) open.setAttribute("aria-current", "true");
  open.addEventListener("click", () => actions.open(kept));
  const attributes = { "data-id": kept.id };
  return make("li", { attributes }, open, menu(`More: ${title}`, actions.items(kept)));
}

function undoLine({ deleted, onUndo }: KeptActions): HTMLElement[] {
  const kept = deleted();
  if (!kept) return [];
  const text = make("span", { textContent: `Deleted: ${titleOf(kept)}`, attributes: { role: "status" } });
  const undo = make("button", { type: "button", className: "quiet", textContent: "Undo" });
  undo.addEventListener("click", () => void onUndo());
  return [make("p", { className: "undo" }, text, undo)];
}

function importLabel(onImport: (file: File) => unknown): HTMLElement {
  const input = make("input", { type: "file", className: "unseen", accept: ".json,application/json" });
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    input.value = "";
    if (file) void onImport(file);
  });
  return make("label", { className: "tool file" }, "Import", input);
}

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 hours ago" */
export function ago(time: number): string {
  const seconds = (Date.now() - time) / 1000;
  const [unit, size] = UNITS.find(([, length]) => seconds >= length) ?? ["minute", Infinity];
  if (size === Infinity) return "just now";
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.floor(seconds / size), unit);
}

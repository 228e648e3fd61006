// The list of kept conversations above the models.

import { find, make } from "../shared/dom.ts";
import { conversations, forget, type Kept, titleOf } from "./archive.ts";

/** So many are shown at first. */
const FEW = 4;

/** Fills #kept; `onOpen` gets the one chosen. */
export async function showKept(onOpen: (kept: Kept) => void): Promise<void> {
  const target = find("kept", HTMLElement);
  const all = await conversations();
  target.hidden = all.length === 0;
  const again = (): Promise<void> => showKept(onOpen);
  const rows = all.map((kept, index) => row(kept, index >= FEW, onOpen, again));
  const list = make("ul", {}, ...rows);
  target.replaceChildren(make("h2", { textContent: "Conversations" }), list);
  if (all.length <= FEW) return;
  const more = make("button", { type: "button", className: "quiet", textContent: `Show all ${all.length}` });
  more.addEventListener("click", () => {
    more.remove();
    for (const each of rows) each.hidden = false;
    rows[FEW]?.querySelector("button")?.focus();
  });
  target.append(more);
}

function row(kept: Kept, hidden: boolean, onOpen: (kept: Kept) => void, onGone: () => unknown): HTMLElement {
  const title = titleOf(kept);
  const open = make(
    "button",
    { type: "button", className: "model-row" },
    make("span", { className: "model-name", textContent: title }),
    make("span", { className: "model-note", textContent: `${kept.model.name}, ${ago(kept.changed)}` }),
  );
  open.addEventListener("click", () => onOpen(kept));
  const remove = make("button", {
    type: "button",
    className: "row-remove",
    textContent: "×",
    ariaLabel: `Delete: ${title}`,
  });
  remove.addEventListener("click", async () => {
    await forget(kept.id);
    onGone();
  });
  return make("li", { hidden }, open, remove);
}

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 hours ago" */
function ago(time: number): string {
  const seconds = (Date.now() - time) / 1000;
  const [unit, size] = UNITS.find(([, length]) => seconds >= length) ?? ["minute", Infinity];
  if (size === Infinity) return "just now";
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.floor(seconds / size), unit);
}

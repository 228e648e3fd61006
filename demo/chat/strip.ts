// The strip below a reply that shows which passages of its prompt it read: a cell for each, coloured by how often.

import { make } from "../shared/dom.ts";
import { mostRead, type Passage, type ReadPassage, strengthOf } from "./passages.ts";

const HINT =
  "In every layer each word of the reply picks the passages that it looks at, beside a few that it always sees. The stronger the colour, the more often a passage was picked. The striped end is always read.";

/** It folds. The cells are one control: arrow keys and the pointer go from passage to passage, whose words stand below. */
export function readingStrip(passages: readonly ReadPassage[]): HTMLDetailsElement {
  const cells = passages.map((passage) => cell(passage, strengthOf(passage, passages)));
  const strip = make("div", { className: "strip", tabIndex: 0, attributes: sliderRole(passages.length) }, ...cells);
  const title = make("strong");
  const words = make("q");
  let at = mostRead(passages);
  const show = (index: number): void => {
    cells[at]!.classList.remove("at");
    at = Math.max(0, Math.min(passages.length - 1, index));
    cells[at]!.classList.add("at");
    title.textContent = titleOf(passages, at);
    words.textContent = passages[at]!.words;
    strip.setAttribute("aria-valuenow", String(at + 1));
    strip.setAttribute("aria-valuetext", `${title.textContent}: ${words.textContent}`);
  };
  show(at);
  connectKeys(strip, (step) => show(at + step));
  connectPointer(strip, cells, show);
  const summary = make("summary", { textContent: "What this reply read" });
  const passage = make("p", { className: "passage" }, title, words);
  const hint = make("p", { className: "hint", textContent: HINT });
  return make("details", { className: "folded attended", open: true }, summary, strip, passage, hint);
}

const sliderRole = (passages: number): Record<string, string> => ({
  role: "slider",
  "aria-label": "Passages of the text",
  "aria-valuemin": "1",
  "aria-valuemax": String(passages),
});

function cell({ whole }: Passage, strength: number): HTMLElement {
  const element = make("i", { className: whole ? "whole" : "" });
  element.style.setProperty("--strength", `${(100 * strength).toFixed(1)}%`);
  return element;
}

function titleOf(passages: readonly Passage[], at: number): string {
  const { share, whole } = passages[at]!;
  const place = `Passage ${at + 1} of ${passages.length}`;
  if (whole) return `${place}, the end: always read`;
  return `${place}, picked ${Math.round(100 * share)} % of the time${at === mostRead(passages) ? ", the most" : ""}`;
}

/** Larger steps with Page Up and Down. */
const STEPS: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowDown: -1,
  ArrowRight: 1,
  ArrowUp: 1,
  PageDown: -10,
  PageUp: 10,
  Home: -Infinity,
  End: Infinity,
};

function connectKeys(strip: HTMLElement, move: (step: number) => void): void {
  strip.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move(step);
  });
}

/** A mouse shows what it is over; a finger, what it taps or is drawn across. */
function connectPointer(strip: HTMLElement, cells: readonly HTMLElement[], show: (index: number) => void): void {
  const follow = ({ clientX, clientY }: PointerEvent): void => {
    const index = cells.findIndex((each) => each === document.elementFromPoint(clientX, clientY));
    if (index >= 0) show(index);
  };
  strip.addEventListener("pointerdown", follow);
  strip.addEventListener("pointermove", follow);
}

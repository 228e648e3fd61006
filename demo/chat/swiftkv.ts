// The panel "Faster reading": the switch between dense and SwiftKV, what each of the two costs, and students fitted to a text.

import type { Engine } from "../../src/index.ts";
import { find } from "../shared/dom.ts";
import { count } from "../shared/numbers.ts";
import { shippedStudents } from "../shared/students.ts";
import { fitSection } from "./fitting.ts";
import type { FitText } from "./fitting.ts";
import type { Priced } from "./recipes.ts";
import { shapeFields } from "./shape.ts";
import { Shelf } from "./shelf.ts";
import type { Student } from "./shelf.ts";
import { sidesTable, verdict } from "./sides.ts";
import type { Side } from "./sides.ts";
import { cachesOf, keyOf } from "./twin.ts";
import type { FirstToken, Likeness, RunMode } from "./twin.ts";
import { workView } from "./work.ts";
import type { Work } from "./work.ts";

export interface SwiftKvPanel {
  /** Shows how a model runs. Its button appears if the model can run both ways. */
  show(engine: Engine, mode: RunMode): void;
  /** No model is loaded: measurements and students are forgotten. */
  reset(): void;
  /** The chosen variant on one side of the switch. */
  mode(swiftkv: boolean): RunMode;
  /** A student that SwiftKV of its shape runs with from now on. */
  keep(student: Student): void;
  /** The time to a first token on the engine in use, and how alike its reply was. */
  record(first: FirstToken, likeness?: Likeness): void;
  /** While anything runs, nothing can be switched. */
  work(work: Work): void;
  /** Progress; null = unknown. */
  progress(text: string, share: number | null): void;
  /** Says how the two compare. `where`: on what text. */
  tell(where: string): void;
  /** Null removes the last one. */
  trouble(card: HTMLElement | null): void;
}

export interface SwiftKvActions {
  /** The user wants to switch how the model runs. */
  onMode: (mode: RunMode) => void;
  onCompare: () => void;
  onFit: (text: FitText) => void;
  /** The user has a student as a file. */
  onOpen: (file: File) => void;
  onStop: () => void;
}

interface Shown {
  mode: RunMode;
  shelf: Shelf;
  layers: number;
  context: number;
  model: Priced;
  /** Of one cache and token. */
  cacheBytes: number;
  /** The checkpoint's SwiftKV heads are trained, and these are in use. */
  trained: boolean;
}

interface Measured {
  first: FirstToken;
  likeness: Likeness | null;
}

/** Connects the panel in index.html. */
export function swiftkvPanel({ onMode, onCompare, onFit, onOpen, onStop }: SwiftKvActions): SwiftKvPanel {
  const shape = shapeFields();
  const toggle = find("swiftkv-on", HTMLInputElement);
  const fitting = fitSection({ onFit, onOpen });
  const measured = new Map<string, Measured>();
  const compare = find("swiftkv-compare", HTMLButtonElement);
  const work = workView(
    [
      { button: compare, work: "comparing", stop: "Stop comparing", onStart: onCompare },
      { button: fitting.button, work: "fitting", stop: "Stop fitting", onStart: fitting.start },
    ],
    [toggle, ...shape.fields, ...fitting.controls],
    onStop,
  );
  let shown: Shown | null = null;
  const mode = (swiftkv: boolean): RunMode => {
    const chosen = swiftkv ? shape.swiftkv() : null;
    return { swiftkv: chosen, kv: shape.kv(), student: chosen && (shown?.shelf.of(chosen) ?? null) };
  };
  const sideOf = (name: string, each: RunMode, { layers, context, cacheBytes }: Shown): Side => {
    const { first = null, likeness = null } = measured.get(keyOf(each)) ?? {};
    const tokenBytes = cacheBytes * cachesOf(each.swiftkv, layers);
    return { name, first, likeness, tokenBytes, cacheBytes: tokenBytes * context };
  };
  const pair = (state: Shown): [Side, Side] => [
    sideOf("Dense", mode(false), state),
    sideOf("SwiftKV", mode(true), state),
  ];
  const draw = (): void => {
    if (!shown) return;
    const sides = pair(shown);
    drawState(shown);
    shape.limit(shown.model, shown.context);
    const { student } = mode(true);
    drawStudent(student, shown);
    fitting.show(student);
    find("swiftkv-sides", HTMLTableElement).replaceChildren(...sidesTable(sides, sides[shown.mode.swiftkv ? 1 : 0]));
  };
  /** Changing a shape that is not in use needs no new engine. */
  const change = (): void => {
    const wanted = mode(toggle.checked);
    say("");
    draw();
    toggle.checked = wanted.swiftkv !== null; // shown at once, though the engine follows later
    if (shown && keyOf(wanted) !== keyOf(shown.mode)) onMode(wanted);
  };
  const say = (text: string): void => void (find("swiftkv-verdict", HTMLElement).textContent = text);
  const showTrouble = (card: HTMLElement | null): void => {
    find("swiftkv-trouble", HTMLElement).replaceChildren(...(card ? [card] : []));
    card?.scrollIntoView({ block: "nearest" });
  };

  toggle.addEventListener("change", change);
  shape.onChange(change);
  find("swiftkv-form", HTMLFormElement).addEventListener("submit", (event) => event.preventDefault());

  return {
    mode,
    show(engine, next) {
      const { model } = engine;
      const cacheBytes = engine.stats().kvBytesPerToken / cachesOf(next.swiftkv, model.layers);
      const shelf = shown?.shelf ?? new Shelf(model, shippedStudents);
      if (!shown) shape.offer(model.layers, shelf);
      const trained = next.swiftkv !== null && next.student === null && !model.undistilled;
      shown = { mode: next, shelf, layers: model.layers, context: model.context, model, cacheBytes, trained };
      shape.set(next);
      find("swiftkv-button", HTMLElement).hidden = !model.convertible;
      draw();
    },
    reset() {
      shown = null;
      measured.clear();
      find("swiftkv-button", HTMLElement).hidden = true;
      say("");
      showTrouble(null);
    },
    keep(student) {
      if (!shown) return;
      shown.shelf.put(student);
      shape.relabel(shown.shelf);
      find("swiftkv-note", HTMLElement).scrollIntoView({ block: "nearest" });
    },
    record(first, likeness) {
      if (!shown) return;
      const key = keyOf(shown.mode);
      measured.set(key, { first, likeness: likeness ?? measured.get(key)?.likeness ?? null });
      say("");
      draw();
    },
    work(state) {
      work.show(state);
      if (state !== "none" || !shown) return;
      shape.set(shown.mode); // the chosen shape may have failed
      draw();
    },
    progress: work.progress,
    tell: (where) => void (shown && say(verdict(where, pair(shown)))),
    trouble: showTrouble,
  };
}

/** The switch as it stands. */
function drawState({ mode: { swiftkv }, layers }: Shown): void {
  const total = count(layers);
  find("swiftkv-on", HTMLInputElement).checked = swiftkv !== null;
  find("swiftkv-state", HTMLElement).textContent = swiftkv
    ? `On: the prompt passes ${count(swiftkv.layers)} of ${total} layers`
    : `Off: the prompt passes all ${total} layers`;
  const opener = find("swiftkv-button", HTMLButtonElement);
  opener.classList.toggle("on", swiftkv !== null);
  opener.setAttribute("aria-label", `Faster reading (SwiftKV), ${swiftkv ? "on" : "off"}`);
}

const UNFITTED =
  "Not fitted for these layers: fast to read, but its answers are often poor. Fit it to a text below first.";
const OWN = "The model was trained for this.";

/** How the student that is chosen was made. */
function drawStudent(student: Student | null, { mode: { swiftkv }, trained }: Shown): void {
  const note = find("swiftkv-note", HTMLElement);
  note.textContent = student?.note ?? (trained ? OWN : UNFITTED);
  note.classList.toggle("now", swiftkv !== null && !student && !trained);
}

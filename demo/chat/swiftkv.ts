// The panel with the switch between dense and SwiftKV, and what each of the two costs.

import type { Engine } from "../../src/index.ts";
import { find, make } from "../shared/dom.ts";
import { count } from "../shared/numbers.ts";
import { OFFERS, offered } from "./recipes.ts";
import { sidesTable, verdict } from "./sides.ts";
import type { Side } from "./sides.ts";
import { cachesOf, groupsOf } from "./twin.ts";
import type { FirstToken, RunMode } from "./twin.ts";

/** What the engine is doing, as far as it concerns the panel. */
export type Work = "none" | "reply" | "turning" | "comparing";

export interface SwiftKvPanel {
  /** Shows how a model runs. Its button appears if the model can run both ways. */
  show(engine: Engine, mode: RunMode): void;
  /** No model is loaded: measurements are discarded. */
  reset(): void;
  /** The chosen variant on one side of the switch. */
  mode(swiftkv: boolean): RunMode;
  /** The time to a first token on the engine in use. */
  record(first: FirstToken): void;
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
  onStop: () => void;
}

interface Shown {
  mode: RunMode;
  layers: number;
  context: number;
  /** Of one cache and token. */
  cacheBytes: number;
  /** The checkpoint's SwiftKV heads are trained, and these are in use. */
  trained: boolean;
}

/** Measurements of different shapes and formats are kept apart. */
const keyOf = ({ swiftkv, kv }: RunMode): string => (swiftkv ? `${kv} ${swiftkv.layers} ${swiftkv.group}` : kv);

const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

function fill<T>(select: HTMLSelectElement, values: readonly T[], label: (value: T) => string): void {
  const options = values.map((value) => make("option", { value: String(value), textContent: label(value) }));
  select.replaceChildren(...options);
}

/** Connects the panel in index.html. */
export function swiftkvPanel({ onMode, onCompare, onStop }: SwiftKvActions): SwiftKvPanel {
  const shape = shapeFields();
  const toggle = find("swiftkv-on", HTMLInputElement);
  const measured = new Map<string, FirstToken>();
  const work = workView(() => [toggle, ...shape.fields]);
  let shown: Shown | null = null;
  const mode = (swiftkv: boolean): RunMode => ({ swiftkv: swiftkv ? shape.swiftkv() : null, kv: shape.kv() });
  const sideOf = (name: string, each: RunMode, { layers, context, cacheBytes }: Shown): Side => {
    const tokenBytes = cacheBytes * cachesOf(each.swiftkv, layers);
    return { name, first: measured.get(keyOf(each)) ?? null, tokenBytes, cacheBytes: tokenBytes * context };
  };
  const pair = (state: Shown): [Side, Side] => [
    sideOf("Dense", mode(false), state),
    sideOf("SwiftKV", mode(true), state),
  ];
  const draw = (): void => {
    if (!shown) return;
    const sides = pair(shown);
    drawState(shown);
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
  work.onPress(onCompare, onStop);
  find("swiftkv-form", HTMLFormElement).addEventListener("submit", (event) => event.preventDefault());

  return {
    mode,
    show(engine, next) {
      const { model } = engine;
      const cacheBytes = engine.stats().kvBytesPerToken / cachesOf(next.swiftkv, model.layers);
      if (shown?.layers !== model.layers) shape.offer(model.layers);
      const trained = next.swiftkv !== null && !model.undistilled;
      shown = { mode: next, layers: model.layers, context: model.context, cacheBytes, trained };
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
    record(first) {
      if (!shown) return;
      measured.set(keyOf(shown.mode), first);
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
function drawState({ mode: { swiftkv }, layers, trained }: Shown): void {
  const total = count(layers);
  find("swiftkv-on", HTMLInputElement).checked = swiftkv !== null;
  find("swiftkv-state", HTMLElement).textContent = swiftkv
    ? `On: the prompt passes ${count(swiftkv.layers)} of ${total} layers`
    : `Off: the prompt passes all ${total} layers`;
  const caution = find("swiftkv-caution", HTMLElement);
  caution.classList.toggle("now", swiftkv !== null);
  caution.hidden = trained;
  const opener = find("swiftkv-button", HTMLButtonElement);
  opener.classList.toggle("on", swiftkv !== null);
  opener.setAttribute("aria-label", `Faster reading (SwiftKV), ${swiftkv ? "on" : "off"}`);
}

interface ShapeFields {
  fields: readonly HTMLSelectElement[];
  swiftkv(): NonNullable<RunMode["swiftkv"]>;
  kv(): string;
  /** The default for a model of so many layers: prompts run half of them, no caches are shared. */
  offer(layers: number): void;
  set(mode: RunMode): void;
  onChange(listener: () => void): void;
}

function shapeFields(): ShapeFields {
  const own = find("swiftkv-layers", HTMLSelectElement);
  const group = find("swiftkv-group", HTMLSelectElement);
  const format = find("swiftkv-kv", HTMLSelectElement);
  const fields = [own, group, format];
  let layers = 0;
  const notes = new Map(OFFERS.map(({ recipe, note }) => [recipe, `${recipe}, ${note}`]));
  fill(format, [...notes.keys()], (recipe) => notes.get(recipe) ?? recipe);
  const offerGroups = (wanted: number): void => {
    const usual = groupsOf(Number(own.value), layers);
    const trained = (layers - Number(own.value)) % wanted === 0 ? [wanted] : [];
    const possible = [...new Set([...usual, ...trained])].toSorted((a, b) => a - b);
    fill(group, possible, (size) => (size === 1 ? "None" : `${size} layers each`));
    group.value = String(possible.includes(wanted) ? wanted : 1);
  };
  own.addEventListener("change", () => offerGroups(Number(group.value)));
  return {
    fields,
    swiftkv: () => ({ layers: Number(own.value), group: Number(group.value) }),
    kv: () => offered(format.value),
    offer(total) {
      layers = total;
      fill(own, range(0, total - 1), (value) => `${value} of ${total}`);
      own.value = String(Math.ceil(total / 2));
      offerGroups(1);
    },
    set({ swiftkv, kv }) {
      format.value = kv;
      if (!swiftkv) return;
      own.value = String(swiftkv.layers);
      offerGroups(swiftkv.group);
    },
    onChange: (listener) => fields.forEach((field) => field.addEventListener("change", listener)),
  };
}

interface WorkView {
  show(work: Work): void;
  progress(text: string, share: number | null): void;
  onPress(compare: () => void, stop: () => void): void;
}

/** The button that compares or stops, its progress, and `controls`, which are locked meanwhile. */
function workView(controls: () => readonly (HTMLInputElement | HTMLSelectElement)[]): WorkView {
  const view = find("swiftkv-work", HTMLElement);
  const bar = find("swiftkv-bar", HTMLElement);
  const button = find("swiftkv-compare", HTMLButtonElement);
  let comparing = false;
  /** A control that is locked loses the focus; it gets it back when unlocked. */
  let focused: Element | null = null;
  const lock = (locked: boolean): void => {
    const all = controls();
    if (locked) focused = all.find((control) => control === document.activeElement) ?? null;
    for (const control of all) control.disabled = locked;
    if (!locked && focused instanceof HTMLElement && document.activeElement === document.body) focused.focus();
  };
  return {
    show(work) {
      comparing = work === "comparing";
      lock(work !== "none");
      button.disabled = work === "reply" || work === "turning";
      button.textContent = comparing ? "Stop comparing" : "Compare on this conversation";
      view.hidden = work === "none" || work === "reply";
    },
    progress(text, share) {
      bar.classList.toggle("endless", share === null);
      bar.style.setProperty("--done", `${100 * (share ?? 1)}%`);
      if (share === null) bar.removeAttribute("aria-valuenow");
      else bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
      find("swiftkv-doing", HTMLElement).textContent = text;
    },
    onPress: (compare, stop) => button.addEventListener("click", () => (comparing ? stop : compare)()),
  };
}

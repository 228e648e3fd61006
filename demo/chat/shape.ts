// The fields that say how SwiftKV runs a model: its layers, shared caches, the format of keys and values.

import type { SwiftKv } from "../../src/index.ts";
import { find, make } from "../shared/dom.ts";
import { OFFERS, offered, priceOf, type Priced } from "./recipes.ts";
import type { Shelf } from "./shelf.ts";
import { groupsOf } from "./twin.ts";
import type { RunMode } from "./twin.ts";

export interface ShapeFields {
  fields: readonly HTMLSelectElement[];
  swiftkv(): SwiftKv;
  kv(): string;
  /** For a model of so many layers, with its students. Begins with the first of them, else with three layers of four. */
  offer(layers: number, shelf: Shelf): void;
  /** A student was added. */
  relabel(shelf: Shelf): void;
  set(mode: RunMode): void;
  /** Only recipes that this model can have, on either side of the switch, can be chosen; tokens: its context. */
  limit(model: Priced, tokens: number): void;
  onChange(listener: () => void): void;
}

const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

function fill<T>(select: HTMLSelectElement, values: readonly T[], label: (value: T) => string): void {
  const options = values.map((value) => make("option", { value: String(value), textContent: label(value) }));
  select.replaceChildren(...options);
}

export function shapeFields(): ShapeFields {
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
  const relabel = (shelf: Shelf): void => {
    for (const option of own.options) {
      const kind = shelf.kind(Number(option.value));
      option.textContent = `${option.value} of ${layers}${kind ? `, ${kind}` : ""}`;
    }
  };
  own.addEventListener("change", () => offerGroups(Number(group.value)));
  return {
    fields,
    swiftkv: () => ({ layers: Number(own.value), group: Number(group.value) }),
    kv: () => offered(format.value),
    relabel,
    offer(total, shelf) {
      layers = total;
      fill(own, range(0, total - 1), String);
      relabel(shelf);
      const begin = shelf.first({ layers: Math.ceil((3 * total) / 4), group: 1 });
      own.value = String(begin.layers);
      offerGroups(begin.group);
    },
    set({ swiftkv, kv }) {
      format.value = kv;
      if (!swiftkv) return;
      own.value = String(swiftkv.layers);
      offerGroups(swiftkv.group);
    },
    limit(model, tokens) {
      const price = (recipe: string, swiftkv: SwiftKv | null): unknown =>
        priceOf(recipe, { ...model, kvShape: { ...model.kvShape, swiftkv } }, tokens);
      for (const option of format.options) {
        const sides = [null, { layers: Number(own.value), group: Number(group.value) }];
        const problem = sides.map((side) => price(option.value, side)).find((each) => typeof each === "string");
        option.disabled = problem !== undefined && !option.selected; // what is chosen can be seen to be the reason
        option.title = typeof problem === "string" ? problem : "";
      }
    },
    onChange: (listener) => fields.forEach((field) => field.addEventListener("change", listener)),
  };
}

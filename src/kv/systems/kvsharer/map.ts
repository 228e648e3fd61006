// Which layers read another one's keys and values, as text: "5-2/7-2", layer 5 and layer 7 read those of layer 2; "none".
import { InputError } from "../../../errors.ts";
import type { Layout } from "../../layout.ts";

/** [layers] the layer whose keys and values each reads; itself where it has its own. */
export type ShareMap = readonly number[];

const NONE = "none";

export const MAP_PATTERN = /^(none|\d+-\d+(\/\d+-\d+)*)$/;

/** Reads a map for a model of so many layers, of which the first `own` may share. Throws InputError with what is wrong in it. */
export function readMap(text: string, layers: number, own = layers): ShareMap {
  const map = Array.from({ length: layers }, (_, layer) => layer);
  for (const pair of text === NONE ? [] : text.split("/")) {
    const [reader, owner] = pair.split("-").map(Number) as [number, number];
    const problem = problemOf(map, reader, owner, own);
    if (problem)
      throw new InputError(`kv: kvsharer:map; got ${pair}, ${problem}. Take a map that was made for this model.`);
    map[reader] = owner;
  }
  const chain = map.findIndex((owner) => map[owner] !== owner);
  if (chain >= 0) {
    throw new InputError(
      `kv: kvsharer:map; got ${chain}-${map[chain]!}, want a layer that has keys and values of its own: ${map[chain]!} reads those of ${map[map[chain]!]!}.`,
    );
  }
  return map;
}

function problemOf(map: ShareMap, reader: number, owner: number, own: number): string | null {
  if (reader >= own) return `want layers below ${own}${own < map.length ? ", where SwiftKV's begin" : ""}`;
  if (owner >= reader) return "want an earlier layer's keys and values, which are there already";
  return map[reader] === reader ? null : `want layer ${reader} once`;
}

export function writeMap(map: ShareMap): string {
  const pairs = map.flatMap((owner, reader) => (owner === reader ? [] : [`${reader}-${owner}`]));
  return pairs.length > 0 ? pairs.join("/") : NONE;
}

/** `base`, where layers that share fill no store. Those that are left keep their order. */
export function sharedLayout(base: Layout, map: ShareMap): Layout {
  const shares = (layer: number) => map[layer] !== layer;
  const gone = base.owners.map((owner) => owner < base.boundary && shares(owner));
  const numbers = gone.map((_, store) => gone.slice(0, store).filter((each) => !each).length);
  const numberOf = (store: number): number => numbers[store] ?? numbers.length - gone.filter(Boolean).length;
  return {
    stores: gone.filter((each) => !each).length,
    reads: base.reads.map((store, layer) => numberOf(shares(layer) ? base.reads[map[layer]!]! : store)),
    fills: base.fills.map(({ first, count }, layer) => ({ first: numberOf(first), count: shares(layer) ? 0 : count })),
    owners: base.owners.filter((_, store) => !gone[store]),
    boundary: base.boundary,
  };
}

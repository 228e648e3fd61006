// Distances between layers, and maps of which reads whose keys and values: numbers only.
import type { ShareMap } from "../kv/systems/kvsharer/map.ts";

/** [texts][layers] of [tokens, G, E]. */
type Heads = readonly (readonly Float32Array[])[];

export interface LayerPair {
  reader: number;
  owner: number;
  distance: number;
}

export const meanOf = (numbers: readonly number[]): number =>
  numbers.reduce((sum, each) => sum + each, 0) / numbers.length;

/** [layers] means over texts of equal length. */
const averages = (texts: Heads): Float64Array[] =>
  texts[0]!.map((first, layer) => Float64Array.from(first, (_, i) => meanOf(texts.map((text) => text[layer]![i]!))));

/** Mean over tokens and heads of the distance of two heads. */
function distanceOf(a: Float64Array, b: Float64Array, width: number): number {
  let total = 0;
  for (let at = 0; at < a.length; at += width) {
    let squares = 0;
    for (let e = at; e < at + width; e++) squares += (a[e]! - b[e]!) ** 2;
    total += Math.sqrt(squares);
  }
  return (total * width) / a.length;
}

/** All pairs of a layer and an earlier one, the most different first: by the mean of the distances of their averaged keys and values. */
export function byDistance(keys: Heads, values: Heads, width: number): LayerPair[] {
  const [k, v] = [averages(keys), averages(values)];
  const pairs = k.flatMap((_, reader) =>
    k.slice(0, reader).map((_, owner) => ({
      reader,
      owner,
      distance: (distanceOf(k[reader]!, k[owner]!, width) + distanceOf(v[reader]!, v[owner]!, width)) / 2,
    })),
  );
  return pairs.sort((a, b) => b.distance - a.distance);
}

/** The map with one reader more; whoever read from it reads from where it does. */
export function withPair(map: ShareMap, reader: number, owner: number): ShareMap {
  const next = map.map((each, layer) => (layer === reader ? owner : each));
  return next.map((each) => next[each]!);
}

/** Mean over rows of [*, width] of the cosine between them. */
export function cosineOf(a: Float32Array, b: Float32Array, width: number): number {
  const rows = Array.from({ length: a.length / width }, (_, row) => {
    let [ab, aa, bb] = [0, 0, 0];
    for (let i = row * width; i < (row + 1) * width; i++) {
      ab += a[i]! * b[i]!;
      aa += a[i]! ** 2;
      bb += b[i]! ** 2;
    }
    return ab / Math.sqrt(aa * bb);
  });
  return meanOf(rows);
}

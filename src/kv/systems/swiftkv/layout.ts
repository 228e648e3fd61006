// SwiftKV as a layout. Layers below K own a store each; the later ones read stores in groups of G, and what enters layer K
// makes the keys and values of all of them. docs/swiftkv.md explains it, model/swiftkv/ has the weights.
import type { SwiftKv } from "../../../api.ts";
import { type Layout, ordinaryLayout } from "../../layout.ts";

/** The layout of a model of `layers` layers; `swiftkv` null: an ordinary one. The shape has been checked. */
export function layoutOf(layers: number, swiftkv: SwiftKv | null): Layout {
  if (!swiftkv) return ordinaryLayout(layers);
  const { layers: own, group } = swiftkv;
  const groups = (layers - own) / group;
  const storeOf = (layer: number) => (layer < own ? layer : own + Math.floor((layer - own) / group));
  const all = Array.from({ length: layers }, (_, layer) => layer);
  return {
    stores: own + groups,
    reads: all.map(storeOf),
    fills: all.map((layer) => ({ first: Math.min(layer, own), count: layer < own ? 1 : layer === own ? groups : 0 })),
    owners: Array.from({ length: own + groups }, (_, store) => (store < own ? store : own + (store - own) * group)),
    boundary: own,
  };
}

/** Layers that read a store, in order: one, or the members of a group. */
export const readersOf = ({ reads }: Layout, store: number): number[] =>
  [...reads.keys()].filter((layer) => reads[layer] === store);

export const sameShape = (a: SwiftKv | null, b: SwiftKv): boolean => a?.layers === b.layers && a.group === b.group;

/** What is wrong with a shape for a model of so many layers, or null. */
export function shapeProblem(
  { layers: own, group }: SwiftKv,
  layers: number,
): { field: keyof SwiftKv; text: string } | null {
  if (!Number.isInteger(own) || own < 0 || own > layers) {
    return { field: "layers", text: `got ${own}, want a whole number from 0 to ${layers}, the layers of the model` };
  }
  const later = layers - own;
  if (Number.isInteger(group) && group >= 1 && later % group === 0) return null;
  return { field: "group", text: `got ${group}, want a divisor of ${later}, the layers after the first ${own}` };
}

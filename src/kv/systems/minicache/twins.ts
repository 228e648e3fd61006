// Which layers share pages: neighbours, two by two.
import type { Layout } from "../../layout.ts";
import { readersOf } from "../swiftkv/layout.ts";

/**
 * First stores of twins: from layer `start` on, two layers at a time that follow each other, each with keys and values of its own that
 * no other layer reads, and which see alike (`windows` [L]). On a SwiftKV model both lie on one side of the boundary.
 */
export function twinsOf(layout: Layout, windows: readonly number[], start: number): number[] {
  const { reads, boundary } = layout;
  const isOwn = (layer: number) => layer < reads.length && readersOf(layout, reads[layer]!).length === 1;
  const fit = (layer: number) =>
    isOwn(layer) && isOwn(layer + 1) && windows[layer] === windows[layer + 1] && layer + 1 !== boundary;
  const twins: number[] = [];
  for (let layer = start; layer < reads.length; layer++) if (fit(layer)) twins.push(reads[layer++]!);
  return twins;
}

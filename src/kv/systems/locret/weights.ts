// The heads' tensors: of layer i, locret.layers.{i}.w1 [(H + 2·G)·E, HIDDEN] and w2 [HIDDEN, G]; score = SiLU([q; k; v]·w1)·w2.
import type { KvModel } from "../../../api.ts";

/** Hidden units of a head. A quarter of the paper's 1024 would be 24 MB for a model of 135M; this is 4. */
export const HIDDEN = 64;

type Widths = Pick<KvModel, "heads" | "kvHeads" | "headWidth">;

/** Channels of a token's queries, keys and values. */
const inputsOf = ({ heads, kvHeads, headWidth }: Widths): number => (heads + 2 * kvHeads) * headWidth;

/** Weights of one layer's head. */
export const weightCount = (model: Widths): number => (inputsOf(model) + model.kvHeads) * HIDDEN;

/** In the order in which one buffer has them. */
export function weightNames(model: KvModel): { names: string[]; lengths: number[] } {
  const layers = Array.from({ length: model.layers }, (_, layer) => layer);
  return {
    names: layers.flatMap((layer) => [`locret.layers.${layer}.w1`, `locret.layers.${layer}.w2`]),
    lengths: layers.flatMap(() => [inputsOf(model) * HIDDEN, HIDDEN * model.kvHeads]),
  };
}

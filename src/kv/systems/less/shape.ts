// The sizes of LESS's feature maps and state, and the names of their tensors.
import type { KvModel } from "../../../api.ts";
import type { SystemTensors } from "../../system.ts";

/** Features of a query and a key: rows of a state. The kernels know it. */
export const FEATURES = 8;
/** Width of a map's first layer. */
export const HIDDEN = 32;

/** Tensors of a map in a file, each flat, and their lengths: what a kernel finds one after another. */
type Parts = readonly (readonly [name: string, length: number])[];

const queryParts = ({ heads, headWidth }: KvModel): Parts => [
  ["query.in", heads * headWidth * HIDDEN],
  ["query.out", heads * HIDDEN * FEATURES],
];

const keyParts = ({ kvHeads, headWidth }: KvModel): Parts => [
  ["key.in", kvHeads * headWidth * HIDDEN],
  ["key.out", kvHeads * HIDDEN * FEATURES],
  ["key.mix", kvHeads * FEATURES * FEATURES],
  ["key.gain", kvHeads * FEATURES],
  ["key.shift", kvHeads * FEATURES],
];

/** What the trained maps are on the GPU. */
export interface Maps {
  /** [layers] φ of the layer's query heads */
  queries: readonly GPUBuffer[];
  /** [layers] ψ of its KV heads */
  keys: readonly GPUBuffer[];
}

/** Names the maps of every layer, `less.layers.{i}.…`. Throws ModelError where one is missing. */
export function nameMaps(tensors: SystemTensors, model: KvModel): Maps {
  const named = (layer: number, parts: Parts) =>
    tensors.vector(
      parts.map(([name]) => `less.layers.${layer}.${name}`),
      parts.map(([, length]) => length),
    );
  const layers = Array.from({ length: model.layers }, (_, layer) => layer);
  return {
    queries: layers.map((layer) => named(layer, queryParts(model))),
    keys: layers.map((layer) => named(layer, keyParts(model))),
  };
}

/** Bytes of the maps of all layers, as f32. */
export function mapBytes(model: KvModel): number {
  const lengths = [...queryParts(model), ...keyParts(model)].map(([, length]) => length);
  return 4 * model.layers * lengths.reduce((sum, length) => sum + length, 0);
}

/** Numbers of a state: (H, z) of one KV head and store. */
export const stateNumbers = ({ headWidth }: KvModel): number => FEATURES * (headWidth + 1);

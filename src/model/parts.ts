// What the programs of a model are built from.
import type { SwiftKv } from "../api.ts";
import type { Gpu } from "../gpu/device.ts";
import type { KvStore } from "../kv/store.ts";
import type { ModelConfig } from "./config.ts";
import type { Scratch } from "./ops.ts";
import type { Variants } from "./variants.ts";
import type { Matrix, Vector } from "./weights.ts";

/** A product whose outputs are heads: queries of its layer, keys and values for one or more stores. */
export interface Heads {
  /** [(queries + 2·stores·G)·E, D]: query heads; then store after store G key heads and G value heads */
  matrix: Matrix;
  queries: number;
  /** Stores it fills, from firstStore on: 1 in an ordinary layer, all of the later ones in SwiftKV's layer K, else 0. */
  stores: number;
  firstStore: number;
  vectors: HeadVectors;
}

/** The small vectors of such a product in one buffer, by their offsets in floats. */
export interface HeadVectors {
  buffer: Vector;
  /** [D] weight of the norm before query heads, and before key and value heads */
  gammaQ: number;
  gammaKv: number;
  /** [matrix columns], where there is a bias */
  biasAt: number;
  /** [E] and [stores, E], where heads of q and k are normalised */
  queryNormAt: number;
  keyNormAt: number;
}

export interface Layer {
  heads: Heads;
  /** [D, H·E] */
  output: Matrix;
  outputBias: Vector | undefined;
  mlpNorm: Vector;
  /** [2F, D]: gate and up rows interleaved */
  gateUp: Matrix;
  gateUpBias: Vector | undefined;
  /** [D, F] */
  down: Matrix;
  downBias: Vector | undefined;
}

export interface Weights {
  /** [V, D]: embedding table */
  embedding: Matrix;
  layers: readonly Layer[];
  finalNorm: Vector;
  /** [V, D]: the embedding table where tied */
  head: Matrix;
  /** Ordinary heads of every layer, where they are on the GPU: what SwiftKV is switched off to and converted from. */
  teacher: readonly Heads[] | null;
  /** Heads of every layer as a SwiftKV checkpoint has them, and the shape they were trained for. */
  trained: { swiftkv: SwiftKv; heads: readonly Heads[] } | null;
  /** The SwiftKV heads are a conversion's first guess. */
  undistilled: boolean;
}

/** Buffers of one step; all rows × width, f32. */
export interface Activations extends Scratch {
  /** [T, D]: the residual stream */
  hidden: GPUBuffer;
  /** [T, H, E], rotated */
  query: GPUBuffer;
  /** [T, H, E] */
  attended: GPUBuffer;
  /** Unfinished attention: docs/kernels.md, "Partials" */
  partials: GPUBuffer;
  /** [T, F] */
  activated: GPUBuffer;
  /** [M] u32: rows whose logits are wanted */
  logitRows: GPUBuffer;
  /** [M, D] */
  normed: GPUBuffer;
  /** [M, V] */
  logits: GPUBuffer;
}

/** Rows whose logits are wanted at once when a text is scored. */
export const LOGIT_ROWS = 64;

/** Which records of `store.inputs` a layer's rows are: (position, cache index, sequence slot, token) each. */
export interface Span {
  first: number;
  count: number;
}

/** Rows that go on past layer K of SwiftKV, then all rows of the step. Both begin on a multiple of 256 bytes. */
export const spansOf = (rows: number): { upper: Span; lower: Span } => ({
  upper: { first: 0, count: LOGIT_ROWS },
  lower: { first: LOGIT_ROWS, count: rows },
});

/** Everything a program of this model is built from. */
export interface Parts {
  gpu: Gpu;
  config: ModelConfig;
  weights: Weights;
  store: KvStore;
  activations: Activations;
  spans: { upper: Span; lower: Span };
  /** [positions, E/2] vec2f: (cos, sin) */
  rope: GPUBuffer;
  /** [slots] u32: the token each sequence sampled last */
  tokens: GPUBuffer;
  variants: Variants;
}

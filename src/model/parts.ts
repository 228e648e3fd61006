// What the programs of a model are built from.
import type { Gpu } from "../gpu/device.ts";
import type { KvStore } from "../kv/store.ts";
import type { ModelConfig } from "./config.ts";
import type { Scratch } from "./ops.ts";
import type { Variants } from "./variants.ts";
import type { Matrix, Vector } from "./weights.ts";

export interface Layer {
  attentionNorm: Vector;
  /** [(H + 2G)·E, D]: q, k and v rows stacked */
  qkv: Matrix;
  qkvBias: Vector | undefined;
  /** [2E]: weights of the norms on each head of q and k */
  headNorm: Vector | undefined;
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
}

/** Buffers of one step; all rows × width, f32. */
export interface Activations extends Scratch {
  /** [T] vec4u: (position, cache index, sequence slot, token) */
  rows: GPUBuffer;
  /** [T, D]: the residual stream */
  hidden: GPUBuffer;
  /** [T, (H + 2G)·E] */
  qkv: GPUBuffer;
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

/** Everything a program of this model is built from. */
export interface Parts {
  gpu: Gpu;
  config: ModelConfig;
  weights: Weights;
  store: KvStore;
  activations: Activations;
  /** [positions, E/2] vec2f: (cos, sin) */
  rope: GPUBuffer;
  /** [slots] u32: the token each sequence sampled last */
  tokens: GPUBuffer;
  variants: Variants;
}

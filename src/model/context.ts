// What the programs of a model are built from.
import type { CalibrationInfo, DistillationInfo, SwiftKv } from "../api.ts";
import { alignUp } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { AdapterProfile } from "../gpu/profile.ts";
import type { KvCache } from "../kv/cache.ts";
import type { Layout } from "../kv/layout.ts";
import type { KvSystem, SystemContext } from "../kv/system.ts";
import type { ModelConfig } from "./config.ts";
import type { RoundedProducts } from "./ops/rounded.ts";
import type { Scratch } from "./ops/linear.ts";
import type { Variants } from "./ops/variants.ts";
import type { PictureRows } from "./vision/pictures.ts";
import type { VisionWeights } from "./vision/weights.ts";
import type { Matrix, Vector } from "./weights/matrix.ts";

/** A product whose outputs are heads: queries of its layer, keys and values for one or more stores. */
export interface QkvProjection {
  /** [(queries + 2·stores·G)·E, D]: query heads; then store after store G key heads and G value heads */
  matrix: Matrix;
  queries: number;
  /** Stores it fills, from firstStore on: as the layout says. */
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
  /** [matrix columns], where there is a bias. A calibrated student has one whatever its family has. */
  biased: boolean;
  biasAt: number;
  /** [E] and [stores, E], where heads of q and k are normalised */
  queryNormAt: number;
  keyNormAt: number;
}

export interface Layer {
  qkv: QkvProjection;
  /** [D, H·E] */
  output: Matrix;
  outputBias: Vector | undefined;
  /** Norms before the feed-forward block, and after each block, where the family has them. */
  mlpNorm: Vector | undefined;
  afterAttention: Vector | undefined;
  afterMlp: Vector | undefined;
  /** [2F, D]: gate and up rows interleaved */
  gateUp: Matrix;
  gateUpBias: Vector | undefined;
  /** [D, F] */
  down: Matrix;
  downBias: Vector | undefined;
}

/** A student's own projections. Keys and values of the later stores are a linear map of layer K's normalised input. */
export interface Fit {
  /** In the order of the layout. */
  stores: readonly FittedStore[];
  /** Of each layer from K on; null: the ordinary model's. */
  queries: readonly FittedQueries[] | null;
  /** How it was calibrated, and how it was trained from there, where it was. */
  made: CalibrationInfo | null;
  distilled: DistillationInfo | null;
}

export interface FittedQueries {
  /** [H·E, D] bits of f16 */
  weights: Uint16Array<ArrayBuffer>;
  /** [H·E], where the family has one */
  bias: Float32Array<ArrayBuffer> | null;
}

export interface FittedStore {
  /** [2·G·E, D] bits of f16: G key heads, then G value heads */
  weights: Uint16Array<ArrayBuffer>;
  /** [2·G·E] the constant of each */
  bias: Float32Array<ArrayBuffer>;
}

/** With the stores that a recipe's layout gives to layers: those that lie elsewhere, and layers that read another one's. */
export const inLayout = (weights: Weights, { fills }: Layout): Weights => ({
  ...weights,
  layers: weights.layers.map((layer, i) => {
    const { first, count } = fills[i]!;
    const { firstStore, stores } = layer.qkv;
    return firstStore === first && stores === count ? layer : { ...layer, qkv: { ...layer.qkv, firstStore: first } };
  }),
});

export interface Weights {
  /** [V, D]: embedding table */
  embedding: Matrix;
  layers: readonly Layer[];
  finalNorm: Vector;
  /** [V, D]: the embedding table where tied */
  outputProjection: Matrix;
  /** Ordinary projections of every layer, where they are on the GPU: what SwiftKV is switched off to and converted from. */
  teacher: readonly QkvProjection[] | null;
  /** Projections of every layer as a SwiftKV checkpoint has them, and the shape they were trained for. */
  trained: { swiftkv: SwiftKv; qkv: readonly QkvProjection[] } | null;
  /** The SwiftKV projections were made by a conversion, not by training. */
  undistilled: boolean;
  /** The projections themselves, where they were calibrated or trained here. */
  fit: Fit | null;
  /** Null where the model sees no pictures. */
  vision: VisionWeights | null;
}

/** Buffers of one step; all rows × width, f32. */
export interface Activations extends Scratch {
  /** [T, D]: the residual stream */
  hidden: GPUBuffer;
  /** [T, H, E], rotated */
  query: GPUBuffer;
  /** [T, H, E]: the same in the basis of the sealed format, where it has one */
  turnedQuery: GPUBuffer;
  /** [T, H + 2G·stores, E]: heads before their norms, where a product of its own makes them */
  heads: GPUBuffer;
  /** [T, H, E] */
  attended: GPUBuffer;
  /** The same with heads as wide as the file's, where these are padded */
  trimmed: GPUBuffer;
  /** [T, D]: what a block made, where a norm comes before it is added to the residual stream */
  made: GPUBuffer;
  /** Unfinished attention: docs/kernels.md, "Partials" */
  partials: GPUBuffer;
  /** [T, F] */
  activated: GPUBuffer;
  /** [M] u32: where the rows whose logits are wanted lie in `hidden`, once they have run all layers */
  wanted: GPUBuffer;
  /** [rows that continue] u32: rows of the step that go past the boundary */
  continuing: GPUBuffer;
  /** [M, D] */
  normed: GPUBuffer;
  /** [M, V] */
  logits: GPUBuffer;
}

/** Rows of a step whose logits can be wanted: a text that is scored wants all. */
export const MOST_LOGIT_ROWS = 64;

/** Which records of `lists.inputs` a layer's rows are: (position, cache slot, sequence, token) each. */
export interface Span {
  first: number;
  count: number;
}

/** Records of the rows that continue past the boundary, then of all rows of the step, then where prompts are streamed, of tokens taken back. */
export interface Spans {
  upper: Span;
  lower: Span;
  taken: Span;
}

/** Records that begin on a multiple of 256 bytes, where a binding may. */
const SPAN_ALIGN = 16;

/** `tail`: rows that continue beside those whose logits are wanted. */
export function spansOf(rows: number, tail: number, streams: boolean): Spans {
  const count = alignUp(MOST_LOGIT_ROWS + 2 * tail, SPAN_ALIGN);
  const taken = { first: count + rows, count: streams ? rows : 0 };
  return { upper: { first: 0, count }, lower: { first: count, count: rows }, taken };
}

export const recordsIn = ({ taken }: Spans): number => taken.first + taken.count;

/** Everything a program of this model is built from. */
export interface ModelContext {
  gpu: Gpu;
  profile: AdapterProfile;
  config: ModelConfig;
  weights: Weights;
  cache: KvCache;
  systems: readonly KvSystem[];
  /** What systems' dispatches work on, without the fields that depend on the rows. */
  systemContext: Omit<SystemContext, "records">;
  activations: Activations;
  spans: Spans;
  /** By rotation: a table [positions, E/2] vec2f of (cos, sin), and where the turns of queries begin in it. */
  ropes: { table: GPUBuffer; queryTurns: number }[];
  /** [sequences] u32: the token each sequence sampled last */
  tokens: GPUBuffer;
  /** Null where the model sees no pictures. */
  pictures: PictureRows | null;
  /** Null where all products are of f32. */
  rounded: RoundedProducts | null;
  variants: Variants;
}

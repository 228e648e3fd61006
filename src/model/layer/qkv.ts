// Query, key and value heads: one dispatch normalises, multiplies, rotates and writes to the query buffer and to pages.
// Which stores a layer's product fills, the layout says: its own, those of all later layers at once, or none.
import { assert, ceilDiv } from "../../errors.ts";
import { families } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import { columnOf, type Layout, ordinaryLayout } from "../../kv/layout.ts";
import type { ModelConfig } from "../config.ts";
import type { Sizes } from "../ops/sizes.ts";
import { unitOf, unlessEmpty, dequantiseSlice, weightBytes } from "../ops/linear.ts";
import type { HeadVectors, ModelContext, QkvProjection } from "../context.ts";
import { type QkvNarrow, qkvSlices, type QkvWide, qkvWideGrid } from "../ops/variants.ts";
import type { Matrix } from "../weights/matrix.ts";
import type { WeightLoader } from "../weights/loader.ts";

// ---- names ----

/** A layer's projection as an ordinary model has it. */
export const nameOrdinaryQkv = (loader: WeightLoader, config: ModelConfig, layer: number): QkvProjection =>
  nameQkv(loader, config, ordinaryLayout(config.layers), layer);

/** A layer's projection: its queries, then keys and values of the stores that it fills. */
export function nameQkv(loader: WeightLoader, config: ModelConfig, layout: Layout, layer: number): QkvProjection {
  const { first, count } = layout.fills[layer]!;
  const past = layer >= layout.boundary;
  const names = projectionNames(layer, layout.owners.slice(first, first + count), past ? "_swiftkv" : "");
  const { hiddenSize: D, heads: H, kvHeads: G, headWidth: E } = config;
  const widths = names.weights.map((_, i) => (i === 0 ? H : G) * E);
  const gammas = [`model.layers.${layer}.input_layernorm.weight`];
  if (past && count > 0) gammas.push("model.norm_swiftkv.weight");
  const biases = config.qkvBias ? names.weights.map((name) => `${name}.bias`) : [];
  const headNorms = config.headNorm ? names.norms : [];
  const lengths = [...gammas.map(() => D), ...biases.map((_, i) => widths[i]!), ...headNorms.map(() => E)];
  const weights = names.weights.map((name) => `${name}.weight`);
  return {
    matrix: loader.stacked(weights, widths, D),
    queries: H,
    stores: count,
    firstStore: first,
    vectors: {
      ...vectorOffsets(config, { queries: H, stores: count, gammas: gammas.length, biased: config.qkvBias }),
      buffer: loader.vector([...gammas, ...biases, ...headNorms], lengths),
    },
  };
}

/** `owners`: layers whose keys and values it makes, store after store. */
function projectionNames(layer: number, owners: readonly number[], suffix: string) {
  const attention = (of: number) => `model.layers.${of}.self_attn`;
  const keysValues = owners.flatMap((owner) => ["k", "v"].map((kind) => `${attention(owner)}.${kind}_proj${suffix}`));
  return {
    weights: [`${attention(layer)}.q_proj${suffix}`, ...keysValues],
    norms: [`${attention(layer)}.q_norm.weight`, ...owners.map((owner) => `${attention(owner)}.k_norm.weight`)],
  };
}

/** Order of the vectors in their buffer: norms before the product, biases, norms of the heads. Offsets in floats. */
export function vectorOffsets(
  { hiddenSize: D, kvHeads: G, headWidth: E, headNorm }: ModelConfig,
  { queries, stores, gammas, biased }: { queries: number; stores: number; gammas: number; biased: boolean },
): Omit<HeadVectors, "buffer"> & { length: number } {
  const columns = (queries + 2 * stores * G) * E;
  const biasAt = gammas * D;
  const queryNormAt = biasAt + (biased ? columns : 0);
  const keyNormAt = queryNormAt + (headNorm ? E : 0);
  const length = keyNormAt + (headNorm ? stores * E : 0);
  return { gammaQ: 0, gammaKv: (gammas - 1) * D, biased, biasAt, queryNormAt, keyNormAt, length };
}

// ---- dispatches ----

/** Which heads of a projection. */
export type HeadRange = "all" | "queries" | "keysValues";

export interface QkvProduct {
  layer: number;
  qkv: QkvProjection;
  range: HeadRange;
  /** First record of its rows in `lists.inputs`. */
  rowAt: number;
  rows: (sizes: Sizes) => number;
}

/** `tileRows` > 0: up to that many rows, bound by weight bytes. 0: any number, bound by arithmetic. */
export const projectQkv = (model: ModelContext, tileRows: number, product: QkvProduct): AnyDispatch<Sizes>[] =>
  tileRows > 0
    ? projectNarrow(model, product, tileRows, model.variants.qkvNarrow(product.qkv.matrix))
    : projectWide(model, product, model.variants.qkvWide(product.qkv.matrix));

/** Consecutive heads of a projection that one dispatch makes, and the arena that it writes. */
interface HeadRun {
  first: number;
  count: number;
  kv: GPUBuffer;
  arena: number;
}

function runsOf({ cache, config }: ModelContext, { qkv, range }: QkvProduct): HeadRun[] {
  const { queries, firstStore, stores } = qkv;
  if (range === "queries" || stores === 0)
    return [{ first: 0, count: queries, kv: cache.arenas[0]!.buffers[0]!, arena: 0 }];
  const runs = cache.bundlesIn(firstStore, stores).flatMap(({ bundle, first, count }) =>
    cache.writtenArenas.map(({ number, buffers }): HeadRun => {
      const begin = queries + 2 * (first - firstStore) * config.kvHeads;
      return { first: begin, count: 2 * count * config.kvHeads, kv: buffers[bundle]!, arena: number };
    }),
  );
  const [firstRun, ...otherRuns] = runs;
  assert(firstRun, "a product with stores writes at least one buffer");
  return range === "all" ? [{ ...firstRun, first: 0, count: firstRun.count + queries }, ...otherRuns] : runs;
}

/** Constants, parameters and buffers that all four kernels have. */
function shared({ config, cache, activations, rope }: ModelContext, { qkv, rowAt, rows }: QkvProduct, run: HeadRun) {
  const { hiddenSize: depth, kvHeads: G, headWidth: E, headNorm, normEpsilon } = config;
  const { biased, biasAt, queryNormAt, keyNormAt, buffer: vectors } = qkv.vectors;
  return {
    constants: { E, KV_BITS: cache.written.bits, BIAS: biased ? 1 : 0, HEAD_NORM: headNorm ? 1 : 0 },
    buffers: { x: activations.hidden, vectors, rows: cache.lists.inputs, rope, q: activations.query, kv: run.kv },
    params: (s: Sizes) => ({
      rows: rows(s),
      rowAt,
      depth,
      firstHead: run.first,
      queries: qkv.queries,
      ownerHeads: G,
      column: columnOf(qkv.firstStore, G),
      columns: cache.columns,
      listLength: cache.lists.listLength,
      tableAt: cache.lists.tableAt,
      arena: run.arena,
      biasAt,
      queryNormAt,
      keyNormAt,
      eps: normEpsilon,
    }),
    flops: (s: Sizes) => 2 * rows(s) * run.count * E * depth,
  };
}

/** "qkv", "q" or "kv", and how many stores are filled where there are several. */
function labelOf({ layer, qkv: { stores }, range }: QkvProduct): string {
  const heads = range === "queries" || stores === 0 ? "q" : range === "keysValues" ? "kv" : "qkv";
  return `layer ${layer} ${heads}${stores > 1 && heads !== "q" ? ` of ${stores} stores` : ""}`;
}

/** The columns of a matrix that a run of heads reads, for its bytes. */
const columnsOf = (matrix: Matrix, columns: number): Matrix => ({ ...matrix, columns });

export function projectNarrow(
  model: ModelContext,
  product: QkvProduct,
  tileRows: number,
  variant: QkvNarrow,
): AnyDispatch<Sizes>[] {
  const { matrix, vectors } = product.qkv;
  const { headWidth: E } = model.config;
  const cols = variant.kernel === "qkv_cols";
  return runsOf(model, product).map((run) => {
    const common = shared(model, product, run);
    return dispatch({
      kernel: families.qkv_narrow[variant.kernel],
      label: labelOf(product),
      constants: {
        ...common.constants,
        BITS: matrix.bits,
        GROUP: matrix.group,
        UNIT: unitOf(matrix, variant.unit),
        ROWS: tileRows,
        ...(cols ? {} : { SLICES: qkvSlices(variant, E, tileRows) }),
      },
      buffers: { ...common.buffers, words: matrix.words, scales: matrix.scales },
      params: (s: Sizes) => ({
        ...common.params(s),
        stride: matrix.stride,
        gammaQ: vectors.gammaQ,
        gammaKv: vectors.gammaKv,
      }),
      grid: (s) => (product.rows(s) === 0 ? [0, 0, 0] : [run.count, 1, 1]),
      bytes: () => weightBytes(columnsOf(matrix, run.count * E)),
      flops: common.flops,
    });
  });
}

/** Slices of whole heads are dequantised, with the norm's weight multiplied in, and multiplied. */
export function projectWide(model: ModelContext, product: QkvProduct, variant: QkvWide): AnyDispatch<Sizes>[] {
  const { headWidth: E, hiddenSize: D } = model.config;
  const most = Math.floor(model.activations.dequantised.size / (4 * D * E));
  return runsOf(model, product).flatMap((run) =>
    Array.from({ length: ceilDiv(run.count, most) }, (_, i): HeadRun => {
      const first = run.first + i * most;
      return { ...run, first, count: Math.min(most, run.first + run.count - first) };
    }).flatMap((slice) => projectSlice(model, product, slice, variant)),
  );
}

function projectSlice(model: ModelContext, product: QkvProduct, run: HeadRun, variant: QkvWide): AnyDispatch<Sizes>[] {
  const { gpu, activations, config } = model;
  const { matrix, vectors } = product.qkv;
  const { headWidth: E, hiddenSize: D } = config;
  assert(product.range !== "all" || vectors.gammaQ === vectors.gammaKv, "one norm for queries, keys and values");
  const common = shared(model, product, run);
  const label = labelOf(product);
  const columns = run.count * E;
  const at = product.range === "queries" ? vectors.gammaQ : vectors.gammaKv;
  const gamma = { vectors: vectors.buffer, at };
  const multiply = dispatch({
    kernel: families.qkv_wide[variant.kernel],
    label,
    constants: { ...common.constants, ...variant.constants },
    buffers: { ...common.buffers, b: activations.dequantised },
    params: (s: Sizes) => ({ ...common.params(s), stride: columns, bHead: run.first, heads: run.count }),
    grid: (s) => qkvWideGrid(variant, product.rows(s), run.count),
    bytes: (s) => 4 * (product.rows(s) * (D + columns) + columns * D),
    flops: common.flops,
  });
  const dequantise = dequantiseSlice(gpu, {
    label,
    matrix,
    b: activations.dequantised,
    first: run.first * E,
    columns,
    gamma,
  });
  return unlessEmpty([dequantise, multiply], product.rows);
}

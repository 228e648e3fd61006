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
import { type HeadForm, placeHeads } from "../weights/heads.ts";
import type { MatrixPart, VectorPart, WeightLoader } from "../weights/loader.ts";

// ---- names ----

/** A layer's projection as an ordinary model has it. */
export const nameOrdinaryQkv = (loader: WeightLoader, config: ModelConfig, layer: number): QkvProjection =>
  nameQkv(loader, config, ordinaryLayout(config.layers), layer);

/** A layer's projection: its queries, then keys and values of the stores that it fills. */
export function nameQkv(loader: WeightLoader, config: ModelConfig, layout: Layout, layer: number): QkvProjection {
  const { first, count } = layout.fills[layer]!;
  const past = layer >= layout.boundary;
  const heads = headTensors(config, layer, layout.owners.slice(first, first + count), past ? "_swiftkv" : "");
  const gammas = [inputNorm(config, layer)];
  if (past && count > 0) gammas.push(normPart(config, "model.norm_swiftkv.weight"));
  const biases = config.qkvBias ? heads.map(biasPart) : [];
  const headNorms = config.headNorm ? headNormParts(config, layer, layout.owners.slice(first, first + count)) : [];
  const shape = { queries: config.heads, stores: count, gammas: gammas.length, biased: config.qkvBias };
  return {
    matrix: loader.stacked(heads, config.hiddenSize),
    queries: config.heads,
    stores: count,
    firstStore: first,
    vectors: { ...vectorOffsets(config, shape), buffer: loader.joined([...gammas, ...biases, ...headNorms]) },
  };
}

const attentionOf = (layer: number): string => `model.layers.${layer}.self_attn`;

/** Queries of a layer, then keys and values of `owners`, store after store. */
function headTensors(
  { heads: H, kvHeads: G, fileHeadWidth, headWidth, turnedWidth }: ModelConfig,
  layer: number,
  owners: readonly number[],
  suffix: string,
): (MatrixPart & { heads: HeadForm })[] {
  const part = (of: number, kind: "q" | "k" | "v") => ({
    name: `${attentionOf(of)}.${kind}_proj${suffix}.weight`,
    rows: (kind === "q" ? H : G) * fileHeadWidth,
    heads: { fileWidth: fileHeadWidth, width: headWidth, turned: kind === "v" ? fileHeadWidth : turnedWidth },
  });
  return [part(layer, "q"), ...owners.flatMap((owner) => [part(owner, "k"), part(owner, "v")])];
}

const biasPart = ({ name, rows, heads }: MatrixPart & { heads: HeadForm }): VectorPart => ({
  name: name.replace(/weight$/, "bias"),
  length: rows,
  kept: (rows / heads.fileWidth) * heads.width,
  as: (values) => placeHeads(values, heads),
});

/** Weights of a norm over the residual stream. */
export const normPart = (
  { hiddenSize: D, normOffset }: ModelConfig,
  name: string,
): VectorPart & Required<Pick<VectorPart, "as">> => ({
  name,
  length: D,
  as: (values) => values.map((value) => value + normOffset),
});

const inputNorm = (config: ModelConfig, layer: number): VectorPart =>
  normPart(config, `model.layers.${layer}.input_layernorm.weight`);

/** The norm of a padded head divides by more channels than there are: its weights make up for it, `headEpsilon` too. */
function headNormParts(config: ModelConfig, layer: number, owners: readonly number[]): VectorPart[] {
  const { fileHeadWidth: fileWidth, headWidth: width, turnedWidth: turned, normOffset } = config;
  const factor = Math.sqrt(fileWidth / width);
  const names = [`${attentionOf(layer)}.q_norm.weight`, ...owners.map((owner) => `${attentionOf(owner)}.k_norm.weight`)];
  return names.map((name) => ({
    name,
    length: fileWidth,
    kept: width,
    as: (values) => placeHeads(values.map((value) => factor * (value + normOffset)), { fileWidth, width, turned }),
  }));
}

const headEpsilon = ({ normEpsilon, fileHeadWidth, headWidth }: ModelConfig): number =>
  (normEpsilon * fileHeadWidth) / headWidth;

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

/** Consecutive heads of a projection that one dispatch makes, the arena that it writes, and how they are turned. */
interface HeadRun {
  first: number;
  count: number;
  kv: GPUBuffer;
  arena: number;
  rotation: number;
}

/** Stores that one dispatch fills: they lie in one bundle and are turned alike. */
interface Stretch {
  bundle: number;
  first: number;
  count: number;
  rotation: number;
}

/** Keys are turned as their owner's are. */
const rotationOf = ({ cache, config }: ModelContext, store: number): number =>
  config.rotationOf[cache.shape.layout.owners[store]!]!;

function stretchesOf(model: ModelContext, { firstStore, stores }: QkvProjection): Stretch[] {
  return model.cache.bundlesIn(firstStore, stores).flatMap(({ bundle, first, count }) => {
    const stretches: Stretch[] = [];
    for (let store = first; store < first + count; store++) {
      const rotation = rotationOf(model, store);
      const last = stretches.at(-1);
      if (last?.rotation === rotation) last.count++;
      else stretches.push({ bundle, first: store, count: 1, rotation });
    }
    return stretches;
  });
}

/** Queries are turned as the keys that they meet are. */
const queriesOf = (model: ModelContext, { layer, qkv }: QkvProduct): HeadRun => ({
  first: 0,
  count: qkv.queries,
  kv: model.cache.arenas[0]!.buffers[0]!,
  arena: 0,
  rotation: rotationOf(model, model.cache.shape.layout.reads[layer]!),
});

function runsOf(model: ModelContext, product: QkvProduct): HeadRun[] {
  const { cache, config } = model;
  const { queries, firstStore, stores } = product.qkv;
  const queryRun = queriesOf(model, product);
  if (product.range === "queries" || stores === 0) return [queryRun];
  const runs = stretchesOf(model, product.qkv).flatMap(({ bundle, first, count, rotation }) =>
    cache.writtenArenas.map(({ number, buffers }): HeadRun => {
      const begin = queries + 2 * (first - firstStore) * config.kvHeads;
      return { first: begin, count: 2 * count * config.kvHeads, kv: buffers[bundle]!, arena: number, rotation };
    }),
  );
  const [firstRun, ...otherRuns] = runs;
  assert(firstRun, "a product with stores writes at least one buffer");
  if (product.range !== "all") return runs;
  if (firstRun.rotation !== queryRun.rotation) return [queryRun, ...runs];
  return [{ ...firstRun, first: 0, count: firstRun.count + queries }, ...otherRuns];
}

/** Constants, parameters and buffers that all four kernels have. */
function shared({ config, cache, activations, ropes }: ModelContext, { qkv, rowAt, rows }: QkvProduct, run: HeadRun) {
  const { hiddenSize: depth, kvHeads: G, headWidth: E, headNorm, normEpsilon } = config;
  const { table: rope, queryTurns } = ropes[run.rotation]!;
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
      headEps: headEpsilon(config),
      queryTurns,
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

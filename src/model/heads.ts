// Query, key and value heads: one dispatch normalises, multiplies, rotates and writes to the query buffer and to pages.
// An ordinary layer's product fills its own store. With SwiftKV the product of layer K fills the stores of all later
// layers at once, and the layers after it make queries only.
import { assert, ceilDiv } from "../errors.ts";
import { families } from "../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../gpu/program.ts";
import type { ModelConfig } from "./config.ts";
import { type Sizes, unitOf, unlessEmpty, unpackSlice, weightBytes } from "./ops.ts";
import type { Heads, HeadVectors, Parts } from "./parts.ts";
import { type QkvNarrow, qkvSlices, type QkvWide, qkvWideGrid } from "./variants.ts";
import type { Matrix, WeightLoader } from "./weights.ts";

// ---- names ----

/** Where the heads of a product come from in a checkpoint. */
interface Origin {
  layer: number;
  suffix: "" | "_swiftkv";
  /** Layers whose keys and values it makes, store after store. */
  owners: readonly number[];
  firstStore: number;
}

/** An ordinary layer's heads. */
export const nameHeads = (loader: WeightLoader, config: ModelConfig, layer: number): Heads =>
  nameProduct(loader, config, { layer, suffix: "", owners: [layer], firstStore: layer });

/** The heads of a layer from K on: its queries, and in layer K keys and values of every owner. */
export function nameSwiftkvHeads(loader: WeightLoader, config: ModelConfig, layer: number): Heads {
  const own = config.swiftkv!.layers;
  const owners = layer === own ? ownersOf(config) : [];
  return nameProduct(loader, config, { layer, suffix: "_swiftkv", owners, firstStore: own });
}

/** Layers that own a cache among the later ones: K, K + G, … */
export function ownersOf({ layers, swiftkv }: Pick<ModelConfig, "layers" | "swiftkv">): number[] {
  const { layers: own, group } = swiftkv!;
  return Array.from({ length: (layers - own) / group }, (_, i) => own + i * group);
}

function nameProduct(loader: WeightLoader, config: ModelConfig, { layer, suffix, owners, firstStore }: Origin): Heads {
  const { hiddenSize: D, heads: H, kvHeads: G, headWidth: E } = config;
  const attn = (of: number) => `model.layers.${of}.self_attn`;
  const projections = [
    `${attn(layer)}.q_proj${suffix}`,
    ...owners.flatMap((owner) => ["k", "v"].map((which) => `${attn(owner)}.${which}_proj${suffix}`)),
  ];
  const widths = projections.map((_, i) => (i === 0 ? H : G) * E);
  const gammas = [`model.layers.${layer}.input_layernorm.weight`];
  if (suffix !== "" && owners.length > 0) gammas.push("model.norm_swiftkv.weight");
  const biases = config.qkvBias ? projections.map((name) => `${name}.bias`) : [];
  const norms = [`${attn(layer)}.q_norm.weight`, ...owners.map((owner) => `${attn(owner)}.k_norm.weight`)];
  const headNorms = config.headNorm ? norms : [];
  const shape = { queries: H, stores: owners.length, gammas: gammas.length };
  return {
    matrix: loader.stacked(
      projections.map((name) => `${name}.weight`),
      widths,
      D,
    ),
    queries: H,
    stores: owners.length,
    firstStore,
    vectors: {
      ...vectorOffsets(config, shape),
      buffer: loader.vector(
        [...gammas, ...biases, ...headNorms],
        [...gammas.map(() => D), ...biases.map((_, i) => widths[i]!), ...headNorms.map(() => E)],
      ),
    },
  };
}

/** Order of the vectors in their buffer: norms before the product, biases, norms of the heads. Offsets in floats. */
export function vectorOffsets(
  { hiddenSize: D, kvHeads: G, headWidth: E, qkvBias, headNorm }: ModelConfig,
  { queries, stores, gammas }: { queries: number; stores: number; gammas: number },
): Omit<HeadVectors, "buffer"> & { length: number } {
  const columns = (queries + 2 * stores * G) * E;
  const biasAt = gammas * D;
  const queryNormAt = biasAt + (qkvBias ? columns : 0);
  const keyNormAt = queryNormAt + (headNorm ? E : 0);
  const length = keyNormAt + (headNorm ? stores * E : 0);
  return { gammaQ: 0, gammaKv: (gammas - 1) * D, biasAt, queryNormAt, keyNormAt, length };
}

// ---- dispatches ----

/** Which heads of a product. */
export type HeadRange = "all" | "queries" | "keysValues";

export interface HeadsStep {
  layer: number;
  heads: Heads;
  range: HeadRange;
  /** First record of its rows in `store.inputs`. */
  rowAt: number;
  rows: (sizes: Sizes) => number;
}

/** `tileRows` > 0: up to that many rows, bound by weight bytes. 0: any number, bound by arithmetic. */
export const projectHeads = (parts: Parts, tileRows: number, step: HeadsStep): AnyDispatch<Sizes>[] =>
  tileRows > 0
    ? projectNarrow(parts, step, tileRows, parts.variants.qkvNarrow(step.heads.matrix))
    : projectWide(parts, step, parts.variants.qkvWide(step.heads.matrix));

/** Consecutive heads of a product that one dispatch makes, and the cache buffer that it writes. */
interface Run {
  first: number;
  count: number;
  kv: GPUBuffer;
  part: number;
}

function runsOf({ store, config }: Parts, { heads, range }: HeadsStep): Run[] {
  const { queries, firstStore, stores } = heads;
  if (range === "queries" || stores === 0) return [{ first: 0, count: queries, kv: store.arena(0, 0), part: 0 }];
  const bundles = store.bundles.filter(({ first }) => first >= firstStore && first < firstStore + stores);
  const runs = bundles.flatMap(({ first, count, parts }) =>
    parts.map((kv, part): Run => {
      const begin = queries + 2 * (first - firstStore) * config.kvHeads;
      return { first: begin, count: 2 * count * config.kvHeads, kv, part };
    }),
  );
  const [head, ...rest] = runs;
  assert(head, "a product with stores writes at least one buffer");
  return range === "all" ? [{ ...head, first: 0, count: head.count + queries }, ...rest] : runs;
}

/** Constants, parameters and buffers that all four kernels have. */
function shared({ config, store, activations, rope }: Parts, { heads, rowAt, rows }: HeadsStep, run: Run) {
  const { hiddenSize: depth, kvHeads: G, headWidth: E, qkvBias, headNorm, normEpsilon } = config;
  const { biasAt, queryNormAt, keyNormAt, buffer: vectors } = heads.vectors;
  return {
    constants: { E, KV_BITS: store.shape.codec.bits, BIAS: qkvBias ? 1 : 0, HEAD_NORM: headNorm ? 1 : 0 },
    buffers: { x: activations.hidden, vectors, rows: store.inputs, rope, q: activations.query, kv: run.kv },
    params: (s: Sizes) => ({
      rows: rows(s),
      rowAt,
      depth,
      firstHead: run.first,
      queries: heads.queries,
      ownerHeads: G,
      column: heads.firstStore * G,
      columns: store.lanes,
      listLength: store.listLength,
      tableAt: store.tableAt,
      arena: run.part,
      biasAt,
      queryNormAt,
      keyNormAt,
      eps: normEpsilon,
    }),
    flops: (s: Sizes) => 2 * rows(s) * run.count * E * depth,
  };
}

const labelOf = ({ layer, heads, range }: HeadsStep): string =>
  `layer ${layer} ${heads.stores > 1 ? (range === "keysValues" ? "swiftkv" : "q·swiftkv") : heads.stores === 1 ? "qkv" : "q"}`;

/** The part of a matrix that a run of heads reads, for its bytes. */
const columnsOf = (matrix: Matrix, columns: number): Matrix => ({ ...matrix, columns });

export function projectNarrow(
  parts: Parts,
  step: HeadsStep,
  tileRows: number,
  variant: QkvNarrow,
): AnyDispatch<Sizes>[] {
  const { matrix, vectors } = step.heads;
  const { headWidth: E } = parts.config;
  const cols = variant.kernel === "qkv_cols";
  return runsOf(parts, step).map((run) => {
    const common = shared(parts, step, run);
    return dispatch({
      kernel: families.qkv_narrow[variant.kernel],
      label: labelOf(step),
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
      grid: (s) => (step.rows(s) === 0 ? [0, 0, 0] : [run.count, 1, 1]),
      bytes: () => weightBytes(columnsOf(matrix, run.count * E)),
      flops: common.flops,
    });
  });
}

/** Slices of whole heads are laid open, with the norm's weight multiplied in, and multiplied. */
export function projectWide(parts: Parts, step: HeadsStep, variant: QkvWide): AnyDispatch<Sizes>[] {
  const { headWidth: E, hiddenSize: D } = parts.config;
  const most = Math.floor(parts.activations.unpacked.size / (4 * D * E));
  return runsOf(parts, step).flatMap((run) =>
    Array.from({ length: ceilDiv(run.count, most) }, (_, i): Run => {
      const first = run.first + i * most;
      return { ...run, first, count: Math.min(most, run.first + run.count - first) };
    }).flatMap((slice) => projectSlice(parts, step, slice, variant)),
  );
}

function projectSlice(parts: Parts, step: HeadsStep, run: Run, variant: QkvWide): AnyDispatch<Sizes>[] {
  const { gpu, activations, config } = parts;
  const { matrix, vectors } = step.heads;
  const { headWidth: E, hiddenSize: D } = config;
  assert(step.range !== "all" || vectors.gammaQ === vectors.gammaKv, "one norm for queries, keys and values");
  const common = shared(parts, step, run);
  const label = labelOf(step);
  const columns = run.count * E;
  const at = step.range === "queries" ? vectors.gammaQ : vectors.gammaKv;
  const gamma = { vectors: vectors.buffer, at };
  const product = dispatch({
    kernel: families.qkv_wide[variant.kernel],
    label,
    constants: { ...common.constants, ...variant.constants },
    buffers: { ...common.buffers, b: activations.unpacked },
    params: (s: Sizes) => ({ ...common.params(s), stride: columns, bHead: run.first, heads: run.count }),
    grid: (s) => qkvWideGrid(variant, step.rows(s), run.count),
    bytes: (s) => 4 * (step.rows(s) * (D + columns) + columns * D),
    flops: common.flops,
  });
  const open = unpackSlice(gpu, { label, matrix, b: activations.unpacked, first: run.first * E, columns, gamma });
  return unlessEmpty([open, product], step.rows);
}

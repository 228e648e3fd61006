// Query, key and value heads: one dispatch normalises, multiplies, rotates and writes to the query buffer and to pages.
// Which stores a layer's product fills, the layout says: its own, those of all later layers at once, or none.
import { assert, ceilDiv } from "../../errors.ts";
import { families } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import { columnOf } from "../../kv/layout.ts";
import { Later } from "../../later.ts";
import type { ModelConfig } from "../config.ts";
import type { ModelContext } from "../context.ts";
import { unitOf, unlessEmpty, dequantiseSlice, weightBytes } from "../ops/linear.ts";
import { isNarrow, type RowClass } from "../ops/rowclass.ts";
import type { Sizes } from "../ops/sizes.ts";
import { type QkvNarrow, qkvSlices, type QkvWide, qkvWideGrid } from "../ops/variant.ts";
import { using } from "../ops/variants.ts";
import { type Matrix, wholeOf } from "../weights/matrix.ts";
import { linear } from "./products.ts";
import { type HeadRun, type QkvProduct, runsOf } from "./runs.ts";

/** For families whose norm covers all heads: loaded before a model of one is made. */
export const placing = new Later(() => import("./place.ts"));

/** Of up to `rows` rows: few of them are bound by weight bytes, many by arithmetic. */
export function projectQkv(model: ModelContext, rows: RowClass, product: QkvProduct): AnyDispatch<Sizes>[] {
  if (model.config.allHeadsNorm)
    return [
      ...linear(model, rows, placing.now.plainProduct(model, product)),
      ...placing.now.placeHeads(model, product),
    ];
  const { matrix } = product.qkv;
  return isNarrow(rows)
    ? using("qkvNarrow", model.variants.qkvNarrow(matrix), (variant) => projectNarrow(model, product, rows, variant))
    : using("qkvWide", model.variants.qkvWide(matrix, rows), (variant) => projectWide(model, product, variant));
}

const headEpsilon = ({ normEpsilon, fileHeadWidth, headWidth }: ModelConfig): number =>
  (normEpsilon * fileHeadWidth) / headWidth;

/** Constants, parameters and buffers that all four kernels have. */
function shared(
  { config, cache, activations, ropes }: ModelContext,
  { qkv, rowAt, rows, input }: QkvProduct,
  run: HeadRun,
) {
  const { hiddenSize: depth, kvHeads: G, headWidth: E, headNorm, normEpsilon } = config;
  const { table: rope, queryTurns } = ropes[run.rotation]!;
  const { biased, biasAt, queryNormAt, keyNormAt, buffer: vectors } = qkv.vectors;
  return {
    constants: { E, KV_BITS: cache.written.bits, BIAS: biased ? 1 : 0, HEAD_NORM: headNorm ? 1 : 0 },
    buffers: {
      x: input ?? activations.hidden,
      vectors,
      rows: cache.lists.inputs,
      rope,
      q: activations.query,
      kv: run.kv,
    },
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
function labelOf({ layer, qkv: { stores }, range, store }: QkvProduct): string {
  if (store !== undefined) return `layer ${layer} kv of store ${store}`;
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
  const { stride, words, scales } = wholeOf(matrix);
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
      buffers: { ...common.buffers, words, scales },
      params: (s: Sizes) => ({
        ...common.params(s),
        stride,
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

// Query, key and value heads: one dispatch normalises, multiplies, rotates and writes to the query buffer and to pages.
// Which stores a layer's product fills, the layout says: its own, those of all later layers at once, or none.
import { assert, ceilDiv } from "../../errors.ts";
import { SHORT_ROWS } from "../../gpu/profile.ts";
import { families, qkv_packed, qkv_regs } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import { columnOf } from "../../kv/layout.ts";
import { Later } from "../../later.ts";
import type { ModelContext } from "../context.ts";
import { deepColumns, deepSlices } from "../ops/deep.ts";
import { gemv, unitOf, unlessEmpty, dequantiseSlice, weightBytes } from "../ops/linear.ts";
import { isNarrow, type RowClass } from "../ops/rowclass.ts";
import type { Sizes } from "../ops/sizes.ts";
import { type QkvNarrow, type QkvPacked, qkvRegsGrid, qkvSlices, type QkvWide, type QkvWhole } from "../ops/variant.ts";
import { using } from "../ops/variants.ts";
import { type Matrix, wholeOf } from "../weights/matrix.ts";
import { linear } from "./products.ts";
import { headEpsilon, type HeadRun, labelOf, type QkvProduct, runsOf } from "./runs.ts";

/** For heads that a plain product makes, and another dispatch finishes: loaded before a model that may have such is made. */
export const placing = new Later(() => import("./place.ts"));

/** Of up to `rows` rows: few of them are bound by weight bytes, many by arithmetic. */
export function projectQkv(model: ModelContext, rows: RowClass, product: QkvProduct): AnyDispatch<Sizes>[] {
  if (model.config.allHeadsNorm)
    return placing.now.projectPlaced(model, product, (plain) => linear(model, rows, plain));
  const { matrix } = product.qkv;
  return isNarrow(rows)
    ? using("qkvNarrow", model.variants.qkvNarrow(matrix), (variant) => projectNarrow(model, product, rows, variant))
    : using("qkvWide", model.variants.qkvWide(matrix, rows), (variant) => projectWide(model, product, variant));
}

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

/** The columns of a matrix that a run of heads reads, for its bytes. */
const columnsOf = (matrix: Matrix, columns: number): Matrix => ({ ...matrix, columns });

export function projectNarrow(
  model: ModelContext,
  product: QkvProduct,
  tileRows: number,
  variant: QkvNarrow,
): AnyDispatch<Sizes>[] {
  if (variant.kernel === "place_heads")
    return placing.now.projectPlaced(model, product, (plain) => gemv(model.gpu, plain, tileRows, variant.gemv));
  const { matrix } = product.qkv;
  const own = packedOf(product.qkv);
  const { headWidth: E } = model.config;
  return runsOf(model, product).map((run) => {
    const common = shared(model, product, run);
    const { constants, groups } = narrowShape(variant, matrix, common.constants, { heads: run.count, rows: tileRows });
    return dispatch({
      kernel: families.qkv_narrow[variant.kernel],
      label: labelOf(product),
      constants: { ...constants, ...own.constants },
      buffers: { ...common.buffers, ...own.buffers },
      params: (s: Sizes) => ({ ...common.params(s), ...own.numbers }),
      grid: (s) => (product.rows(s) === 0 ? [0, 0, 0] : [run.count, groups, 1]),
      bytes: () => weightBytes(columnsOf(matrix, run.count * E)),
      flops: common.flops,
    });
  });
}

/** Constants of a kernel for few rows, and workgroups of a head. */
function narrowShape(
  variant: QkvWhole,
  matrix: Matrix,
  { HEAD_NORM, ...shape }: { E: number; HEAD_NORM: number; KV_BITS: number; BIAS: number },
  { heads, rows }: { heads: number; rows: number },
): { constants: Readonly<Record<string, number>>; groups: number } {
  const { E } = shape;
  if (variant.kernel === "qkv_deep") {
    const COLS = E % 8 === 0 ? Math.max(4, deepColumns(heads * E, 8)) : 4;
    const SLICES = deepSlices(matrix, rows, COLS, variant.threads);
    return { constants: { ...shape, COLS, SLICES, ROWS: rows }, groups: E / COLS };
  }
  const whole = { ...shape, HEAD_NORM, UNIT: unitOf(matrix, variant.unit) };
  // qkv_cols takes rows one by one: one pipeline for any class
  const own =
    variant.kernel === "qkv_cols" ? { ROWS: SHORT_ROWS } : { ROWS: rows, SLICES: qkvSlices(variant, E, rows) };
  return { constants: { ...whole, ...own }, groups: 1 };
}

export function projectWide(model: ModelContext, product: QkvProduct, variant: QkvWide): AnyDispatch<Sizes>[] {
  if (variant.kernel === "qkv_packed") return projectPacked(model, product, variant);
  return variant.kernel === "qkv_cols"
    ? projectNarrow(model, product, SHORT_ROWS, variant.narrow)
    : projectUnpacked(model, product);
}

/** What kernels that read packed weights have beside the others. */
function packedOf({ matrix, vectors }: QkvProduct["qkv"]) {
  const { stride, words, scales } = wholeOf(matrix);
  return {
    constants: { BITS: matrix.bits, GROUP: matrix.group },
    buffers: { words, scales },
    numbers: { stride, gammaQ: vectors.gammaQ, gammaKv: vectors.gammaKv },
  };
}

function projectPacked(model: ModelContext, product: QkvProduct, variant: QkvPacked): AnyDispatch<Sizes>[] {
  const { headWidth: E, hiddenSize: D } = model.config;
  const { qkv, rows } = product;
  const own = packedOf(qkv);
  return runsOf(model, product).map((run) => {
    const common = shared(model, product, run);
    return dispatch({
      kernel: qkv_packed,
      label: labelOf(product),
      constants: { ...common.constants, ...own.constants, ...variant.constants },
      buffers: { ...common.buffers, ...own.buffers },
      params: (s: Sizes) => ({ ...common.params(s), ...own.numbers }),
      grid: (s) => [ceilDiv(rows(s), variant.rows), run.count, 1],
      bytes: (s) => weightBytes(columnsOf(qkv.matrix, run.count * E)) + 4 * rows(s) * (D + run.count * E),
      flops: common.flops,
    });
  });
}

/** Slices of whole heads are dequantised, with the norm's weight multiplied in, and multiplied. */
function projectUnpacked(model: ModelContext, product: QkvProduct): AnyDispatch<Sizes>[] {
  const { headWidth: E, hiddenSize: D } = model.config;
  const most = Math.floor(model.activations.dequantised.size / (4 * D * E));
  return runsOf(model, product).flatMap((run) =>
    Array.from({ length: ceilDiv(run.count, most) }, (_, i): HeadRun => {
      const first = run.first + i * most;
      return { ...run, first, count: Math.min(most, run.first + run.count - first) };
    }).flatMap((slice) => projectSlice(model, product, slice)),
  );
}

function projectSlice(model: ModelContext, product: QkvProduct, run: HeadRun): AnyDispatch<Sizes>[] {
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
    kernel: qkv_regs,
    label,
    constants: common.constants,
    buffers: { ...common.buffers, b: activations.dequantised },
    params: (s: Sizes) => ({ ...common.params(s), stride: columns, bHead: run.first, heads: run.count }),
    grid: (s) => qkvRegsGrid(product.rows(s), run.count),
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

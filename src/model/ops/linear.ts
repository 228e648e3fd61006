// Products of activations and weights as dispatches: grids, bytes and flops.
import { ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { Bindable } from "../../gpu/kernel.ts";
import { SHORT_ROWS } from "../../gpu/profile.ts";
import { families, gemm_packed, rmsnorm, unpack } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch, type Grid } from "../../gpu/program.ts";
import { deepColumns, deepSlices } from "./deep.ts";
import type { Sizes } from "./sizes.ts";
import type { GemvVariant, Variant } from "./variant.ts";
import { type Matrix, pieceAt, type PieceRange, piecesOf, rangesOf, type Vector } from "../weights/matrix.ts";

type Dispatches = AnyDispatch<Sizes>[];

/** y = Wx, y += Wx, y = silu(gate) · up of an interleaved pair, and the same with GELU. */
export const EPILOGUE = { store: 0, add: 1, swiglu: 2, geglu: 3 } as const;

const isGated = (epilogue: keyof typeof EPILOGUE): boolean => EPILOGUE[epilogue] >= EPILOGUE.swiglu;

export interface Linear {
  label: string;
  matrix: Matrix;
  /** [rows, K] f32 */
  x: Bindable;
  /** [rows, N] f32, or [rows, N/2] of a gated one */
  y: Bindable;
  bias?: Vector | undefined;
  /** x is RMS-normalised first, in the same kernel. */
  norm?: { weight: Vector; epsilon: number };
  epilogue: keyof typeof EPILOGUE;
  rows: (sizes: Sizes) => number;
}

export const weightBytes = ({ columns, depth, bits, group }: Omit<Matrix, "pieces">): number =>
  columns * depth * (bits / 8) + (bits <= 8 ? (columns * depth * 4) / group : 0);

/** Floats of an output row that come from so many columns. */
export const widthOf = (epilogue: Linear["epilogue"], columns: number): number =>
  isGated(epilogue) ? columns / 2 : columns;

export const outputWidth = ({ matrix, epilogue }: Linear): number => widthOf(epilogue, matrix.columns);

/** The same from a number of floats on. */
export function from(bound: Bindable, floats: number): Bindable {
  if (floats === 0) return bound;
  return "buffer" in bound
    ? { ...bound, offset: (bound.offset ?? 0) + floats * 4 }
    : { buffer: bound, offset: floats * 4 };
}

// ---- decode: a few rows, bound by weight bytes ----

/** What a variant makes of a product: constants of its own, and workgroups. */
function shapeOf(
  { kernel, lanes, columns: most, slices, unit }: GemvVariant,
  { matrix, epilogue }: Linear,
  columns: number,
  rows: number,
): { own: Readonly<Record<string, number>>; groups: number } {
  if (kernel === "gemv_deep") {
    const COLS = isGated(epilogue) ? 8 : deepColumns(columns, most);
    const own = { COLS, SLICES: deepSlices(matrix, rows, COLS, slices), ROWS: rows };
    return { own, groups: ceilDiv(columns, COLS) };
  }
  const COLS = isGated(epilogue) ? Math.max(2, most) : most;
  // gemv_cols takes rows one by one: one pipeline for any class
  const threads =
    kernel === "gemv_cols" ? { WG: lanes, ROWS: SHORT_ROWS } : { LANES: lanes, SLICES: slices, ROWS: rows };
  const groups = ceilDiv(ceilDiv(columns, 4 * COLS) * 4, lanes);
  return { own: { COLS, UNIT: unitOf(matrix, unit), ...threads }, groups };
}

/** Values per inner step: as many as divide K and the group, at least those of four words (f16: K may end within). */
export function unitOf({ depth, bits, group }: Matrix, most: number): number {
  const fits = (unit: number) => unit <= most && depth % unit === 0 && (bits > 8 || group % unit === 0);
  return Math.max(128 / bits, [32, 16, 8].find(fits) ?? 4);
}

/** y = W · x for 1 to `tileRows` rows, normalisation, bias and epilogue folded in. */
export const gemv = (gpu: Gpu, linear: Linear, tileRows: number, variant: GemvVariant): Dispatches =>
  piecesOf(linear.matrix).map((piece) => gemvPiece(gpu, linear, piece, { tileRows, variant }));

/** The outputs of one piece. */
function gemvPiece(
  gpu: Gpu,
  linear: Linear,
  piece: PieceRange,
  { tileRows, variant }: { tileRows: number; variant: GemvVariant },
): AnyDispatch<Sizes> {
  const { own, groups } = shapeOf(variant, linear, piece.columns, tileRows);
  return dispatch({
    ...overPiece(gpu, linear, piece),
    kernel: families.gemv[variant.kernel],
    constants: { ...packedConstants(linear), ...own },
    grid: (s) => [linear.rows(s) === 0 ? 0 : groups, 1, 1],
    bytes: () => weightBytes({ ...linear.matrix, columns: piece.columns }),
  });
}

const packedConstants = ({ matrix: { bits, group }, norm, epilogue, bias }: Linear) => ({
  BITS: bits,
  GROUP: group,
  NORM: norm ? 1 : 0,
  EPILOGUE: EPILOGUE[epilogue],
  BIAS: bias ? 1 : 0,
});

/** What all kernels that read packed weights have: buffers and parameters of one piece. */
function overPiece(gpu: Gpu, linear: Linear, { first, columns, stride, words, scales }: PieceRange) {
  const { label, matrix, x, y, bias, norm, epilogue, rows } = linear;
  return {
    label,
    buffers: {
      x,
      gamma: norm?.weight ?? gpu.unused,
      words,
      scales,
      bias: bias ? from(bias, first) : gpu.unused,
      y: from(y, widthOf(epilogue, first)),
    },
    params: (s: Sizes) => ({
      rows: rows(s),
      depth: matrix.depth,
      columns,
      stride,
      yStride: outputWidth(linear),
      eps: norm?.epsilon ?? 0,
    }),
    flops: (s: Sizes) => 2 * rows(s) * columns * matrix.depth,
  };
}

// ---- prefill: many rows, bound by arithmetic ----

/** How a product of many rows is made. */
export type WideVariant = PackedVariant | RowsVariant | GemmVariant;

/** Weights dequantised inside the tile. */
export interface PackedVariant extends Variant {
  kernel: "gemm_packed";
  constants: Readonly<Record<string, number>>;
  /** Rows and columns that one workgroup computes. */
  tile: readonly [rows: number, columns: number];
}

/** Row by row, as a decoded token is, all rows in one dispatch. */
export interface RowsVariant extends Variant {
  kernel: "gemv_cols";
  gemv: GemvVariant;
}

/** Weights dequantised to f32 first, then a product of plain f32 buffers. */
export interface GemmVariant extends Variant {
  kernel: keyof typeof families.gemm;
  constants: Readonly<Record<string, number>>;
  /** Rows and columns that one workgroup computes. */
  tile: readonly [rows: number, columns: number];
}

/** gemm_regs_sg walks 16 panels of columns side by side, so that each thread of a CPU adapter keeps to one of them. */
const SG_PANELS = 16;

function gemmGrid({ kernel, tile }: GemmVariant, rows: number, columns: number): Grid {
  const [down, across] = [ceilDiv(rows, tile[0]), ceilDiv(columns, tile[1])];
  if (kernel === "gemm_tile") return [down, across, 1];
  return kernel === "gemm_regs_sg" ? [SG_PANELS, down, ceilDiv(columns, SG_PANELS * tile[1])] : [across, down, 1];
}

/** Buffers of a wide product: its normalised input, and a slice of its weights dequantised to f32. */
export interface Scratch {
  /** [rows, max K] f32 */
  normed: GPUBuffer;
  /** f32 K-major slice of a matrix */
  dequantised: GPUBuffer;
}

/** Y = X · Wᵀ for many rows. */
export function gemm(gpu: Gpu, linear: Linear, scratch: Scratch, variant: WideVariant): Dispatches {
  if (variant.kernel === "gemv_cols") return gemv(gpu, linear, SHORT_ROWS, variant.gemv);
  return variant.kernel === "gemm_packed"
    ? piecesOf(linear.matrix).map((piece) => packedPiece(gpu, linear, piece, variant))
    : dequantised(gpu, linear, scratch, variant);
}

function packedPiece(
  gpu: Gpu,
  linear: Linear,
  piece: PieceRange,
  { constants, tile }: PackedVariant,
): AnyDispatch<Sizes> {
  const { matrix, rows } = linear;
  const { columns } = piece;
  return dispatch({
    ...overPiece(gpu, linear, piece),
    kernel: gemm_packed,
    constants: { ...packedConstants(linear), ...constants },
    grid: (s) => [ceilDiv(rows(s), tile[0]), ceilDiv(columns, tile[1]), 1],
    bytes: (s) => weightBytes({ ...matrix, columns }) + 4 * rows(s) * (matrix.depth + columns),
  });
}

/** Normalise, dequantise a slice of the weights, multiply; slice by slice. */
function dequantised(gpu: Gpu, linear: Linear, scratch: Scratch, variant: GemmVariant): Dispatches {
  const { matrix, x, norm, rows } = linear;
  const dispatches: Dispatches = [];
  if (norm) dispatches.push(normalise(gpu, { ...linear, norm, y: scratch.normed }));
  const input = norm ? scratch.normed : x;
  for (const { first, columns } of slicesOf(matrix, scratch.dequantised.size)) {
    dispatches.push(dequantiseSlice(gpu, { ...linear, b: scratch.dequantised, first, columns }));
    dispatches.push(multiply(gpu, linear, { a: input, b: scratch.dequantised, first, columns }, variant));
  }
  return unlessEmpty(dispatches, rows);
}

/** The dispatches, left out where there is no row. */
export const unlessEmpty = (dispatches: Dispatches, rows: (sizes: Sizes) => number): Dispatches =>
  dispatches.map((each) => ({ ...each, grid: (s: Sizes) => (rows(s) === 0 ? [0, 0, 0] : each.grid(s)) }));

/** Columns of a slice whose f32 form fits into `bytes`: 128, or a multiple. */
export function sliceColumns({ columns, depth }: Pick<Matrix, "columns" | "depth">, bytes: number): number {
  const most = Math.floor(bytes / 4 / depth / 128) * 128;
  return Math.min(columns + ((4 - (columns % 4)) % 4), Math.max(128, most));
}

/** Slices of a matrix whose f32 form fits into `bytes`. */
export const slicesOf = (matrix: Matrix, bytes: number): { first: number; columns: number }[] =>
  rangesOf(matrix, sliceColumns(matrix, bytes));

/** y = x, RMS-normalised; `add`: added to what is there. */
export function normalise(
  gpu: Gpu,
  {
    label,
    matrix: { depth: D },
    x,
    y,
    norm,
    rows,
    add = false,
  }: Pick<Linear, "label" | "x" | "y" | "rows"> & {
    matrix: Pick<Matrix, "depth">;
    norm: NonNullable<Linear["norm"]>;
    add?: boolean;
  },
): AnyDispatch<Sizes> {
  return dispatch({
    kernel: rmsnorm,
    constants: { D, WG: gpu.profile.normThreads, ADD: add ? 1 : 0 },
    label: `${label} norm`,
    buffers: { x, rows: gpu.unused, weight: norm.weight, y },
    params: () => ({ useRows: 0, eps: norm.epsilon }),
    grid: (s: Sizes) => [rows(s), 1, 1],
    bytes: (s) => 4 * (3 * rows(s) * D + D),
    flops: (s) => 4 * rows(s) * D,
  });
}

/** Columns of a matrix dequantised to f32 in `b`, multiplied by the weight of the norm before it where one is given. */
export interface Dequantised {
  label: string;
  matrix: Matrix;
  b: GPUBuffer;
  first: number;
  columns: number;
  /** Offset in floats. */
  gamma?: { vectors: Vector; at: number };
}

export function dequantiseSlice(
  gpu: Gpu,
  { label, matrix, b, first, columns, gamma }: Dequantised,
): AnyDispatch<Sizes> {
  const { depth, bits, group } = matrix;
  const piece = pieceAt(matrix, first);
  const { stride, words, scales } = piece;
  return dispatch({
    kernel: unpack,
    constants: { BITS: bits, GROUP: group, GAMMA: gamma ? 1 : 0 },
    label: `${label} unpack`,
    buffers: { words, scales, vectors: gamma?.vectors ?? gpu.unused, b },
    params: () => ({ depth, columns, stride, firstColumn: first - piece.first, gammaAt: gamma?.at ?? 0 }),
    grid: () => unpackGrid(matrix, columns),
    bytes: () => columns * depth * (bits / 8 + 4),
    flops: () => 2 * columns * depth,
  });
}

/** Four words per invocation: unpack and fold. */
export function unpackGrid({ depth, bits }: Pick<Matrix, "depth" | "bits">, columns: number): Grid {
  return [ceilDiv(columns, 64), ceilDiv(depth, 128 / bits), 1];
}

interface Slice {
  a: Bindable;
  /** [K, columns] */
  b: GPUBuffer;
  first: number;
  columns: number;
}

function multiply(gpu: Gpu, linear: Linear, { a, b, first, columns }: Slice, variant: GemmVariant): AnyDispatch<Sizes> {
  const { label, matrix, y, bias, epilogue, rows } = linear;
  const cOffset = widthOf(epilogue, first);
  const part = bias && from(bias, first);
  const place = { c: y, cStride: outputWidth(linear), cOffset };
  return matmul(
    gpu,
    { label, a, b, bias: part, epilogue, rows, depth: () => matrix.depth, columns, ...place },
    variant,
  );
}

/** c = a · b of plain f32 buffers. Strides and offsets in floats. */
export interface Matmul {
  label: string;
  /** [rows, aStride] from aOffset on, of which `depth` columns count. Default: [rows, depth] */
  a: Bindable;
  aStride?: number;
  aOffset?: number;
  /** [depth, bStride] from bOffset on, of which `columns` count, all multiples of 4. Default: [depth, columns] */
  b: Bindable;
  bStride?: number;
  bOffset?: number;
  bias?: Bindable | undefined;
  /** [rows, cStride], from column cOffset on */
  c: Bindable;
  cStride: number;
  cOffset: number;
  epilogue: Linear["epilogue"];
  rows: (sizes: Sizes) => number;
  depth: (sizes: Sizes) => number;
  columns: number;
}

export function matmul(gpu: Gpu, product: Matmul, variant: GemmVariant): AnyDispatch<Sizes> {
  const { label, a, b, bias, c, cStride, cOffset, epilogue, rows, depth, columns } = product;
  const { aStride, aOffset = 0, bStride = columns, bOffset = 0 } = product;
  return dispatch({
    kernel: families.gemm[variant.kernel],
    constants: { ...variant.constants, EPILOGUE: EPILOGUE[epilogue], BIAS: bias ? 1 : 0 },
    label,
    buffers: { a, b, bias: bias ?? gpu.unused, c },
    params: (s: Sizes) => ({
      rows: rows(s),
      depth: depth(s),
      columns,
      aStride: aStride ?? depth(s),
      aOffset,
      bStride,
      bOffset,
      cStride,
      cOffset,
    }),
    grid: (s) => gemmGrid(variant, rows(s), columns),
    bytes: (s) => 4 * (rows(s) * (depth(s) + columns) + columns * depth(s)),
    flops: (s) => 2 * rows(s) * columns * depth(s),
  });
}

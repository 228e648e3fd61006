// Products of prompts in int8 (`int8Products`): rows are rounded block by block and multiplied with packed weights as integers.
import { alignUp, ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { gemm_int8, quantise_rows } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import type { ModelConfig } from "../config.ts";
import { type Matrix, type PieceRange, piecesOf } from "../weights/matrix.ts";
import { EPILOGUE, from, gemv, type Linear, outputWidth, unlessEmpty, weightBytes, widthOf } from "./linear.ts";
import { MOST_NARROW, type RowClass } from "./rowclass.ts";
import type { Sizes } from "./sizes.ts";
import { using, type Variants } from "./variants.ts";

/** Whether the browser's WGSL has dot4I8Packed. Where a GPU has no such instruction, it is made of others. */
export const isOffered = (): boolean =>
  globalThis.navigator?.gpu?.wgslLanguageFeatures?.has("packed_4x8_integer_dot_product") ?? false;

/** Rows, columns and threads of a tile of gemm_int8: 13 KiB of workgroup memory at most. */
interface Tile {
  rows: number;
  columns: number;
  threads: number;
  constants: Readonly<Record<"TM" | "TN" | "WX" | "WY" | "BK", number>>;
}

function tileOf(WY: number): Tile {
  const [TM, TN, WX, BK] = [4, 4, 16, 64];
  return { rows: TM * WY, columns: TN * WX, threads: WX * WY, constants: { TM, TN, WX, WY, BK } };
}
const [LOW, HIGH] = [tileOf(8), tileOf(16)];

/** Inputs of a row that share a step, at least. */
const LEAST_GROUP = 16;

/** The rows of a step, rounded for one product after another. */
export class Int8Products {
  readonly #gpu: Gpu;
  readonly #variants: Variants;
  /** [rows, K] int8, four to a word */
  readonly #units: GPUBuffer;
  /** [rows, K/GROUP] vec2f (step, step · Σ of the units) */
  readonly #pairs: GPUBuffer;

  /** `rows`: of a step, at most. */
  constructor(
    gpu: Gpu,
    variants: Variants,
    { hiddenSize, intermediateSize, heads, headWidth }: ModelConfig,
    rows: number,
  ) {
    const widest = alignUp(Math.max(hiddenSize, intermediateSize, heads * headWidth), LEAST_GROUP);
    this.#gpu = gpu;
    this.#variants = variants;
    this.#units = gpu.buffer("rows in int8", rows * widest, "scratch");
    this.#pairs = gpu.buffer("steps of rows in int8", (rows * widest * 8) / LEAST_GROUP, "scratch");
  }

  /** Whether its weights are units of 8 bits at most. */
  takes = ({ bits }: Matrix): boolean => bits <= 8;

  /** The product of a program for up to `most` rows. Those that decode, which come first, are multiplied as if they were alone. */
  product(linear: Linear, most: RowClass): AnyDispatch<Sizes>[] {
    this.#variants.choose("products of prompts", "int8");
    const decoding = { ...linear, rows: (s: Sizes) => s.decodeRows };
    const exact = using("gemv", this.#variants.gemv(linear), (variant) =>
      gemv(this.#gpu, decoding, MOST_NARROW, variant),
    );
    const tile = most <= LOW.rows || this.#gpu.offer.threads < HIGH.threads ? LOW : HIGH;
    const rows = (s: Sizes) => linear.rows(s) - s.decodeRows;
    const pieces = piecesOf(linear.matrix).map((piece) => this.#multiply(linear, piece, tile, rows));
    return [...exact, ...unlessEmpty([this.#quantise(linear, rows), ...pieces], rows)];
  }

  #quantise({ label, matrix, x, norm }: Linear, rows: Linear["rows"]): AnyDispatch<Sizes> {
    const { depth, bits: BITS, group: GROUP } = matrix;
    return dispatch({
      kernel: quantise_rows,
      constants: { WG: this.#gpu.profile.normThreads, NORM: norm ? 1 : 0, BITS, GROUP },
      label: `${label} int8`,
      buffers: { x, gamma: norm?.weight ?? this.#gpu.unused, units: this.#units, pairs: this.#pairs },
      params: ({ decodeRows: first }: Sizes) => ({ first, depth, eps: norm?.epsilon ?? 0 }),
      grid: (s) => [rows(s), 1, 1],
      bytes: (s) => rows(s) * depth * (5 + 8 / GROUP),
      flops: (s) => 4 * rows(s) * depth,
    });
  }

  #multiply(linear: Linear, piece: PieceRange, tile: Tile, rows: Linear["rows"]): AnyDispatch<Sizes> {
    const { label, matrix, bias, y, epilogue } = linear;
    const { depth, bits: BITS, group: GROUP } = matrix;
    const { first, columns, stride, words, scales } = piece;
    return dispatch({
      kernel: gemm_int8,
      constants: { EPILOGUE: EPILOGUE[epilogue], BIAS: bias ? 1 : 0, BITS, GROUP, ...tile.constants },
      label,
      buffers: {
        x: this.#units,
        pairs: this.#pairs,
        words,
        scales,
        bias: bias ? from(bias, first) : this.#gpu.unused,
        y: from(y, widthOf(epilogue, first)),
      },
      params: (s: Sizes) => ({
        rows: rows(s),
        first: s.decodeRows,
        depth,
        columns,
        stride,
        yStride: outputWidth(linear),
      }),
      grid: (s) => [ceilDiv(rows(s), tile.rows), ceilDiv(columns, tile.columns), 1],
      bytes: (s) => weightBytes({ ...matrix, columns }) + rows(s) * (depth * (1 + 8 / GROUP) + 4 * columns),
      flops: (s) => 2 * rows(s) * columns * depth,
    });
  }
}

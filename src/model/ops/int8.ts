// Products of prompts in int8 (`int8Products`): rows are rounded block by block and multiplied with packed weights as integers.
import { ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { gemm_int8, quantise_rows } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import type { ModelConfig } from "../config.ts";
import type { Matrix, PieceRange } from "../weights/matrix.ts";
import { type Linear, weightBytes } from "./linear.ts";
import { besideDecoding, ofPiece, promptRows, widestOf } from "./prompts.ts";
import type { RowClass } from "./rowclass.ts";
import type { Sizes } from "./sizes.ts";
import type { Variants } from "./variants.ts";

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
  constructor(gpu: Gpu, variants: Variants, config: ModelConfig, rows: number) {
    const widest = widestOf(config);
    this.#gpu = gpu;
    this.#variants = variants;
    this.#units = gpu.buffer("rows in int8", rows * widest, "scratch");
    this.#pairs = gpu.buffer("steps of rows in int8", (rows * widest * 8) / LEAST_GROUP, "scratch");
  }

  /** Whether its weights are units of 8 bits at most. */
  takes = ({ bits }: Matrix): boolean => bits <= 8;

  product(linear: Linear, most: RowClass): AnyDispatch<Sizes>[] {
    this.#variants.choose("products of prompts", "int8");
    const tile = most <= LOW.rows || this.#gpu.offer.threads < HIGH.threads ? LOW : HIGH;
    return besideDecoding(this.#gpu, this.#variants, linear, this.#quantise(linear), (piece) =>
      this.#multiply(linear, piece, tile),
    );
  }

  #quantise(linear: Linear): AnyDispatch<Sizes> {
    const { label, matrix, x, norm } = linear;
    const { depth, bits: BITS, group: GROUP } = matrix;
    const rows = promptRows(linear);
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

  #multiply(linear: Linear, piece: PieceRange, tile: Tile): AnyDispatch<Sizes> {
    const { label, matrix } = linear;
    const { columns } = piece;
    const rows = promptRows(linear);
    const { constants, buffers, params, flops } = ofPiece(this.#gpu, linear, piece);
    return dispatch({
      kernel: gemm_int8,
      constants: { ...constants, ...tile.constants },
      label,
      buffers: { x: this.#units, pairs: this.#pairs, ...buffers },
      params,
      grid: (s) => [ceilDiv(rows(s), tile.rows), ceilDiv(columns, tile.columns), 1],
      bytes: (s) =>
        weightBytes({ ...matrix, columns }) + rows(s) * (matrix.depth * (1 + 8 / matrix.group) + 4 * columns),
      flops,
    });
  }
}

// Products of prompts by subgroup matrices (`matrixProducts`): rows are rounded to f16 and multiplied with packed weights, f16, too,
// by the instructions that GPUs have for small matrices, with sums in f32.
import { ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { gemm_matrix, half_rows } from "../../gpu/kernels.gen.ts";
import { isCompiled, type MatrixShape, offeredShapes } from "../../gpu/matrices.ts";
import type { Offer } from "../../gpu/offer.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import type { ModelConfig } from "../config.ts";
import type { Matrix, PieceRange } from "../weights/matrix.ts";
import { type Linear, weightBytes } from "./linear.ts";
import { besideDecoding, ofPiece, promptRows, widestOf } from "./prompts.ts";
import type { RowClass } from "./rowclass.ts";
import type { Sizes } from "./sizes.ts";
import type { Variants } from "./variants.ts";

/** Threads and columns of a workgroup, and its rows: fewer for short prompts and little memory. */
const [THREADS, COLUMNS, LOW, HIGH] = [128, 64, 32, 64];

/** What one workgroup of gemm_matrix computes. */
export interface MatrixTile {
  rows: number;
  columns: number;
  threads: number;
  workgroupBytes: number;
  constants: Readonly<Record<"M" | "N" | "D" | "HALF" | "LANES" | "SX" | "SY" | "TM" | "TN" | "BK", number>>;
}

/** Subgroups along columns and rows of a tile of so many rows, and the matrices that each of them has then. */
const gridsOf = ({ M, N, LANES }: MatrixShape, rows: number) =>
  [1, 2, 4, 8, 16, 32].map((SX) => {
    const SY = THREADS / LANES / SX;
    return { SX, SY, TM: rows / SY / M, TN: COLUMNS / SX / N };
  });

/** A tile of so many rows. Subgroups lie so that their parts are nearly square; null where these are no whole matrices. */
export function matrixTile(shape: MatrixShape, rows: number): MatrixTile | null {
  const { M, N, D, HALF } = shape;
  const BK = HALF ? 32 : 16;
  const [grid] = gridsOf(shape, rows)
    .filter(({ SY, TM, TN }) => [SY, TM, TN, BK / D, D / 4].every((count) => Number.isInteger(count) && count > 0))
    .toSorted((a, b) => a.TM * M + a.TN * N - (b.TM * M + b.TN * N));
  if (!grid) return null;
  const line = BK / 4 + 1 + HALF; // vec4
  const workgroupBytes = (rows + COLUMNS) * line * (16 >> HALF) + 4 * rows * COLUMNS;
  return { rows, columns: COLUMNS, threads: THREADS, workgroupBytes, constants: { ...shape, ...grid, BK } };
}

/** Tiles for short prompts and for long ones, by the first shape that fits: none where no shape does. */
export function matrixTiles(shapes: readonly MatrixShape[], offer: Offer): [MatrixTile, MatrixTile] | null {
  const fits = (tile: MatrixTile | null): tile is MatrixTile =>
    tile !== null && tile.threads <= offer.threads && tile.workgroupBytes <= offer.workgroupBytes;
  for (const shape of shapes) {
    const [low, high] = [matrixTile(shape, LOW), matrixTile(shape, HIGH)];
    if (fits(low)) return [low, fits(high) ? high : low];
  }
  return null;
}

/** The rows of a step in f16, rounded for one product after another. */
export class MatrixProducts {
  readonly #gpu: Gpu;
  readonly #variants: Variants;
  readonly #tiles: readonly [MatrixTile, MatrixTile];
  /** [rows, K] f16 */
  readonly #halves: GPUBuffer;
  /** [rows] f32 */
  readonly #factors: GPUBuffer;

  /** `rows`: of a step, at most. */
  constructor(
    gpu: Gpu,
    variants: Variants,
    tiles: readonly [MatrixTile, MatrixTile],
    config: ModelConfig,
    rows: number,
  ) {
    this.#gpu = gpu;
    this.#variants = variants;
    this.#tiles = tiles;
    this.#halves = gpu.buffer("rows in f16", 2 * rows * widestOf(config), "scratch");
    this.#factors = gpu.buffer("factors of rows", 4 * rows, "scratch");
  }

  /** Null where the adapter offers no matrices that the kernel takes, or its compiler does not take the kernel. */
  static async offered(
    gpu: Gpu,
    variants: Variants,
    config: ModelConfig,
    rows: number,
  ): Promise<MatrixProducts | null> {
    const tiles = matrixTiles(await offeredShapes(gpu.device), gpu.offer);
    if (!tiles || (!gpu.isPaper && !(await isCompiled(gpu, gemm_matrix, tiles[1].constants)))) return null;
    return new MatrixProducts(gpu, variants, tiles, config, rows);
  }

  /** Whether f16 holds its weights: f32 may be larger. */
  takes = ({ bits }: Matrix): boolean => bits <= 16;

  product(linear: Linear, most: RowClass): AnyDispatch<Sizes>[] {
    const [low, high] = this.#tiles;
    const { M, N, D, HALF } = high.constants;
    this.#variants.choose("products of prompts", `matrices ${M}×${N}×${D}, ${HALF ? "f16" : "f32"}`);
    const tile = most <= low.rows ? low : high;
    return besideDecoding(this.#gpu, this.#variants, linear, this.#round(linear), (piece) =>
      this.#multiply(linear, piece, tile),
    );
  }

  #round(linear: Linear): AnyDispatch<Sizes> {
    const { label, matrix, x, norm } = linear;
    const { depth } = matrix;
    const rows = promptRows(linear);
    return dispatch({
      kernel: half_rows,
      constants: { WG: this.#gpu.profile.normThreads, NORM: norm ? 1 : 0 },
      label: `${label} f16`,
      buffers: { x, gamma: norm?.weight ?? this.#gpu.unused, halves: this.#halves, factors: this.#factors },
      params: ({ decodeRows: first }: Sizes) => ({ first, depth, eps: norm?.epsilon ?? 0 }),
      grid: (s) => [rows(s), 1, 1],
      bytes: (s) => rows(s) * depth * 10,
      flops: (s) => 5 * rows(s) * depth,
    });
  }

  #multiply(linear: Linear, piece: PieceRange, tile: MatrixTile): AnyDispatch<Sizes> {
    const { label, matrix } = linear;
    const { columns } = piece;
    const rows = promptRows(linear);
    const { constants, buffers, params, flops } = ofPiece(this.#gpu, linear, piece);
    return dispatch({
      kernel: gemm_matrix,
      constants: { ...constants, ...tile.constants },
      label,
      buffers: { x: this.#halves, factors: this.#factors, ...buffers },
      params,
      grid: (s) => [ceilDiv(rows(s), tile.rows), ceilDiv(columns, tile.columns), 1],
      bytes: (s) => weightBytes({ ...matrix, columns }) + rows(s) * (2 * matrix.depth + 4 * columns),
      flops,
    });
  }
}

// Which kernel variant computes what on this adapter. The first candidate is the guess for the kind of adapter;
// model/tune.ts measures the others once and the answer is kept here.
import { ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { families } from "../../gpu/kernels.gen.ts";
import type { Grid } from "../../gpu/program.ts";
import type { ModelConfig } from "../config.ts";
import type { GemmVariant, GemvVariant, Linear } from "./linear.ts";
import type { Matrix } from "../weights/matrix.ts";

/** Prompt chunks over pages. */
export interface PrefillVariant {
  name: string;
  kernel: keyof typeof families.attn_prefill;
  /** Threads of a workgroup. */
  threads: number;
}

/** Single rows over pages. */
export interface DecodeVariant {
  name: string;
  kernel: keyof typeof families.attn_decode;
  /** Threads of a workgroup; for attn_decode_sg lanes of its subgroup. */
  threads: number;
  /** Pages that attn_decode takes at a time. */
  pages: number;
}

/** attn_prefill_regs takes 16 rows on a quad of lanes, attn_prefill_tile one row on two threads. */
export const prefillGrid = ({ kernel, threads }: PrefillVariant, rows: number, heads: number): Grid => [
  ceilDiv(rows, kernel === "attn_prefill_regs" ? 4 * threads : threads / 2),
  heads,
  1,
];

/** Heads of few rows: weights dequantised in the kernel. */
export interface QkvNarrow {
  name: string;
  kernel: keyof typeof families.qkv_narrow;
  /** Values of K per inner step, at most. */
  unit: number;
  /** Threads of a workgroup, at most. */
  threads: number;
}

/** Heads of many rows: weights dequantised before. */
export interface QkvWide {
  name: string;
  kernel: keyof typeof families.qkv_wide;
  constants: Readonly<Record<string, number>>;
  /** Rows of one workgroup. */
  rows: number;
}

export interface Candidates {
  qkvNarrow: readonly QkvNarrow[];
  qkvWide: readonly QkvWide[];
  gemv: readonly GemvVariant[];
  gemm: readonly GemmVariant[];
  prefill: readonly PrefillVariant[];
  decode: readonly DecodeVariant[];
}

const cols = (lanes: number, columns: number): GemvVariant => ({
  name: `cols ${lanes}×${columns}`,
  kernel: "gemv_cols",
  lanes,
  columns,
  slices: 1,
  unit: 32,
});
const split = (lanes: number, slices: number, unit = 16): GemvVariant => ({
  name: `split ${lanes}×2/${slices}·${unit}`,
  kernel: "gemv_split",
  lanes,
  columns: 2,
  slices,
  unit,
});
const tile = (TM: number, TN: number, WX: number, WY: number, BK: number): GemmVariant => {
  const size = [WY * TM, WX * TN * 4] as const;
  return {
    name: `tile ${size.join("×")} by ${WX * WY}`,
    kernel: "gemm_tile",
    constants: { TM, TN, WX, WY, BK },
    tile: size,
  };
};
const quads: GemmVariant = { name: "quads 16×16", kernel: "gemm_regs_sg", constants: { WG: 4 }, tile: [16, 16] };
const registers = (WG: number): GemmVariant => ({
  name: `registers 8×${8 * WG}`,
  kernel: "gemm_regs",
  constants: { WG },
  tile: [8, 8 * WG],
});
const prefillTile = (threads: number): PrefillVariant => ({
  name: `tile of ${threads / 2} rows`,
  kernel: "attn_prefill_tile",
  threads,
});
const workgroup = (threads: number, pages: number): DecodeVariant => ({
  name: `workgroup ${threads}`,
  kernel: "attn_decode",
  threads,
  pages,
});
const subgroup = (threads: number): DecodeVariant => ({
  name: `subgroup ${threads}`,
  kernel: "attn_decode_sg",
  threads,
  pages: 1,
});

const qkvCols: QkvNarrow = { name: "cols", kernel: "qkv_cols", unit: 32, threads: 4 };
const qkvSplit = (threads: number, unit: number): QkvNarrow => ({
  name: `split ${threads}·${unit}`,
  kernel: "qkv_split",
  unit,
  threads,
});
const qkvQuads: QkvWide = { name: "quads 16", kernel: "qkv_regs", constants: {}, rows: 16 };
const qkvTile = (TM: number, WY: number, BK: number): QkvWide => ({
  name: `tile of ${TM * WY} rows, ${BK} deep`,
  kernel: "qkv_tile",
  constants: { TM, WY, BK },
  rows: TM * WY,
});

/** Tiles that fit into workgroup memory and threads for this head width. */
const qkvTiles = (E: number): QkvWide[] =>
  E > 128 ? [qkvTile(16, 4, 4)] : [qkvTile(8, 8, 8), ...(E <= 64 ? [qkvTile(8, 8, 16)] : []), qkvTile(4, 16, 8)];

/** Threads along K of qkv_split: what is left of a workgroup's threads and of 16 KiB of its memory. */
export const qkvSlices = ({ threads }: QkvNarrow, E: number, rows: number): number =>
  Math.max(1, Math.min(Math.floor(threads / (E / 2)), Math.floor(4096 / (rows * (E + 1)))));

/** Workgroups of qkv_regs that are enough to balance a CPU adapter; each takes several heads, and norms its rows once. */
const QKV_WORKGROUPS = 64;

export function qkvWideGrid({ kernel, rows }: QkvWide, count: number, heads: number): Grid {
  const down = ceilDiv(count, rows);
  if (kernel === "qkv_tile") return [down, heads, 1];
  return [Math.min(heads, ceilDiv(QKV_WORKGROUPS, Math.max(1, down))), down, 1];
}

/**
 * Shaders run on a CPU: registers and subgroups of 4 are fast, workgroup memory and barriers are slow. There is nothing to
 * measure: what comes near the one that is listed lay within the noise (docs/log.md), and each candidate is a compilation.
 */
function softwareCandidates(subgroupSize: number, { heads, kvHeads, headWidth }: ModelConfig): Candidates {
  const quad = subgroupSize >= 4;
  const fits = quad && headWidth <= 128;
  const decodeQuad: DecodeVariant = { name: "quad", kernel: "attn_decode_regs", threads: 4, pages: 1 };
  const prefillQuad: PrefillVariant = { name: "quad", kernel: "attn_prefill_regs", threads: 4 };
  return {
    qkvNarrow: [quad ? qkvCols : qkvSplit(64, 16)],
    qkvWide: fits ? [qkvQuads] : qkvTiles(headWidth).slice(0, 1),
    gemv: [quad ? cols(4, 24) : split(8, 8)],
    gemm: [quad ? quads : registers(8)],
    prefill: [fits ? prefillQuad : prefillTile(32)],
    decode: [fits && heads / kvHeads <= 8 ? decodeQuad : quad ? subgroup(4) : workgroup(64, 4)],
  };
}

/** A GPU: coalesced loads, tiles in workgroup memory, subgroups where offered. */
function hardwareCandidates(subgroupSize: number, { headWidth }: ModelConfig): Candidates {
  const lanes = Math.min(32, subgroupSize);
  return {
    qkvNarrow: [qkvSplit(256, 16), qkvSplit(128, 16), qkvSplit(256, 32)],
    qkvWide: qkvTiles(headWidth),
    gemv: [split(8, 16), split(8, 32), split(16, 16), split(32, 8), split(8, 16, 32)],
    gemm: [
      tile(8, 2, 8, 8, 16),
      tile(4, 2, 8, 8, 16),
      tile(4, 2, 8, 16, 16),
      tile(8, 2, 16, 8, 8),
      tile(8, 2, 16, 16, 8),
      registers(64),
    ],
    prefill: [prefillTile(128), prefillTile(64)],
    decode: [...(lanes >= 4 ? [subgroup(lanes)] : []), workgroup(64, 4), workgroup(128, 8)],
  };
}

/** A product's family and shape: what a measurement holds for. */
export const gemvKey = ({ matrix: { bits, columns, depth }, epilogue }: Linear): string =>
  `gemv ${bits}-bit ${columns}×${depth} ${epilogue}`;
export const qkvNarrowKey = ({ bits, columns, depth }: Matrix): string =>
  `heads of a row ${bits}-bit ${columns}×${depth}`;
export const qkvWideKey = ({ columns, depth }: Matrix): string => `heads of a chunk ${columns}×${depth}`;
export const gemmKey = ({ matrix: { columns, depth }, epilogue }: Linear): string =>
  `gemm ${columns}×${depth} ${epilogue}`;

export class Variants {
  readonly candidates: Candidates;
  readonly #attentionKey: string;
  /** Name of the variant by key. */
  readonly #chosen = new Map<string, string>();

  constructor(gpu: Gpu, config: ModelConfig, kvBits: number) {
    const size = gpu.subgroupSize;
    this.candidates =
      gpu.profile.kernels === "registers" ? softwareCandidates(size, config) : hardwareCandidates(size, config);
    this.#attentionKey = `${config.heads}/${config.kvHeads}×${config.headWidth}, ${kvBits}-bit`;
  }

  /** Variant names by family and shape, for the stats. */
  get chosen(): Record<string, string> {
    return Object.fromEntries(this.#chosen);
  }

  choose(key: string, name: string): void {
    this.#chosen.set(key, name);
  }

  #pick<V extends { name: string }>(key: string, candidates: readonly V[]): V {
    return candidates.find(({ name }) => name === this.#chosen.get(key)) ?? candidates[0]!;
  }

  gemv(linear: Linear): GemvVariant {
    return this.#pick(gemvKey(linear), this.candidates.gemv);
  }

  gemm(linear: Linear): GemmVariant {
    return this.#pick(gemmKey(linear), this.candidates.gemm);
  }

  qkvNarrow(matrix: Matrix): QkvNarrow {
    return this.#pick(qkvNarrowKey(matrix), this.candidates.qkvNarrow);
  }

  qkvWide(matrix: Matrix): QkvWide {
    return this.#pick(qkvWideKey(matrix), this.candidates.qkvWide);
  }

  get prefillKey(): string {
    return `prefill attention ${this.#attentionKey}`;
  }

  get prefill(): PrefillVariant {
    return this.#pick(this.prefillKey, this.candidates.prefill);
  }

  get decodeKey(): string {
    return `decode attention ${this.#attentionKey}`;
  }

  get decode(): DecodeVariant {
    return this.#pick(this.decodeKey, this.candidates.decode);
  }
}

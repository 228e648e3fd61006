// Which kernel variant computes what on this adapter. The first candidate is the guess for the kind of adapter;
// model/tune.ts measures the others once and the answer is kept here.
import { ceilDiv } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Grid } from "../gpu/program.ts";
import type { ModelConfig } from "./config.ts";
import type { GemmVariant, GemvVariant, Linear } from "./ops.ts";

/** Prompt chunks over pages. */
export interface PrefillVariant {
  name: string;
  kernel: "attn_prefill_regs" | "attn_prefill_tile";
  /** Threads of a workgroup. */
  threads: number;
}

/** Single rows over pages. */
export interface DecodeVariant {
  name: string;
  kernel: "attn_decode" | "attn_decode_sg" | "attn_decode_regs";
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

export interface Candidates {
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

/** Shaders run on a CPU: registers and subgroups of 4 are fast, workgroup memory and barriers are slow. */
function softwareCandidates(subgroupSize: number, { heads, kvHeads, headWidth }: ModelConfig): Candidates {
  const quad = subgroupSize >= 4;
  const fits = quad && headWidth <= 128;
  const decodeQuad: DecodeVariant = { name: "quad", kernel: "attn_decode_regs", threads: 4, pages: 1 };
  const prefillQuad: PrefillVariant = { name: "quad", kernel: "attn_prefill_regs", threads: 4 };
  return {
    gemv: [cols(4, 16), cols(4, 32), cols(8, 32)],
    gemm: quad ? [quads, registers(8)] : [registers(8)],
    prefill: fits ? [prefillQuad] : [prefillTile(32)],
    decode: [...(fits && heads / kvHeads <= 8 ? [decodeQuad] : []), ...(quad ? [subgroup(4)] : []), workgroup(64, 4)],
  };
}

/** A GPU: coalesced loads, tiles in workgroup memory, subgroups where offered. */
function hardwareCandidates(subgroupSize: number): Candidates {
  const lanes = Math.min(32, subgroupSize);
  return {
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
export const gemmKey = ({ matrix: { columns, depth }, epilogue }: Linear): string =>
  `gemm ${columns}×${depth} ${epilogue}`;

export class Variants {
  readonly candidates: Candidates;
  readonly #attentionKey: string;
  /** Name of the variant by key. */
  readonly #chosen = new Map<string, string>();

  constructor(gpu: Gpu, config: ModelConfig, kvBits: number) {
    const size = gpu.subgroupSize;
    this.candidates = gpu.adapter.software ? softwareCandidates(size, config) : hardwareCandidates(size);
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

// Which kernel variant computes what on this adapter. The first candidate is the guess for the kind of adapter; where
// tuning is on, all are measured once per adapter and shape, and the answer is remembered.
import type { Gpu } from "../gpu/device.ts";
import { timeDispatches } from "../gpu/measure.ts";
import type { AnyDispatch, Grid } from "../gpu/program.ts";
import { ceilDiv } from "../errors.ts";
import type { GemmVariant, GemvVariant, Linear, Sizes } from "./ops.ts";

/** Prompt chunks over pages. */
export interface PrefillVariant {
  name: string;
  kernel: "attn_prefill_regs" | "attn_prefill_tile";
  threads: number;
}

/** Single rows over pages. */
export interface DecodeVariant {
  name: string;
  kernel: "attn_decode" | "attn_decode_sg";
  /** Lanes of the subgroup, or threads of the workgroup. */
  threads: number;
}

export const prefillGrid = ({ kernel, threads }: PrefillVariant, rows: number, heads: number): Grid => [
  ceilDiv(rows, kernel === "attn_prefill_regs" ? 4 * threads : threads / 2),
  heads,
  1,
];

interface Candidates {
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
  return { name: `tile ${size.join("×")}`, kernel: "gemm_tile", constants: { TM, TN, WX, WY, BK }, tile: size };
};

/** Shaders run on a CPU: registers are fast, workgroup memory and barriers are slow. */
function softwareCandidates(subgroupSize: number): Candidates {
  const quads = subgroupSize >= 4;
  const regs: GemmVariant = { name: "regs 8×64", kernel: "gemm_regs", constants: { WG: 8 }, tile: [8, 64] };
  const quad: GemmVariant = { name: "quads 16×16", kernel: "gemm_regs_sg", constants: { WG: 4 }, tile: [16, 16] };
  return {
    gemv: [cols(4, 16), cols(4, 32), cols(8, 32)],
    gemm: [quads ? quad : regs],
    prefill: [{ name: "regs", kernel: "attn_prefill_regs", threads: 4 }],
    decode: [
      quads
        ? { name: "subgroup", kernel: "attn_decode_sg", threads: 4 }
        : { name: "workgroup", kernel: "attn_decode", threads: 64 },
    ],
  };
}

function hardwareCandidates(subgroupSize: number): Candidates {
  const lanes = Math.min(32, subgroupSize);
  const workgroup: DecodeVariant = { name: "workgroup", kernel: "attn_decode", threads: 64 };
  const subgroup: DecodeVariant = { name: "subgroup", kernel: "attn_decode_sg", threads: lanes };
  return {
    gemv: [split(8, 16), split(8, 32), split(16, 16), split(32, 8), split(8, 16, 32)],
    gemm: [
      tile(8, 2, 8, 8, 16),
      tile(4, 2, 8, 8, 16),
      tile(4, 2, 8, 16, 16),
      tile(8, 2, 16, 8, 8),
      tile(8, 2, 16, 16, 8),
    ],
    prefill: [
      { name: "tile 64", kernel: "attn_prefill_tile", threads: 128 },
      { name: "tile 32", kernel: "attn_prefill_tile", threads: 64 },
    ],
    decode: lanes >= 4 ? [subgroup, workgroup] : [workgroup],
  };
}

/** What is remembered between visits. */
export interface Memory {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
}

/** One thing to choose: a key that names family and shape, and the dispatches of each candidate. */
export interface Question<V extends { name: string }> {
  key: string;
  candidates: readonly V[];
  dispatches: (variant: V) => Promise<AnyDispatch<Sizes>[]>;
  sizes: Sizes;
}

const gemvKey = ({ matrix: { bits, columns, depth }, epilogue }: Linear): string =>
  `gemv ${bits}-bit ${columns}×${depth} ${epilogue}`;
const gemmKey = ({ matrix: { columns, depth }, epilogue }: Linear): string => `gemm ${columns}×${depth} ${epilogue}`;

export class Variants {
  readonly #candidates: Candidates;
  /** Name of the variant by key. */
  readonly #chosen = new Map<string, string>();

  constructor(gpu: Gpu) {
    const { software } = gpu.adapter;
    this.#candidates = software ? softwareCandidates(gpu.subgroupSize) : hardwareCandidates(gpu.subgroupSize);
  }

  /** For the stats. */
  get chosen(): Record<string, string> {
    return Object.fromEntries(this.#chosen);
  }

  #pick<V extends { name: string }>(key: string, candidates: readonly V[]): V {
    return candidates.find(({ name }) => name === this.#chosen.get(key)) ?? candidates[0]!;
  }

  gemv(linear: Linear): GemvVariant {
    return this.#pick(gemvKey(linear), this.#candidates.gemv);
  }

  gemm(linear: Linear): GemmVariant {
    return this.#pick(gemmKey(linear), this.#candidates.gemm);
  }

  get prefill(): PrefillVariant {
    return this.#pick("prefill attention", this.#candidates.prefill);
  }

  get decode(): DecodeVariant {
    return this.#pick("decode attention", this.#candidates.decode);
  }

  gemvQuestion(
    linear: Linear,
    sizes: Sizes,
    dispatches: (variant: GemvVariant) => Promise<AnyDispatch<Sizes>[]>,
  ): Question<GemvVariant> {
    return { key: gemvKey(linear), candidates: this.#candidates.gemv, dispatches, sizes };
  }

  gemmQuestion(
    linear: Linear,
    sizes: Sizes,
    dispatches: (variant: GemmVariant) => Promise<AnyDispatch<Sizes>[]>,
  ): Question<GemmVariant> {
    return { key: gemmKey(linear), candidates: this.#candidates.gemm, dispatches, sizes };
  }

  /** Answers from memory, or by measuring every candidate on this adapter. One candidate needs no measurement. */
  async answer<V extends { name: string }>(
    gpu: Gpu,
    { key, candidates, dispatches, sizes }: Question<V>,
    memory: Memory,
  ): Promise<void> {
    if (this.#chosen.has(key)) return;
    const known = candidates.length === 1 ? candidates[0]!.name : await memory.get(key);
    if (known !== undefined && candidates.some(({ name }) => name === known)) {
      this.#chosen.set(key, known);
      return;
    }
    let best = { name: candidates[0]!.name, ms: Infinity };
    for (const variant of candidates) {
      const ms = await timeDispatches(gpu, await dispatches(variant), sizes);
      if (ms < best.ms) best = { name: variant.name, ms };
    }
    this.#chosen.set(key, best.name);
    await memory.set(key, best.name);
  }
}

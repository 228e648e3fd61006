// Which kernel variant computes what on this adapter. Defaults by kind of adapter; measured at load where tuning is on.
import type { Gpu } from "../gpu/device.ts";
import type { GemmVariant, GemvVariant, Linear } from "./ops.ts";

/** Candidates, best guess first. */
export interface Candidates {
  gemv: readonly GemvVariant[];
  gemm: readonly GemmVariant[];
}

const REGISTERS: Candidates = {
  gemv: [{ kernel: "gemv_cols", lanes: 32, columns: 2, slices: 1 }],
  gemm: [
    { kernel: "gemm_regs_sg", constants: { WG: 8 }, tile: [16, 32] },
    { kernel: "gemm_regs", constants: { WG: 8 }, tile: [8, 64] },
  ],
};

const TILES: Candidates = {
  gemv: [{ kernel: "gemv_split", lanes: 8, columns: 2, slices: 16 }],
  gemm: [{ kernel: "gemm_tile", constants: {}, tile: [64, 64] }],
};

export const candidates = (gpu: Gpu): Candidates => (gpu.adapter.software ? REGISTERS : TILES);

/** The variant for each product shape. */
export class Variants {
  readonly chosen: Record<string, string> = {};
  readonly #candidates: Candidates;

  constructor(gpu: Gpu) {
    this.#candidates = candidates(gpu);
  }

  gemv(_linear: Linear, _tileRows: number): GemvVariant {
    return this.#candidates.gemv[0]!;
  }

  gemm(_linear: Linear): GemmVariant {
    return this.#candidates.gemm[0]!;
  }
}

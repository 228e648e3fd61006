// The kernel variants that there are, by family. A line registers one: its kernel and constants, what it needs of an adapter
// (`needs`), and the row classes that it is for (`classes`). Of those that an adapter can run for a class, the first one is
// the default, and the others are measured against it. Those of adapters without a GPU: software.ts.
import type { Offer } from "../../gpu/offer.ts";
import type { ModelConfig } from "../config.ts";
import type { GemmVariant, GemvVariant } from "./linear.ts";
import { MOST_NARROW } from "./rowclass.ts";
import { type DecodeVariant, type PrefillVariant, type QkvNarrow, qkvSlices, type QkvWide } from "./variant.ts";

export interface Candidates {
  qkvNarrow: readonly QkvNarrow[];
  qkvWide: readonly QkvWide[];
  gemv: readonly GemvVariant[];
  gemm: readonly GemmVariant[];
  prefill: readonly PrefillVariant[];
  decode: readonly DecodeVariant[];
}

/** COLS of gemv_split. */
const SPLIT_COLUMNS = 2;
export const split = (lanes: number, slices: number, unit = 16): GemvVariant => ({
  name: `split ${lanes}×${SPLIT_COLUMNS}/${slices}·${unit}`,
  needs: { threads: lanes * slices, workgroupBytes: 4 * MOST_NARROW * slices * (SPLIT_COLUMNS * lanes + 1) },
  kernel: "gemv_split",
  lanes,
  columns: SPLIT_COLUMNS,
  slices,
  unit,
});

/** Bytes of the two tiles of gemm_tile and qkv_tile, each twice: vec4f. */
const tileBytes = (BK: number, rows: number, columns: number): number => 16 * 2 * BK * (rows / 4 + columns / 4);

const tile = (TM: number, TN: number, WX: number, WY: number, BK: number): GemmVariant => {
  const size = [WY * TM, WX * TN * 4] as const;
  return {
    name: `tile ${size.join("×")} by ${WX * WY}`,
    needs: { threads: WX * WY, workgroupBytes: tileBytes(BK, ...size) },
    kernel: "gemm_tile",
    constants: { TM, TN, WX, WY, BK },
    tile: size,
  };
};
export const registers = (WG: number): GemmVariant => ({
  name: `registers 8×${8 * WG}`,
  needs: { threads: WG },
  kernel: "gemm_regs",
  constants: { WG },
  tile: [8, 8 * WG],
});

export const prefillTile = (threads: number): PrefillVariant => ({
  name: `tile of ${threads / 2} rows`,
  needs: { threads, workgroupBytes: 8192 + 64 * threads },
  kernel: "attn_prefill_tile",
  threads,
});

export const workgroup = (
  threads: number,
  pages: number,
  { heads, kvHeads, headWidth }: ModelConfig,
  kvBits: number,
): DecodeVariant => {
  const WG = Math.max(threads, (headWidth * kvBits) / 32);
  const notes = kvBits <= 8 ? 128 * pages : 0;
  return {
    name: `workgroup ${threads}`,
    needs: { threads: WG, workgroupBytes: (4 * heads * (32 * pages + WG)) / kvHeads + 8 * WG + notes + 4 },
    kernel: "attn_decode",
    threads,
    pages,
  };
};
export const subgroup = (threads: number): DecodeVariant => ({
  name: `subgroup ${threads}`,
  needs: { lanes: threads, threads },
  kernel: "attn_decode_sg",
  threads,
  pages: 1,
});

export const qkvSplit = (threads: number, unit: number, { headWidth: E }: ModelConfig): QkvNarrow => {
  const variant: QkvNarrow = {
    name: `split ${threads}·${unit}`,
    needs: { threads },
    kernel: "qkv_split",
    unit,
    threads,
  };
  return { ...variant, needs: { threads: (E / 2) * qkvSlices(variant, E, 1), workgroupBytes: 16384 } };
};
const qkvTile = (TM: number, WY: number, BK: number, { headWidth: E }: ModelConfig): QkvWide => ({
  name: `tile of ${TM * WY} rows, ${BK} deep`,
  needs: { threads: (E / 8) * WY, workgroupBytes: tileBytes(BK, TM * WY, E) },
  kernel: "qkv_tile",
  constants: { TM, WY, BK },
  rows: TM * WY,
});

/** Tiles that suit the head width; E ≤ 4·BK·TM. */
export const qkvTiles = (config: ModelConfig): QkvWide[] =>
  config.headWidth > 128
    ? [qkvTile(16, 4, 4, config)]
    : [qkvTile(8, 8, 8, config), qkvTile(8, 8, 16, config), qkvTile(4, 16, 8, config)];

/** A GPU: coalesced loads, tiles in workgroup memory, subgroups where offered. */
export function hardwareCandidates({ lanes }: Offer, config: ModelConfig, kvBits: number): Candidates {
  return {
    qkvNarrow: [qkvSplit(256, 16, config), qkvSplit(128, 16, config), qkvSplit(256, 32, config)],
    qkvWide: qkvTiles(config),
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
    decode: [
      ...(lanes >= 4 ? [subgroup(lanes)] : []),
      workgroup(64, 4, config, kvBits),
      workgroup(128, 8, config, kvBits),
    ],
  };
}

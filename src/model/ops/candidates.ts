// The kernel variants that there are, by family. A line registers one: its kernel and constants, what it needs of an adapter
// (`needs`), and the row classes that it is for (`classes`). Of those that an adapter can run for a class, the first one is
// the default, and the others are measured against it. Those of adapters without a GPU: software.ts.
import { alignUp, ceilDiv } from "../../errors.ts";
import type { Offer } from "../../gpu/offer.ts";
import type { ModelConfig } from "../config.ts";
import type { GemmVariant, GemvVariant } from "./linear.ts";
import { MOST_NARROW } from "./rowclass.ts";
import {
  type DecodeVariant,
  type PrefillVariant,
  type QkvNarrow,
  qkvSlices,
  type QkvWide,
  vectorLanes,
} from "./variant.ts";

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

/** So many columns and threads of a workgroup along K, at most. */
const deep = (columns: number, slices: number): GemvVariant => ({
  name: `deep ${columns}·${slices}`,
  needs: { threads: slices, workgroupBytes: 16384 },
  kernel: "gemv_deep",
  lanes: 0,
  columns,
  slices,
  unit: 32,
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
    constants: { PAGES: pages, WG: alignUp(WG, 8) },
  };
};
export const subgroup = (lanes: number): DecodeVariant => ({
  name: `subgroup ${lanes}`,
  needs: { lanes, threads: lanes },
  kernel: "attn_decode_sg",
  threads: lanes,
  constants: { LANES: lanes },
});

/** Sums of attn_decode_vec that a lane can keep in registers. */
const MOST_SUMS = 64;
/** Loads of 16 bytes on several subgroups; where words of a slot do not come in fours, or its sums are too many, none. */
function vectors(lanes: number, { heads, kvHeads, headWidth: E }: ModelConfig, kvBits: number): DecodeVariant[] {
  const R = heads / kvHeads;
  const sums = (R * 128 * ceilDiv(E * kvBits, 128 * lanes)) / kvBits;
  if (lanes < 4 || (E * kvBits) % 128 > 0 || sums > MOST_SUMS) return [];
  const V_LANES = vectorLanes(lanes, E, kvBits);
  const made = (SUBGROUPS: number): DecodeVariant => ({
    name: `vectors ${SUBGROUPS}·${lanes}`,
    needs: { lanes, threads: SUBGROUPS * lanes, workgroupBytes: 4 * SUBGROUPS * R * (E + 3) },
    kernel: "attn_decode_vec",
    threads: SUBGROUPS * lanes,
    constants: { LANES: lanes, V_LANES, SUBGROUPS },
  });
  return [made(4), made(2), made(1)];
}

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
const qkvDeep = (threads: number): QkvNarrow => ({
  name: `deep ${threads}`,
  needs: { threads, workgroupBytes: 16384 },
  kernel: "qkv_deep",
  unit: 32,
  threads,
});
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
    qkvNarrow: [
      ...(config.headNorm || kvBits < 16 ? [] : [qkvDeep(64), qkvDeep(128)]), // these know no whole head
      qkvSplit(256, 16, config),
      qkvSplit(128, 16, config),
      qkvSplit(256, 32, config),
    ],
    qkvWide: qkvTiles(config),
    gemv: [deep(8, 64), deep(4, 64), deep(8, 128), split(8, 16), split(8, 32), split(16, 16)],
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
      ...vectors(lanes, config, kvBits),
      ...(lanes >= 4 ? [subgroup(lanes)] : []),
      workgroup(64, 4, config, kvBits),
      workgroup(128, 8, config, kvBits),
    ],
  };
}

// The kernel variants that there are, by family. A line registers one: its kernel and constants, what it needs of an adapter
// (`needs`), and the row classes that it is for (`classes`). Of those that an adapter can run for a class, the first one is
// the default, and the others are measured against it. Those of adapters without a GPU: software.ts.
import { alignUp, ceilDiv } from "../../errors.ts";
import type { Offer } from "../../gpu/offer.ts";
import type { ModelConfig } from "../config.ts";
import type { GemmVariant, PackedVariant, WideVariant } from "./linear.ts";
import { MOST_NARROW } from "./rowclass.ts";
import {
  type DecodeVariant,
  type GemvVariant,
  type PrefillVariant,
  type QkvNarrow,
  type QkvPacked,
  type QkvPlaced,
  qkvSlices,
  type QkvWhole,
  type QkvWide,
  vectorLanes,
} from "./variant.ts";

export interface Candidates {
  qkvNarrow: readonly QkvNarrow[];
  qkvWide: readonly QkvWide[];
  gemv: readonly GemvVariant[];
  gemm: readonly WideVariant[];
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

/** gemm_packed: BK inputs of rows as f32 and of columns as f32 or f16, and what squares the rows' norms are made of. */
const packed = (TM: number, TN: number, WX: number, WY: number, HALF: 0 | 1, classes = {}): PackedVariant => {
  const BK = 32;
  const [rows, columns] = [WY * TM, WX * TN];
  return {
    name: `packed ${rows}×${columns} by ${WX * WY}${HALF ? ", f16" : ""}`,
    needs: {
      threads: WX * WY,
      workgroupBytes: BK * (4 * rows + (4 >> HALF) * columns + rows),
      f16: HALF === 1,
    },
    classes,
    kernel: "gemm_packed",
    constants: { TM, TN, WX, WY, BK, HALF },
    tile: [rows, columns],
  };
};

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

/** Bytes of the two tiles of gemm_tile, each twice: vec4f. */
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

/** Two threads for each query head that reads a key/value head, at least. */
const groupThreads = ({ heads, kvHeads }: ModelConfig): number => 2 ** Math.ceil(Math.log2((2 * heads) / kvHeads));

/** `share`: queries pass through workgroup memory, too. */
export function prefillTile(config: ModelConfig, least: number, share = false): PrefillVariant {
  const threads = Math.max(least, groupThreads(config));
  return {
    name: `tile of ${threads / 2} lines${share ? ", shared queries" : ""}`,
    needs: { threads, workgroupBytes: 8192 + 64 * threads + (share ? 2 * threads * config.headWidth : 16) },
    kernel: "attn_prefill_tile",
    threads,
    share,
  };
}

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

export const qkvSplit = (threads: number, unit: number, { headWidth: E }: ModelConfig): QkvWhole => {
  const variant: QkvWhole = {
    name: `split ${threads}·${unit}`,
    needs: { threads },
    kernel: "qkv_split",
    unit,
    threads,
  };
  return { ...variant, needs: { threads: (E / 2) * qkvSlices(variant, E, 1), workgroupBytes: 16384 } };
};
/** qkv_packed: its tile, what squares the rows' norms are made of, and what threads of a row exchange. */
const qkvPacked = (
  { headWidth: E }: ModelConfig,
  [TM, WY, BK]: readonly [number, number, number],
  classes = {},
): QkvPacked => {
  const [rows, threads] = [TM * WY, (E / 8) * WY];
  return {
    name: `packed ${rows} rows by ${threads}, ${BK} deep`,
    needs: { threads, workgroupBytes: BK * (4 * rows + 4 * E + rows) + 16 * threads },
    classes,
    kernel: "qkv_packed",
    constants: { TM, WY, BK },
    rows,
  };
};
const qkvDeep = (threads: number): QkvWhole => ({
  name: `deep ${threads}`,
  needs: { threads, workgroupBytes: 16384 },
  kernel: "qkv_deep",
  unit: 32,
  threads,
});

const qkvPlaced = (gemv: GemvVariant): QkvPlaced => ({
  name: `placed ${gemv.name}`,
  needs: gemv.needs,
  kernel: "place_heads",
  gemv,
});

/** A tile that every adapter has the threads and memory for. */
export const qkvLeast = (config: ModelConfig): QkvPacked =>
  qkvPacked(config, config.headWidth <= 64 ? [4, 8, 32] : config.headWidth <= 128 ? [4, 8, 16] : [8, 4, 8]);

const qkvTiles = (config: ModelConfig): QkvPacked[] =>
  config.headWidth > 128
    ? [qkvPacked(config, [8, 4, 8]), qkvPacked(config, [16, 4, 8], { least: 64 })]
    : [
        { ...qkvLeast(config), classes: { most: 32 } },
        qkvPacked(config, [8, 8, 32], { least: 64 }),
        qkvPacked(config, [8, 8, 16], { least: 64 }),
        { ...qkvLeast(config), classes: { least: 64 } },
      ];

/** A GPU: coalesced loads, tiles in workgroup memory, subgroups where offered. */
export function hardwareCandidates({ lanes }: Offer, config: ModelConfig, kvBits: number): Candidates {
  const whole = config.headNorm || kvBits < 16; // what qkv_deep does not know
  return {
    qkvNarrow: [
      ...(whole ? [] : [qkvDeep(64), qkvDeep(128)]),
      qkvSplit(256, 16, config),
      qkvSplit(128, 16, config),
      qkvSplit(256, 32, config),
      ...(whole ? [qkvPlaced(deep(8, 64))] : []),
    ],
    qkvWide: qkvTiles(config),
    gemv: [deep(8, 64), deep(4, 64), deep(8, 128), split(8, 16), split(8, 32), split(16, 16)],
    gemm: [
      packed(4, 4, 8, 8, 0, { most: 32 }),
      packed(4, 8, 8, 8, 0, { most: 64 }),
      packed(4, 8, 8, 16, 0, { least: 64 }),
      packed(8, 8, 8, 8, 0, { least: 64 }),
      packed(4, 4, 8, 8, 1, { most: 32 }),
      packed(4, 8, 8, 8, 1),
      packed(4, 8, 8, 16, 1, { least: 64 }),
      packed(4, 8, 8, 8, 0, { least: Infinity }), // of what a phone has
      tile(8, 2, 8, 8, 16),
      tile(4, 2, 8, 8, 16),
      tile(4, 2, 8, 16, 16),
      tile(8, 2, 16, 8, 8),
      tile(8, 2, 16, 16, 8),
      registers(64),
    ],
    prefill: [
      prefillTile(config, 128),
      prefillTile(config, 64, true),
      prefillTile(config, 64),
      prefillTile(config, 32, true),
    ],
    decode: [
      ...vectors(lanes, config, kvBits),
      ...(lanes >= 4 ? [subgroup(lanes)] : []),
      workgroup(64, 4, config, kvBits),
      workgroup(128, 8, config, kvBits),
    ],
  };
}

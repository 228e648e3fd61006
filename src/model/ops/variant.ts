// What a kernel variant is, family by family, and the grids that follow from it. linear.ts has those of products of many rows.
import { ceilDiv } from "../../errors.ts";
import type { families } from "../../gpu/kernels.gen.ts";
import type { Needs } from "../../gpu/offer.ts";
import type { Grid } from "../../gpu/program.ts";
import type { RowClass } from "./rowclass.ts";

/** What all variants have. Where it is listed, and before which others: candidates.ts. */
export interface Variant {
  /** Within its family. Kept between visits: a kernel that changes its speed takes another name. */
  name: string;
  /** Adapters that lack this never see it. */
  needs: Needs;
  /** Row classes that it is for; default: all. */
  classes?: { least?: RowClass; most?: RowClass };
}

/** Prompt chunks over pages. */
export interface PrefillVariant extends Variant {
  kernel: keyof typeof families.attn_prefill;
  /** Threads of a workgroup. */
  threads: number;
  /** attn_prefill_tile: queries pass through workgroup memory. */
  share?: boolean;
}

/** Single rows over pages. */
export interface DecodeVariant extends Variant {
  kernel: keyof typeof families.attn_decode;
  /** Threads of a workgroup. */
  threads: number;
  /** Kernel constants of its own. */
  constants: Readonly<Record<string, number>>;
}

/** Lanes of attn_decode_vec along a slot's V: as many as it has loads of 16 bytes, up to a power of two. */
export const vectorLanes = (lanes: number, headWidth: number, kvBits: number): number =>
  Math.min(lanes, 2 ** Math.ceil(Math.log2((headWidth * kvBits) / 128)));

/** attn_prefill_regs takes 16 rows of a head on a quad of lanes, attn_prefill_tile a row of one head on two threads. */
export function prefillGrid({ kernel, threads }: PrefillVariant, rows: number, heads: number, kvHeads: number): Grid {
  if (kernel === "attn_prefill_regs") return [ceilDiv(rows, 4 * threads), heads, 1];
  const tokens = Math.floor(threads / 2 / (heads / kvHeads));
  return [ceilDiv(rows, tokens), kvHeads, 1];
}

/** Products of few rows. */
export interface GemvVariant extends Variant {
  kernel: keyof typeof families.gemv;
  /** Threads along N; gemv_deep has none. */
  lanes: number;
  /** Columns per thread, at most. */
  columns: number;
  /** Threads along K, at most. */
  slices: number;
  /** Values of K per inner step, at most. */
  unit: number;
}

/** How heads of few rows are made. */
export type QkvNarrow = QkvWhole | QkvPlaced;

/** In one dispatch: weights dequantised in the kernel. */
export interface QkvWhole extends Variant {
  kernel: keyof typeof families.qkv_narrow;
  /** Values of K per inner step, at most. */
  unit: number;
  /** Threads of a workgroup, at most. */
  threads: number;
}

/** A product whose workgroups have a few columns each, then what needs whole heads. */
export interface QkvPlaced extends Variant {
  kernel: "place_heads";
  gemv: GemvVariant;
}

/** How heads of many rows are made. */
export type QkvWide = QkvPacked | QkvRows | QkvUnpacked;

/** Weights dequantised inside the tile. */
export interface QkvPacked extends Variant {
  kernel: "qkv_packed";
  constants: Readonly<Record<string, number>>;
  /** Rows of one workgroup. */
  rows: number;
}

/** Row by row, as those of a decoded token are, all rows in one dispatch. */
export interface QkvRows extends Variant {
  kernel: "qkv_cols";
  narrow: QkvWhole;
}

/** Weights dequantised to f32 before. */
export interface QkvUnpacked extends Variant {
  kernel: "qkv_regs";
}

/** Threads along K of qkv_split: what is left of a workgroup's threads and of 16 KiB of its memory. */
export const qkvSlices = ({ threads }: QkvWhole, E: number, rows: number): number =>
  Math.max(1, Math.min(Math.floor(threads / (E / 2)), Math.floor(4096 / (rows * (E + 1)))));

/** Workgroups of qkv_regs that are enough to balance a CPU adapter; each takes several heads, and norms its rows once. */
const QKV_WORKGROUPS = 64;

/** qkv_regs takes 16 rows. */
export function qkvRegsGrid(count: number, heads: number): Grid {
  const down = ceilDiv(count, 16);
  return [Math.min(heads, ceilDiv(QKV_WORKGROUPS, Math.max(1, down))), down, 1];
}

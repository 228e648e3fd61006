// What a kernel variant is, family by family, and the grids that follow from it. linear.ts has those of products.
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
}

/** Single rows over pages. */
export interface DecodeVariant extends Variant {
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
export interface QkvNarrow extends Variant {
  kernel: keyof typeof families.qkv_narrow;
  /** Values of K per inner step, at most. */
  unit: number;
  /** Threads of a workgroup, at most. */
  threads: number;
}

/** Heads of many rows: weights dequantised before. */
export interface QkvWide extends Variant {
  kernel: keyof typeof families.qkv_wide;
  constants: Readonly<Record<string, number>>;
  /** Rows of one workgroup. */
  rows: number;
}

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

// The kernel variants of adapters that run shaders on a CPU.
import type { Needs, Offer } from "../../gpu/offer.ts";
import { SHORT_ROWS } from "../../gpu/profile.ts";
import type { ModelConfig } from "../config.ts";
import {
  type Candidates,
  prefillTile,
  qkvSplit,
  qkvLeast,
  registers,
  split,
  subgroup,
  workgroup,
} from "./candidates.ts";
import type { GemmVariant, RowsVariant } from "./linear.ts";
import type { DecodeVariant, GemvVariant, PrefillVariant, QkvRows, QkvUnpacked, QkvWhole } from "./variant.ts";

/** Of kernels on a quad of lanes. */
const QUAD: Needs = { lanes: 4, threads: 4 };

const cols = (lanes: number, columns: number): GemvVariant => ({
  name: `cols ${lanes}×${columns}`,
  needs: QUAD,
  kernel: "gemv_cols",
  lanes,
  columns,
  slices: 1,
  unit: 32,
});

const quads: GemmVariant = {
  name: "quads 16×16",
  needs: QUAD,
  kernel: "gemm_regs_sg",
  constants: { WG: 4 },
  tile: [16, 16],
};
const qkvCols: QkvWhole = { name: "cols", needs: QUAD, kernel: "qkv_cols", unit: 32, threads: 4 };
const qkvQuads: QkvUnpacked = { name: "quads 16", needs: QUAD, kernel: "qkv_regs" };

/** Up to SHORT_ROWS rows. */
const ROWS = { name: "rows", needs: QUAD, classes: { most: SHORT_ROWS } };
const colsByRows: RowsVariant = { ...ROWS, kernel: "gemv_cols", gemv: cols(4, 24) };
const qkvByRows: QkvRows = { ...ROWS, kernel: "qkv_cols", narrow: qkvCols };

/**
 * Shaders run on a CPU: registers and subgroups of 4 are fast, workgroup memory and barriers are slow. There is nothing to
 * measure: what comes near the one that is listed lay within the noise (docs/log.md), and each candidate is a compilation.
 */
export function softwareCandidates({ lanes }: Offer, config: ModelConfig, kvBits: number): Candidates {
  const { heads, kvHeads, headWidth } = config;
  const quad = lanes >= 4;
  const fits = quad && headWidth <= 128;
  const decodeQuad: DecodeVariant = {
    name: "quad",
    needs: QUAD,
    kernel: "attn_decode_regs",
    threads: 4,
    constants: {},
  };
  const prefillQuad: PrefillVariant = { name: "quad", needs: QUAD, kernel: "attn_prefill_regs", threads: 4 };
  return {
    qkvNarrow: [quad ? qkvCols : qkvSplit(64, 16, config)],
    qkvWide: [...(quad ? [qkvByRows] : []), fits ? qkvQuads : qkvLeast(config)],
    gemv: [quad ? cols(4, 24) : split(8, 8)],
    gemm: quad ? [colsByRows, quads] : [registers(8)],
    prefill: [fits ? prefillQuad : prefillTile(config, 32)],
    decode: [fits && heads / kvHeads <= 8 ? decodeQuad : quad ? subgroup(4) : workgroup(64, 4, config, kvBits)],
  };
}

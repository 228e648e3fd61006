// Every kernel's test. test/kernels.test.ts fails if a shader has none.
import type { KernelSpec } from "./spec.ts";
import rmsnorm from "./rmsnorm.ts";
import embed from "./embed.ts";
import gemv_cols from "./gemv_cols.ts";
import gemv_split from "./gemv_split.ts";
import logit_adjust from "./logit_adjust.ts";
import logit_count from "./logit_count.ts";
import sample_filter from "./sample_filter.ts";
import sample_merge from "./sample_merge.ts";
import sample_slices from "./sample_slices.ts";
import pack_block from "./pack_block.ts";
import pack_float from "./pack_float.ts";
import gemm_regs from "./gemm_regs.ts";
import gemm_regs_sg from "./gemm_regs_sg.ts";
import gemm_tile from "./gemm_tile.ts";
import unpack from "./unpack.ts";
import peak_copy from "./peak_copy.ts";
import peak_fma from "./peak_fma.ts";
import qkv_regs from "./qkv_regs.ts";
import qkv_cols from "./qkv_cols.ts";
import qkv_split from "./qkv_split.ts";
import qkv_tile from "./qkv_tile.ts";
import fold from "./fold.ts";
import gather from "./gather.ts";
import attn_combine from "./attn_combine.ts";
import attn_decode from "./attn_decode.ts";
import attn_decode_regs from "./attn_decode_regs.ts";
import attn_decode_sg from "./attn_decode_sg.ts";
import attn_prefill_regs from "./attn_prefill_regs.ts";
import attn_prefill_tile from "./attn_prefill_tile.ts";

export const specs: readonly KernelSpec[] = [
  rmsnorm,
  embed,
  gemv_cols,
  gemv_split,
  logit_adjust,
  logit_count,
  sample_filter,
  sample_merge,
  sample_slices,
  pack_block,
  pack_float,
  gemm_regs,
  gemm_regs_sg,
  gemm_tile,
  unpack,
  fold,
  gather,
  qkv_cols,
  qkv_split,
  qkv_regs,
  qkv_tile,
  peak_copy,
  peak_fma,
  attn_combine,
  attn_decode,
  attn_decode_regs,
  attn_decode_sg,
  attn_prefill_regs,
  attn_prefill_tile,
];

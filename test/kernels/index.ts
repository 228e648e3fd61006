// Every kernel's test. test/kernels.test.ts fails if a shader has none.
import type { KernelSpec } from "./spec.ts";
import compact from "./kv/compact.ts";
import hadamard_partials from "./kv/hadamard_partials.ts";
import hadamard_query from "./kv/hadamard_query.ts";
import keep_inputs from "./kv/keep_inputs.ts";
import kivi_seal from "./kv/kivi_seal.ts";
import { kiviReaders } from "./kv/kivi_read.ts";
import kvmerger_cuts from "./kv/kvmerger_cuts.ts";
import kvmerger_merge from "./kv/kvmerger_merge.ts";
import { kvmergerReaders } from "./kv/kvmerger_read.ts";
import less_absorb from "./kv/less_absorb.ts";
import less_partial from "./kv/less_partial.ts";
import less_state from "./kv/less_state.ts";
import { minicacheReaders } from "./kv/minicache_read.ts";
import locret_keep from "./kv/locret_keep.ts";
import locret_scores from "./kv/locret_scores.ts";
import minicache_seal from "./kv/minicache_seal.ts";
import pool_max from "./kv/pool_max.ts";
import shadow_keep from "./kv/shadow_keep.ts";
import shadow_keys from "./kv/shadow_keys.ts";
import shadow_landmarks from "./kv/shadow_landmarks.ts";
import shadow_down from "./kv/shadow_down.ts";
import shadow_maps from "./kv/shadow_maps.ts";
import shadow_orthogonal from "./kv/shadow_orthogonal.ts";
import shadow_plan from "./kv/shadow_plan.ts";
import shadow_project from "./kv/shadow_project.ts";
import shadow_rank from "./kv/shadow_rank.ts";
import shadow_reads from "./kv/shadow_reads.ts";
import shadow_recall from "./kv/shadow_recall.ts";
import shadow_scores from "./kv/shadow_scores.ts";
import shadow_values from "./kv/shadow_values.ts";
import take_inputs from "./kv/take_inputs.ts";
import think_channels from "./kv/think_channels.ts";
import think_keep from "./kv/think_keep.ts";
import think_keys from "./kv/think_keys.ts";
import think_queries from "./kv/think_queries.ts";
import { thinkReaders } from "./kv/think_read.ts";
import think_seal from "./kv/think_seal.ts";
import top_slots from "./kv/top_slots.ts";
import window_density from "./kv/window_density.ts";
import window_score from "./kv/window_score.ts";
import window_sums from "./kv/window_sums.ts";
import attn_whole from "./vision/attn_whole.ts";
import gelu from "./vision/gelu.ts";
import layer_norm from "./vision/layer_norm.ts";
import patch_pixels from "./vision/patch_pixels.ts";
import pixel_shuffle from "./vision/pixel_shuffle.ts";
import rmsnorm from "./rows/rmsnorm.ts";
import place_heads from "./heads/place_heads.ts";
import trim from "./rows/trim.ts";
import embed from "./rows/embed.ts";
import gemv_cols from "./cpu/gemv_cols.ts";
import gemv_deep from "./linear/gemv_deep.ts";
import gemv_split from "./linear/gemv_split.ts";
import logit_adjust from "./sample/logit_adjust.ts";
import logit_count from "./sample/logit_count.ts";
import sample_filter from "./sample/sample_filter.ts";
import sample_merge from "./sample/sample_merge.ts";
import sample_slices from "./sample/sample_slices.ts";
import top_logits from "./sample/top_logits.ts";
import pack_block from "./weights/pack_block.ts";
import pack_float from "./weights/pack_float.ts";
import gemm_int8 from "./linear/gemm_int8.ts";
import gemm_matrix from "./linear/gemm_matrix.ts";
import half_rows from "./linear/half_rows.ts";
import quantise_rows from "./linear/quantise_rows.ts";
import gemm_packed from "./linear/gemm_packed.ts";
import gemm_regs from "./linear/gemm_regs.ts";
import gemm_regs_sg from "./cpu/gemm_regs_sg.ts";
import gemm_tile from "./linear/gemm_tile.ts";
import unpack from "./weights/unpack.ts";
import peak_copy from "./peak/peak_copy.ts";
import peak_fma from "./peak/peak_fma.ts";
import qkv_regs from "./cpu/qkv_regs.ts";
import qkv_cols from "./cpu/qkv_cols.ts";
import qkv_deep from "./heads/qkv_deep.ts";
import qkv_split from "./heads/qkv_split.ts";
import qkv_packed from "./heads/qkv_packed.ts";
import fold from "./weights/fold.ts";
import gather from "./rows/gather.ts";
import square_sums from "./rows/square_sums.ts";
import transpose from "./rows/transpose.ts";
import attn_combine from "./attention/attn_combine.ts";
import attn_decode from "./attention/attn_decode.ts";
import attn_decode_regs from "./cpu/attn_decode_regs.ts";
import attn_decode_sg from "./attention/attn_decode_sg.ts";
import attn_decode_vec from "./attention/attn_decode_vec.ts";
import attn_prefill_regs from "./cpu/attn_prefill_regs.ts";
import attn_prefill_tile from "./attention/attn_prefill_tile.ts";
import copy from "./train/copy.ts";
import rmsnorm_back from "./train/rmsnorm_back.ts";
import swiglu from "./train/swiglu.ts";
import swiglu_back from "./train/swiglu_back.ts";
import rotate from "./train/rotate.ts";
import attn_weights from "./train/attn_weights.ts";
import attn_weights_back from "./train/attn_weights_back.ts";
import row_dots from "./train/row_dots.ts";
import teach_logits from "./train/teach_logits.ts";
import teach_hidden from "./train/teach_hidden.ts";
import clip from "./train/clip.ts";
import adamw from "./train/adamw.ts";

export const specs: readonly KernelSpec[] = [
  compact,
  hadamard_partials,
  hadamard_query,
  keep_inputs,
  kivi_seal,
  kvmerger_cuts,
  kvmerger_merge,
  less_absorb,
  less_partial,
  less_state,
  locret_keep,
  locret_scores,
  minicache_seal,
  pool_max,
  shadow_keep,
  shadow_keys,
  shadow_landmarks,
  shadow_down,
  shadow_maps,
  shadow_orthogonal,
  shadow_plan,
  shadow_project,
  shadow_rank,
  shadow_reads,
  shadow_recall,
  shadow_scores,
  shadow_values,
  take_inputs,
  think_channels,
  think_keep,
  think_keys,
  think_queries,
  think_seal,
  top_slots,
  window_density,
  window_score,
  window_sums,
  rmsnorm,
  trim,
  place_heads,
  embed,
  gemv_cols,
  gemv_deep,
  gemv_split,
  logit_adjust,
  logit_count,
  sample_filter,
  sample_merge,
  sample_slices,
  top_logits,
  pack_block,
  pack_float,
  gemm_int8,
  gemm_matrix,
  half_rows,
  quantise_rows,
  gemm_packed,
  gemm_regs,
  gemm_regs_sg,
  gemm_tile,
  unpack,
  fold,
  gather,
  square_sums,
  transpose,
  qkv_cols,
  qkv_deep,
  qkv_split,
  qkv_regs,
  qkv_packed,
  peak_copy,
  peak_fma,
  attn_combine,
  attn_decode,
  attn_decode_regs,
  attn_decode_sg,
  attn_decode_vec,
  attn_prefill_regs,
  attn_prefill_tile,
  copy,
  rmsnorm_back,
  swiglu,
  swiglu_back,
  rotate,
  attn_weights,
  attn_weights_back,
  row_dots,
  teach_logits,
  teach_hidden,
  clip,
  adamw,
  attn_whole,
  gelu,
  layer_norm,
  patch_pixels,
  pixel_shuffle,
];

/** Kernels as they read sealed formats, too. */
export const allSpecs: readonly KernelSpec[] = [
  ...specs,
  ...kiviReaders,
  ...kvmergerReaders,
  ...minicacheReaders,
  ...thinkReaders,
];

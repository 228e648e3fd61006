// The kernels that turn logits into a token, as dispatches: penalties and biases, slices of a row, filters, the choice.
import { ceilDiv } from "../../errors.ts";
import type { AdapterProfile } from "../../gpu/profile.ts";
import {
  logit_adjust,
  logit_count,
  sample_filter,
  sample_merge,
  sample_slices,
  top_logits,
} from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import type { Sizes } from "../ops/sizes.ts";

/** Likeliest tokens that a row can have reported. */
export const MOST_TOPS = 20;

/** What penalties, biases and masks need. */
export interface Adjustments {
  /** [sequences, V] u32: occurrences in the reply; bit 31: occurs in the prompt */
  counts: GPUBuffer;
  /** [sequences, 64] (token, f32 bits) */
  bias: GPUBuffer;
  /** [rows, ⌈V / 32⌉] u32: which tokens a row may have */
  mask: GPUBuffer;
  /** [rows, V]: logits after penalties, bias and mask */
  scores: GPUBuffer;
}

export interface SamplingBuffers {
  /** [rows, V] */
  logits: GPUBuffer;
  /** [rows] Settings of shaders/lib/settings.wgsl */
  settings: GPUBuffer;
  /** [rows, slices] vec4f: max and Σexp of the raw logits, the best score and its token */
  slices: GPUBuffer;
  /** [rows, slices · LANES] f32: largest score of each stripe */
  peaks: GPUBuffer;
  /** [rows] u32: the token that a filter drew */
  picks: GPUBuffer;
  /** [rows] (token, f32 bits of its log-probability) */
  result: GPUBuffer;
  /** [sequences] u32: the token each sequence sampled last, which the next step embeds */
  tokens: GPUBuffer;
}

/** What all sampling kernels of an engine have in common. */
export interface SampleContext {
  buffers: SamplingBuffers;
  /** V */
  vocabulary: number;
  /** Workgroups that share a row of logits. */
  sliceCount: number;
  threads: AdapterProfile["sampling"];
}

/** What a step's rows ask for beyond greedy. */
export interface Extras {
  /** Where a row has a penalty, a bias or a mask. */
  adjustments: Adjustments | null;
  /** Where one has top-k, top-p or min-p. */
  filter: boolean;
  /** [rows, 20] (token, f32 bits of its log-probability): where one asks for the likeliest tokens. */
  tops: GPUBuffer | null;
}

export function samplingDispatches(
  context: SampleContext,
  { adjustments, filter, tops }: Extras,
): AnyDispatch<Sizes>[] {
  const scores = adjustments?.scores ?? context.buffers.logits;
  return [
    ...(adjustments ? [adjustLogits(context, adjustments)] : []),
    sampleSlices(context, scores),
    ...(filter ? [filterScores(context, scores)] : []),
    mergeSlices(context),
    ...(tops ? [topLogits(context, tops)] : []),
    ...(adjustments ? [countTokens(context, adjustments)] : []),
  ];
}

function adjustLogits(
  { buffers, vocabulary }: SampleContext,
  { counts, bias, mask, scores }: Adjustments,
): AnyDispatch<Sizes> {
  const { logits, settings } = buffers;
  return dispatch({
    kernel: logit_adjust,
    constants: { WG: 64, STEPS: 16 },
    label: "adjust logits",
    buffers: { logits, counts, bias, mask, settings, scores },
    params: () => ({ vocabulary }),
    grid: (s: Sizes) => [ceilDiv(vocabulary, 64 * 16), s.logitCount, 1],
    bytes: (s) => 12 * s.logitCount * vocabulary,
    flops: (s) => 4 * s.logitCount * vocabulary,
  });
}

function sampleSlices(
  { buffers, vocabulary, sliceCount, threads }: SampleContext,
  scores: GPUBuffer,
): AnyDispatch<Sizes> {
  const { logits, settings, slices, peaks } = buffers;
  return dispatch({
    kernel: sample_slices,
    constants: { LANES: threads.lanes, STEPS: threads.steps },
    label: "sample slices",
    buffers: { logits, scores, settings, slices, peaks },
    params: () => ({ vocabulary }),
    grid: (s: Sizes) => [sliceCount, s.logitCount, 1],
    bytes: (s) => 4 * s.logitCount * vocabulary,
    flops: (s) => 8 * s.logitCount * vocabulary,
  });
}

function filterScores({ buffers, vocabulary, threads }: SampleContext, scores: GPUBuffer): AnyDispatch<Sizes> {
  const { settings, peaks, picks } = buffers;
  return dispatch({
    kernel: sample_filter,
    constants: { WG: threads.filterThreads, LANES: threads.lanes, STEPS: threads.steps },
    label: "filter",
    buffers: { scores, settings, peaks, picks },
    params: () => ({ vocabulary }),
    grid: (s: Sizes) => [s.logitCount, 1, 1],
    bytes: (s) => 4 * s.logitCount * vocabulary,
    flops: (s) => 12 * s.logitCount * vocabulary,
  });
}

function mergeSlices({ buffers, vocabulary, sliceCount, threads }: SampleContext): AnyDispatch<Sizes> {
  const { logits, settings, slices, picks, result, tokens } = buffers;
  return dispatch({
    kernel: sample_merge,
    constants: { WG: threads.mergeThreads },
    label: "sample",
    buffers: { logits, settings, slices, picks, result, tokens },
    params: () => ({ vocabulary, sliceCount }),
    grid: (s: Sizes) => [s.logitCount, 1, 1],
    bytes: (s) => 16 * s.logitCount * sliceCount,
    flops: (s) => 8 * s.logitCount * sliceCount,
  });
}

function topLogits({ buffers, vocabulary, sliceCount, threads }: SampleContext, tops: GPUBuffer): AnyDispatch<Sizes> {
  const { logits, settings, slices } = buffers;
  return dispatch({
    kernel: top_logits,
    constants: { WG: threads.filterThreads },
    label: "top logits",
    buffers: { logits, settings, slices, tops },
    params: () => ({ vocabulary, sliceCount }),
    grid: (s: Sizes) => [s.logitCount, 1, 1],
    bytes: (s) => 4 * MOST_TOPS * s.logitCount * vocabulary,
    flops: (s) => 4 * MOST_TOPS * s.logitCount * vocabulary,
  });
}

function countTokens({ buffers, vocabulary }: SampleContext, { counts }: Adjustments): AnyDispatch<Sizes> {
  const { settings, tokens } = buffers;
  return dispatch({
    kernel: logit_count,
    constants: { WG: 64 },
    label: "count token",
    buffers: { settings, tokens, counts },
    params: (s: Sizes) => ({ rows: s.logitCount, vocabulary }),
    grid: (s) => [ceilDiv(s.logitCount, 64), 1, 1],
    bytes: (s) => 60 * s.logitCount,
    flops: () => 0,
  });
}

// Dispatches of what requests ask for beyond greedy choice and temperature: penalties, biases and masks before a token is
// chosen, filters, and the likeliest tokens and counts after it. Fetched with the first that does.
import { ceilDiv } from "../../errors.ts";
import { logit_adjust, logit_count, sample_filter, top_logits } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import type { Sizes } from "../ops/sizes.ts";
import { type Adjustments, MOST_TOPS, type SampleContext } from "./dispatches.ts";

/** What goes before a token is chosen, and what after it. */
export const adjusting = (context: SampleContext, adjustments: Adjustments): AnyDispatch<Sizes>[] => [
  adjustLogits(context, adjustments),
  countTokens(context, adjustments),
];

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

export function filterScores({ buffers, vocabulary, threads }: SampleContext, scores: GPUBuffer): AnyDispatch<Sizes> {
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

export function topLogits(
  { buffers, vocabulary, sliceCount, threads }: SampleContext,
  tops: GPUBuffer,
): AnyDispatch<Sizes> {
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

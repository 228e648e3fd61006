// The kernels that turn logits into a token, as dispatches: slices of a row, and the choice. What requests ask for on top, such
// as filters and penalties, is in extras.ts.
import type { AdapterProfile } from "../../gpu/profile.ts";
import { sample_merge, sample_slices } from "../../gpu/kernels.gen.ts";
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

export function sampleSlices(
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

export function mergeSlices({ buffers, vocabulary, sliceCount, threads }: SampleContext): AnyDispatch<Sizes> {
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

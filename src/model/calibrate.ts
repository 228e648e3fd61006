// One pass of an ordinary model over a calibration text, window by window, and the sums that it leaves. docs/recovery.md.
import { BLOCK_TOKENS, blocksFor } from "../kv/blocks.ts";
import { chunkRowsOf } from "../kv/plan.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Program } from "../gpu/program.ts";
import { tapped } from "./forward.ts";
import type { Batch, Row } from "./model.ts";
import type { Sizes } from "./ops/sizes.ts";
import { emptySums, Moments, type Sums } from "./swiftkv/moments.ts";
import type { Transformer } from "./transformer.ts";

/** Tokens whose sums may grow in f32: few additions, and few readbacks. */
const FLOAT_TOKENS = 4096;

export interface Reading {
  /** K: the layer whose input the later layers' keys and values are fitted to. */
  first: number;
  /** Each begins at position 0. */
  windows: readonly (readonly number[])[];
  /** Runs work that writes over the cache while nothing else uses the model. */
  alone: <T>(work: () => Promise<T>) => Promise<T>;
  onTokens: (done: number) => void;
  signal?: AbortSignal | undefined;
}

/** `gpu`: where the buffers of the pass are made; whoever calls disposes of it. */
export async function readText(
  gpu: Gpu,
  transformer: Transformer,
  { first, windows, alone, onTokens, signal }: Reading,
): Promise<Sums> {
  await alone(() => transformer.reserve({ blocks: blocksFor(Math.max(0, ...windows.map(({ length }) => length))) }));
  const { context } = transformer;
  const sums = emptySums(context.config, first);
  const moments = new Moments(gpu, context, first);
  const program = await tapped({ ...context, gpu }, (layer) => moments.before(layer));
  let done = 0;
  let pending = 0;
  for (const [index, window] of windows.entries()) {
    signal?.throwIfAborted();
    await alone(() => readWindow(transformer, program, window, (count) => onTokens(done + count), signal));
    done += window.length;
    pending += window.length;
    if (pending < FLOAT_TOKENS && index < windows.length - 1) continue;
    await moments.moveTo(sums, pending);
    pending = 0;
  }
  return sums;
}

/** Chunk by chunk, in the first blocks of the cache. */
export async function readWindow(
  transformer: Transformer,
  program: Program<Sizes>,
  tokens: readonly number[],
  onTokens: (done: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const most = chunkRowsOf(transformer.limits);
  for (let start = 0; start < tokens.length; start += most) {
    signal?.throwIfAborted();
    await transformer.runThrough(program, chunkOf(tokens, start, Math.min(tokens.length, start + most)));
    onTokens(Math.min(tokens.length, start + most));
  }
}

function chunkOf(tokens: readonly number[], start: number, end: number): Batch {
  const rows = tokens
    .slice(start, end)
    .map((token, i): Row => ({ token, position: start + i, cacheIndex: start + i, sequence: 0 }));
  const page = (_: unknown, index: number) => ({ index, block: index });
  const pages = start === 0 ? Array.from({ length: blocksFor(tokens.length) }, page) : [];
  const lists = [{ sequence: 0, enters: start === 0, pages, kept: null }];
  return {
    rows,
    decodeRows: 0,
    logitRows: [],
    lists,
    moves: [],
    promptEnd: null,
    retiring: null,
    standing: [],
    arrivals: [],
  };
}

/** Tokens that a window can have: its blocks are of the tier that projections write. */
export const mostWindowTokens = ({ cache }: Transformer): number =>
  Math.min(cache.context, cache.tiers[0]! * BLOCK_TOKENS);

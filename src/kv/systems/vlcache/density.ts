// What VL-Cache finds out at a prompt's end, layer by layer: how many weights of the asking queries count, and with the last layer
// all of it at once in JavaScript, which says how many tokens each store keeps.
import { window_density } from "../../../gpu/kernels.gen.ts";
import type { Gpu } from "../../../gpu/device.ts";
import { fetched } from "../../../gpu/fetched.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import { blocksFor } from "../../blocks.ts";
import type { KvCache } from "../../cache.ts";
import type { PromptEndSizes, StepSizes, SystemContext } from "../../system.ts";
import { chooseSlots, scoredWith, scoreSlots, type Scoring } from "../pyramid/scoring.ts";
import { readersOf } from "../swiftkv/layout.ts";
import { budgets, partOf } from "./budgets.ts";

/** A weight counts that is at least so much of its query's largest one. The paper's number. */
const SHARE = 0.01;

/** What is counted. */
interface Counts {
  /** [L·G, stride] u32: of each layer's lists, page by page */
  buffer: GPUBuffer;
  /** Pages of the longest list. */
  stride: number;
}

const made = new WeakMap<KvCache, Counts>();

/** For lists of so many pages. */
const makeCounts = ({ gpu, model }: SystemContext, pages: number): GPUBuffer =>
  gpu.buffer("weights that count", 4 * model.layers * model.kvHeads * pages, "scratch");

function countsOf(context: SystemContext): Counts {
  const { cache } = context;
  const known = made.get(cache);
  if (known) return known;
  const stride = cache.lists.pages;
  const counts = { buffer: makeCounts(context, stride), stride };
  made.set(cache, counts);
  cache.growsWith({ grow: () => grow(context, counts) });
  return counts;
}

/** Nothing in it outlasts a step. */
async function grow(context: SystemContext, counts: Counts): Promise<void> {
  const stride = context.cache.lists.pages;
  if (stride <= counts.stride) return;
  const [buffer] = await context.gpu.allocateAll([() => makeCounts(context, stride)]);
  context.gpu.release(counts.buffer);
  Object.assign(counts, { buffer, stride });
}

/** Scores and counts of a layer, once its attention has run. */
export function gauge(context: SystemContext, scoring: Scoring): AnyDispatch<StepSizes>[] {
  const { cache, model } = context;
  const { buffer, stride } = countsOf(context);
  const store = cache.shape.layout.reads[scoring.layer]!;
  const counting = cache.writtenArenasOf(store).map((arena): AnyDispatch<StepSizes> => {
    const { constants, buffers, params, pages, cost } = scoredWith(context, scoring, arena);
    return dispatch({
      kernel: window_density,
      constants,
      label: `layer ${scoring.layer} window density`,
      buffers: { ...buffers, counts: buffer },
      params: (s: StepSizes) => ({
        ...params(s),
        first: scoring.layer * model.kvHeads,
        stride,
        log: Math.log(SHARE),
      }),
      grid: (s) => [model.kvHeads, pages(s), 1],
      bytes: (s) => cost(s).bytes,
      flops: (s) => cost(s).flops,
    });
  });
  return [...scoreSlots(context, scoring), ...counting];
}

/** Which slots of a store stay. Before the first store's, all layers have been counted, and what each keeps is decided. */
export function choose(
  context: SystemContext,
  scoring: Scoring,
  store: number,
  keep: number,
): AnyDispatch<StepSizes>[] {
  const count = ({ chosen }: PromptEndSizes) => chosen?.[store] ?? 0;
  const [first, ...rest] = chooseSlots(context, scoring, { store, count, radius: 0 });
  if (store > 0) return [first!, ...rest];
  const when = ({ promptEnd }: StepSizes): boolean => promptEnd !== null;
  const work = async ({ promptEnd }: StepSizes): Promise<void> => {
    if (promptEnd) await decide(context, scoring, promptEnd, keep);
  };
  return [{ ...first!, awaits: { when, work } }, ...rest];
}

async function decide(context: SystemContext, scoring: Scoring, end: PromptEndSizes, keep: number): Promise<void> {
  const { cache, model } = context;
  const { layout } = cache.shape;
  const byLayer = await densities(context, scoring, end);
  const byStore = Array.from({ length: layout.stores }, (_, store) => {
    const readers = readersOf(layout, store);
    return readers.reduce((sum, layer) => sum + byLayer[layer]!, 0) / readers.length;
  });
  const counts = budgets(byStore, partOf(end.tokens, keep)!);
  end.chosen = counts;
  end.decide!(counts.flatMap((count) => Array.from({ length: model.kvHeads }, () => count)));
}

/** [L] the share of the weights that queries give to keys that counts. */
async function densities(context: SystemContext, scoring: Scoring, end: PromptEndSizes): Promise<number[]> {
  const { model } = context;
  const { buffer, stride } = countsOf(context);
  const counts = await read(context.gpu, buffer);
  const rows = Math.min(scoring.windowRows, end.question);
  const seen = rows * end.tokens - (rows * (rows - 1)) / 2; // the last row sees all, each before it one fewer
  const pages = blocksFor(end.tokens);
  return Array.from({ length: model.layers }, (_, layer) => {
    let counted = 0;
    for (let list = layer * model.kvHeads; list < (layer + 1) * model.kvHeads; list++)
      for (const count of counts.subarray(list * stride, list * stride + pages)) counted += count;
    return counted / (seen * model.heads);
  });
}

/** Once for each prompt. */
async function read(gpu: Gpu, source: GPUBuffer): Promise<Uint32Array> {
  const counts = await fetched(gpu, source, source.size);
  gpu.counts.readbacks++;
  gpu.counts.readbackBytes += source.size;
  return new Uint32Array(counts);
}

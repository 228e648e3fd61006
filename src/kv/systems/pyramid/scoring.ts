// Which tokens of a prompt its last rows look at: the dispatches, and the buffers between them.
import { ceilDiv } from "../../../errors.ts";
import { pool_max, top_slots, window_score, window_sums } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import type { Arena } from "../../arena.ts";
import { BLOCK_TOKENS, blocksFor } from "../../blocks.ts";
import type { KvCache } from "../../cache.ts";
import { columnOf } from "../../layout.ts";
import { lastRows } from "../../plan.ts";
import type { PromptEndSizes, StepSizes, SystemContext } from "../../system.ts";
import { readersOf } from "../swiftkv/layout.ts";

/** Workgroups that share the pages of a list in `window_sums`, at most: as many sums of each query are joined. */
const MOST_SPLITS = 16;
/** Queries of a thread, as the kernels have it, and threads of a workgroup at most. */
const QUERIES = 8;
const MOST_THREADS = 64;
/**
 * Scores are pooled over so many slots to each side, and by maximum: a token that is looked at brings its neighbours along,
 * because a name or a number without the rest of its letters is of no use. Width 7, as PyramidKV was evaluated.
 */
const POOL_RADIUS = 3;
const POOL_THREADS = 64;
/** One workgroup chooses for a list. */
const CHOICE_THREADS = 256;

/** What the dispatches of all layers write in turn, made once per engine. */
interface Scratch {
  /** [G, queries, arenas · MOST_SPLITS] of (largest, sum) */
  sums: GPUBuffer;
  /** Those below grow with lists. [regions · G, stride] f32: the scores of a store that one layer reads; then of each shared store, whose readers add up. Or of every store, where they are held. */
  scores: GPUBuffer;
  /** [G, stride] f32 */
  pooled: GPUBuffer;
  /** Slots of the longest list. */
  stride: number;
}

const made = new WeakMap<KvCache, Scratch>();

/** Stores that several layers read. Their scores are kept until the last of them has run, the others' until the next layer. */
const sharedStores = ({ shape: { layout } }: KvCache): number[] =>
  Array.from({ length: layout.stores }, (_, store) => store).filter((store) => readersOf(layout, store).length > 1);

function scratchOf(context: SystemContext, scoring: Scoring): Scratch {
  const { gpu, cache, model } = context;
  const { windowRows } = scoring;
  const known = made.get(cache);
  if (known) return known;
  const { heads } = model;
  const sums = 2 * heads * windowRows * cache.writtenArenasOf(0).length * MOST_SPLITS;
  const stride = cache.lists.pages * BLOCK_TOKENS;
  const makes = scoresFor(context, scoring, stride);
  const scratch = {
    sums: gpu.buffer("window sums", sums * 4, "scratch"),
    scores: makes.scores(),
    pooled: makes.pooled(),
    stride,
  };
  made.set(cache, scratch);
  cache.growsWith({ grow: () => growScores(context, scoring, scratch) });
  return scratch;
}

function scoresFor({ gpu, cache, model }: SystemContext, { held }: Scoring, stride: number) {
  const make = (label: string, lists: number) => () => gpu.buffer(label, lists * model.kvHeads * stride * 4, "scratch");
  const stores = held ? cache.shape.layout.stores : 1 + sharedStores(cache).length;
  return { scores: make("window scores", stores), pooled: make("pooled scores", 1) };
}

/** Nothing in them outlasts a step. */
async function growScores(context: SystemContext, scoring: Scoring, scratch: Scratch): Promise<void> {
  const { gpu, cache } = context;
  const stride = cache.lists.pages * BLOCK_TOKENS;
  if (stride <= scratch.stride) return;
  const makes = scoresFor(context, scoring, stride);
  const [scores, pooled] = await gpu.allocateAll([makes.scores, makes.pooled]);
  for (const old of [scratch.scores, scratch.pooled]) gpu.release(old);
  Object.assign(scratch, { scores, pooled, stride });
}

/** Equal splits of `pages` pages. */
function splitsOf(pages: number): { splits: number; pagesPerSplit: number } {
  const pagesPerSplit = ceilDiv(pages, Math.min(MOST_SPLITS, pages));
  return { splits: ceilDiv(pages, pagesPerSplit), pagesPerSplit };
}

/** Threads of a workgroup: all queries at once if they fit, else in equal turns. */
function threadsFor(queries: number): number {
  const along = ceilDiv(queries, QUERIES);
  const turns = ceilDiv(along, MOST_THREADS / 4);
  return Math.max(8, 4 * ceilDiv(along, turns));
}

/** One layer's part in scoring the store that it reads. */
export interface Scoring {
  layer: number;
  windowRows: number;
  /** Pages of a prompt of so many tokens whose slots are scored. */
  pagesGivenUp: (tokens: number) => number;
  /** Scores of all stores are there until the last layer has run. */
  held?: boolean;
  /** Slots to each side that scores are pooled over. */
  radius?: number;
  /** Of the window's rows the last ones that ask. Default: all. */
  asks?: (end: PromptEndSizes) => number;
}

/** The rows that ask. */
export const askedRows = ({ windowRows, asks }: Scoring, end: PromptEndSizes | null) =>
  lastRows(end, end && asks ? Math.min(windowRows, asks(end)) : windowRows);

/** Row of `scores` that a store's first list has. */
function scoreRow({ cache, model }: SystemContext, { held }: Scoring, store: number): number {
  return (held ? store : 1 + sharedStores(cache).indexOf(store)) * model.kvHeads;
}

/** The layer's scores of the slots that may be given up, written over or added to those of layers before it that read the store. */
export function scoreSlots(context: SystemContext, scoring: Scoring): AnyDispatch<StepSizes>[] {
  const { cache } = context;
  const arenas = cache.writtenArenasOf(cache.shape.layout.reads[scoring.layer]!);
  return [
    ...arenas.map((arena) => sumDispatch(context, scoring, arena)),
    ...arenas.map((arena) => scoreDispatch(context, scoring, arena)),
  ];
}

/** What both kernels need. */
function common(context: SystemContext, scoring: Scoring, arena: Arena) {
  const { layer, windowRows } = scoring;
  const { cache, model, query, records } = context;
  const { heads: H, kvHeads: G, headWidth: E } = model;
  const store = cache.shape.layout.reads[layer]!;
  const R = H / G;
  return {
    store,
    constants: { WG: threadsFor(windowRows * R), E, KV_BITS: cache.written.bits, H, R },
    buffers: { q: query, rows: records, table: cache.lists.table, kv: arena.buffers[cache.bundleOf(store)]! },
    params: (end: PromptEndSizes | null) => ({
      firstRow: askedRows(scoring, end).first,
      queries: askedRows(scoring, end).count * R,
      listLength: cache.lists.listLength,
      columns: cache.columns,
      column: columnOf(store, G),
      row: end?.sequence ?? 0,
      arena: arena.number,
      pages: blocksFor(end?.tokens ?? 0),
      window: 0,
      scale: context.attentionScale,
    }),
  };
}

/** Keys of the written pages, in bytes, and multiply-adds of the window with them, in a list of `pages` pages per KV head. */
const costOf = ({ model, cache }: SystemContext, pages: number, windowRows: number) => ({
  bytes: (model.kvHeads * pages * cache.written.words(model.headWidth) * 4) / 2,
  flops: 2 * windowRows * model.heads * pages * BLOCK_TOKENS * model.headWidth,
});

function sumDispatch(context: SystemContext, scoring: Scoring, arena: Arena): AnyDispatch<StepSizes> {
  const { cache, model } = context;
  const { constants, buffers, params, store } = common(context, scoring, arena);
  const pages = ({ promptEnd }: StepSizes) => blocksFor(promptEnd?.tokens ?? 0);
  const queries = ({ promptEnd }: StepSizes) => (askedRows(scoring, promptEnd).count * model.heads) / model.kvHeads;
  const cost = (s: StepSizes) => costOf(context, pages(s), scoring.windowRows);
  const arenas = cache.writtenArenasOf(store);
  const place = arenas.findIndex(({ number }) => number === arena.number);
  return atPromptEnd({
    kernel: window_sums,
    constants,
    label: `layer ${scoring.layer} window sums`,
    buffers: { ...buffers, sums: scratchOf(context, scoring).sums },
    params: (s) => {
      const { splits, pagesPerSplit } = splitsOf(Math.max(1, pages(s)));
      const entries = arenas.length * splits;
      return { ...params(s.promptEnd), pagesPerSplit, entries, entry: place * splits };
    },
    grid: (s) => [model.kvHeads, splitsOf(pages(s)).splits, ceilDiv(queries(s), 2 * constants.WG)],
    bytes: (s) => cost(s).bytes,
    flops: (s) => cost(s).flops,
  });
}

function scoreDispatch(context: SystemContext, scoring: Scoring, arena: Arena): AnyDispatch<StepSizes> {
  const { cache, model } = context;
  const { constants, buffers, params, store } = common(context, scoring, arena);
  const { sums, scores, stride } = scratchOf(context, scoring);
  const [first] = readersOf(cache.shape.layout, store);
  const pages = ({ promptEnd }: StepSizes) => scoring.pagesGivenUp(promptEnd?.tokens ?? 0);
  const cost = (s: StepSizes) => costOf(context, pages(s), scoring.windowRows);
  return atPromptEnd({
    kernel: window_score,
    constants: { ...constants, ADD: Number(first !== scoring.layer) },
    label: `layer ${scoring.layer} window scores`,
    buffers: { ...buffers, sums, scores },
    params: ({ promptEnd }) => {
      const { splits } = splitsOf(Math.max(1, blocksFor(promptEnd?.tokens ?? 0)));
      const entries = cache.writtenArenasOf(store).length * splits;
      return { ...params(promptEnd), entries, first: scoreRow(context, scoring, store), stride };
    },
    grid: (s) => [model.kvHeads, pages(s), 1],
    bytes: (s) => cost(s).bytes,
    flops: (s) => cost(s).flops,
  });
}

/** What counting needs that reads the same queries, keys and sums: of the layer's own, after its scores. */
export function scoredWith(context: SystemContext, scoring: Scoring, arena: Arena) {
  const { constants, buffers, params, store } = common(context, scoring, arena);
  const arenas = context.cache.writtenArenasOf(store).length;
  return {
    constants,
    buffers,
    params,
    sums: scratchOf(context, scoring).sums,
    entries: (end: PromptEndSizes | null) => arenas * splitsOf(Math.max(1, blocksFor(end?.tokens ?? 0))).splits,
    cost: (pages: number) => costOf(context, pages, scoring.windowRows),
    atEnd: onlyAtPromptEnd,
  };
}

/** Writes which slots each list of a store keeps: `count` of a prompt that ends so. */
export function chooseSlots(
  context: SystemContext,
  scoring: Scoring,
  store: number,
  count: (end: PromptEndSizes) => number,
): AnyDispatch<StepSizes>[] {
  const { model, keep, keepStride } = context;
  const { scores, pooled, stride } = scratchOf(context, scoring);
  const { radius = POOL_RADIUS } = scoring;
  const lists = model.kvHeads;
  const slots = ({ promptEnd }: StepSizes) => scoring.pagesGivenUp(promptEnd?.tokens ?? 0) * BLOCK_TOKENS;
  const kept = ({ promptEnd }: StepSizes) => (promptEnd ? count(promptEnd) : 0);
  const pool = atPromptEnd({
    kernel: pool_max,
    constants: { WG: POOL_THREADS, RADIUS: radius },
    label: `store ${store} pooled scores`,
    buffers: { scores, pooled },
    params: (s) => ({ first: scoreRow(context, scoring, store), stride, slots: slots(s) }),
    grid: (s) => [ceilDiv(slots(s), POOL_THREADS), lists, 1],
    bytes: (s) => 4 * lists * slots(s) * (2 * radius + 2),
    flops: () => 0,
  });
  const choose = atPromptEnd({
    kernel: top_slots,
    constants: { WG: CHOICE_THREADS },
    label: `store ${store} tokens that stay`,
    buffers: { scores: pooled, keep },
    params: (s) => ({ first: 0, stride, slots: slots(s), count: kept(s), column: columnOf(store, lists), keepStride }),
    grid: () => [lists, 1, 1],
    bytes: (s) => 4 * lists * (6 * slots(s) + kept(s)),
    flops: () => 0,
  });
  return [pool, choose];
}

/** Runs in the step that ends a prompt only. */
function atPromptEnd<K extends Parameters<typeof dispatch>[0]["kernel"]>(
  typed: Parameters<typeof dispatch<K, StepSizes>>[0],
): AnyDispatch<StepSizes> {
  return onlyAtPromptEnd(dispatch(typed));
}

const onlyAtPromptEnd = (each: AnyDispatch<StepSizes>): AnyDispatch<StepSizes> => ({
  ...each,
  grid: (s) => (s.promptEnd ? each.grid(s) : [0, 0, 0]),
});

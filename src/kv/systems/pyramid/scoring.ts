// Which tokens of a prompt some rows look at, its last ones or others: the dispatches, and the buffers between them.
import { ceilDiv } from "../../../errors.ts";
import { pool_max, top_slots, window_score, window_sums } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import type { Arena } from "../../arena.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { KvCache } from "../../cache.ts";
import { columnOf } from "../../layout.ts";
import type { PromptEndSizes, StepSizes, SystemContext } from "../../system.ts";
import { readersOf } from "../swiftkv/layout.ts";

/** Workgroups that share the pages of a list in `window_sums`, at most: as many sums of each query are joined. */
const MOST_SPLITS = 16;
/** Queries of a thread, as the kernels have it, and threads of a workgroup at most. */
const QUERIES = 8;
const MOST_THREADS = 64;
const POOL_THREADS = 64;
/** One workgroup chooses for a list. */
const CHOICE_THREADS = 256;

/** What the dispatches of all layers write in turn, made once per engine. */
interface Scratch {
  /** [G, queries of a step, arenas · MOST_SPLITS] of (largest, sum) */
  sums: GPUBuffer;
  /** Those below grow with lists. [1 + `stores` · G, stride] f32: the scores of the store whose turn it is; then those of `stores`. */
  scores: GPUBuffer;
  /** [G, stride] f32 */
  pooled: GPUBuffer;
  /** Slots of the longest list. */
  stride: number;
  /** Stores whose scores are made by more than one layer or step. */
  stores: readonly number[];
}

const made = new WeakMap<KvCache, Scratch>();

/** Stores whose scores are kept: until the last layer that reads them has run, or beyond the step. The others' are until the next layer. */
const keptScores = ({ shape: { layout } }: KvCache, lasts: boolean): number[] =>
  Array.from({ length: layout.stores }, (_, store) => store).filter(
    (store) => lasts || readersOf(layout, store).length > 1,
  );

function scratchOf(context: SystemContext, { windowRows, lasts }: Scoring): Scratch {
  const { gpu, cache, model } = context;
  const known = made.get(cache);
  if (known) return known;
  const { heads } = model;
  const sums = 2 * heads * windowRows * cache.writtenArenasOf(0).length * MOST_SPLITS;
  const stride = cache.lists.pages * BLOCK_TOKENS;
  const stores = keptScores(cache, lasts);
  const makes = scoresFor(context, stride, stores);
  const scratch = {
    sums: gpu.buffer("window sums", sums * 4, "scratch"),
    scores: makes.scores(),
    pooled: makes.pooled(),
    stride,
    stores,
  };
  made.set(cache, scratch);
  cache.growsWith({ grow: () => growScores(context, scratch) });
  return scratch;
}

function scoresFor({ gpu, model }: SystemContext, stride: number, { length }: readonly number[]) {
  const make = (label: string, lists: number) => () => gpu.buffer(label, lists * model.kvHeads * stride * 4, "scratch");
  return { scores: make("window scores", 1 + length), pooled: make("pooled scores", 1) };
}

/** What earlier steps have scored goes with it. */
async function growScores(context: SystemContext, scratch: Scratch): Promise<void> {
  const { gpu, cache } = context;
  const stride = cache.lists.pages * BLOCK_TOKENS;
  if (stride <= scratch.stride) return;
  const makes = scoresFor(context, stride, scratch.stores);
  const [scores, pooled] = await gpu.allocateAll([makes.scores, makes.pooled]);
  const encoder = gpu.device.createCommandEncoder();
  for (let row = 0; row < scratch.scores.size / (4 * scratch.stride); row++)
    encoder.copyBufferToBuffer(scratch.scores, 4 * scratch.stride * row, scores!, 4 * stride * row, 4 * scratch.stride);
  gpu.submit(encoder);
  for (const old of [scratch.scores, scratch.pooled]) gpu.release(old);
  Object.assign(scratch, { scores, pooled, stride });
}

/** Scores of a store's lists once all its readers have added theirs: from row `first` of `scores` on, [G, stride]. `spare` is as large as those. */
export function scoresOf(context: SystemContext, scoring: Scoring, store: number) {
  const scratch = scratchOf(context, scoring);
  const { scores, pooled: spare, stride } = scratch;
  return { scores, first: scoreRow(context, scratch, store), stride, spare };
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

/** Rows of a step that look at the tokens before them. */
export interface Looking extends Gaps {
  sequence: number;
  /** Of the sequence, their own included. */
  pages: number;
  first: number;
  count: number;
}

/** Pages that do not count for the rows: `gap` of them behind the first `gapAt` that do, `endGap` behind the first `endAt`. */
export interface Gaps extends Record<"gapAt" | "gap" | "endAt" | "endGap", number> {}

/** One layer's part in scoring the store that it reads. */
export interface Scoring {
  layer: number;
  /** Most rows that look in a step. */
  windowRows: number;
  /** Null in a step in which none do. */
  looking: (sizes: StepSizes) => Looking | null;
  /** Pages of a prompt of so many tokens that are given up. */
  pagesGivenUp: (tokens: number) => number;
  /** Of the pages that count, the first so many are scored. */
  scored: (sizes: StepSizes) => number;
  /** A score is the largest weight that any query gave; else the mean over query heads of what rows gave. */
  most: boolean;
  /** Scores outlast the step. */
  lasts: boolean;
  /** Pages whose scores join those of steps before. */
  joins: (sizes: StepSizes) => number;
}

/** Row of `scores` that a store's first list has. */
function scoreRow({ model }: SystemContext, { stores }: Scratch, store: number): number {
  return (1 + stores.indexOf(store)) * model.kvHeads;
}

/** The layer's scores of the slots that may be given up, written over or joined with those of layers or steps before it that read the store. */
export function scoreSlots(context: SystemContext, scoring: Scoring): AnyDispatch<StepSizes>[] {
  const { cache } = context;
  const arenas = cache.writtenArenasOf(cache.shape.layout.reads[scoring.layer]!);
  return [
    ...arenas.map((arena) => sumDispatch(context, scoring, arena)),
    ...arenas.map((arena) => scoreDispatch(context, scoring, arena)),
  ];
}

/** What both kernels need. */
function common(context: SystemContext, { layer, windowRows, looking }: Scoring, arena: Arena) {
  const { cache, model, query, records } = context;
  const { heads: H, kvHeads: G, headWidth: E } = model;
  const store = cache.shape.layout.reads[layer]!;
  const R = H / G;
  return {
    store,
    constants: { WG: threadsFor(windowRows * R), E, KV_BITS: cache.written.bits, H, R },
    buffers: { q: query, rows: records, table: cache.lists.table, kv: arena.buffers[cache.bundleOf(store)]! },
    params: (s: StepSizes) => ({
      firstRow: looking(s)?.first ?? 0,
      queries: (looking(s)?.count ?? 0) * R,
      listLength: cache.lists.listLength,
      columns: cache.columns,
      column: columnOf(store, G),
      row: looking(s)?.sequence ?? 0,
      arena: arena.number,
      pages: looking(s)?.pages ?? 0,
      ...gapsOf(looking(s)),
      window: 0,
      scale: context.attentionScale,
    }),
  };
}

const gapsOf = (looking: Looking | null): Gaps => ({
  gapAt: looking?.gapAt ?? 0,
  gap: looking?.gap ?? 0,
  endAt: looking?.endAt ?? 0,
  endGap: looking?.endGap ?? 0,
});

const countedPages = (looking: Looking | null): number => (looking ? looking.pages - looking.gap - looking.endGap : 0);

/** Keys of the written pages, in bytes, and multiply-adds of the window with them, in a list of `pages` pages per KV head. */
const costOf = ({ model, cache }: SystemContext, pages: number, windowRows: number) => ({
  bytes: (model.kvHeads * pages * cache.written.words(model.headWidth) * 4) / 2,
  flops: 2 * windowRows * model.heads * pages * BLOCK_TOKENS * model.headWidth,
});

function sumDispatch(context: SystemContext, scoring: Scoring, arena: Arena): AnyDispatch<StepSizes> {
  const { cache, model } = context;
  const { constants, buffers, params, store } = common(context, scoring, arena);
  const pages = (s: StepSizes) => countedPages(scoring.looking(s));
  const queries = (s: StepSizes) => ((scoring.looking(s)?.count ?? 0) * model.heads) / model.kvHeads;
  const cost = (s: StepSizes) => costOf(context, pages(s), scoring.windowRows);
  const arenas = cache.writtenArenasOf(store);
  const place = arenas.findIndex(({ number }) => number === arena.number);
  return whileLooking(scoring, {
    kernel: window_sums,
    constants,
    label: `layer ${scoring.layer} window sums`,
    buffers: { ...buffers, sums: scratchOf(context, scoring).sums },
    params: (s) => {
      const { splits, pagesPerSplit } = splitsOf(Math.max(1, pages(s)));
      const entries = arenas.length * splits;
      return { ...params(s), pagesPerSplit, entries, entry: place * splits };
    },
    grid: (s) => [model.kvHeads, splitsOf(pages(s)).splits, ceilDiv(queries(s), 2 * constants.WG)],
    bytes: (s) => cost(s).bytes,
    flops: (s) => cost(s).flops,
  });
}

function scoreDispatch(context: SystemContext, scoring: Scoring, arena: Arena): AnyDispatch<StepSizes> {
  const { cache, model } = context;
  const { constants, buffers, params, store } = common(context, scoring, arena);
  const scratch = scratchOf(context, scoring);
  const { sums, scores, stride } = scratch;
  const isFirst = readersOf(cache.shape.layout, store)[0] === scoring.layer;
  const pages = scoring.scored;
  const cost = (s: StepSizes) => costOf(context, pages(s), scoring.windowRows);
  return whileLooking(scoring, {
    kernel: window_score,
    constants: { ...constants, MOST: Number(scoring.most) },
    label: `layer ${scoring.layer} window scores`,
    buffers: { ...buffers, sums, scores },
    params: (s) => {
      const { splits } = splitsOf(Math.max(1, countedPages(scoring.looking(s))));
      const entries = cache.writtenArenasOf(store).length * splits;
      const joins = isFirst ? scoring.joins(s) : scratch.stride;
      return { ...params(s), entries, first: scoreRow(context, scratch, store), stride, joins };
    },
    grid: (s) => [model.kvHeads, pages(s), 1],
    bytes: (s) => cost(s).bytes,
    flops: (s) => cost(s).flops,
  });
}

/** What a kernel needs that reads the same queries, keys and sums as the scores of a layer, after these. */
export function scoredWith(context: SystemContext, scoring: Scoring, arena: Arena) {
  const { constants, buffers, params, store } = common(context, scoring, arena);
  const arenas = context.cache.writtenArenasOf(store).length;
  const pages = (s: StepSizes) => scoring.looking(s)?.pages ?? 0;
  return {
    constants,
    buffers: { ...buffers, sums: scratchOf(context, scoring).sums },
    params: (s: StepSizes) => ({ ...params(s), entries: arenas * splitsOf(Math.max(1, pages(s))).splits }),
    pages,
    cost: (s: StepSizes) => costOf(context, pages(s), scoring.windowRows),
  };
}

/** What `chooseSlots` chooses for. */
export interface Choice {
  store: number;
  /** Slots that each list keeps of a prompt that ends so. */
  count: (end: PromptEndSizes) => number;
  /** A slot's score is the largest of itself and so many on either side. */
  radius: number;
}

/** Writes which slots each list of a store keeps. */
export function chooseSlots(context: SystemContext, scoring: Scoring, choice: Choice): AnyDispatch<StepSizes>[] {
  const { model, keep, keepStride } = context;
  const { store, count, radius } = choice;
  const scratch = scratchOf(context, scoring);
  const { pooled, stride } = scratch;
  const lists = model.kvHeads;
  const slots = (s: StepSizes) => scoring.pagesGivenUp(tokensOf(s)) * BLOCK_TOKENS;
  const kept = ({ promptEnd }: StepSizes) => (promptEnd ? count(promptEnd) : 0);
  const row = scoreRow(context, scratch, store);
  const [scores, first] = radius > 0 ? [pooled, 0] : [scratch.scores, row];
  const choose: AnyDispatch<StepSizes> = dispatch({
    kernel: top_slots,
    constants: { WG: CHOICE_THREADS },
    label: `store ${store} tokens that stay`,
    buffers: { scores, keep },
    params: (s) => ({ first, stride, slots: slots(s), count: kept(s), column: columnOf(store, lists), keepStride }),
    grid: ({ promptEnd }: StepSizes) => (promptEnd ? [lists, 1, 1] : [0, 0, 0]),
    bytes: (s) => 4 * lists * (6 * slots(s) + kept(s)),
    flops: () => 0,
  });
  return radius > 0 ? [poolScores(scratch, { row, lists, slots, choice }), choose] : [choose];
}

function poolScores(
  { scores, pooled, stride }: Scratch,
  {
    row,
    lists,
    slots,
    choice: { store, radius },
  }: { row: number; lists: number; slots: (s: StepSizes) => number; choice: Choice },
): AnyDispatch<StepSizes> {
  return dispatch({
    kernel: pool_max,
    constants: { WG: POOL_THREADS, RADIUS: radius },
    label: `store ${store} pooled scores`,
    buffers: { scores, pooled },
    params: (s) => ({ first: row, stride, slots: slots(s) }),
    grid: (s: StepSizes) => (s.promptEnd ? [ceilDiv(slots(s), POOL_THREADS), lists, 1] : [0, 0, 0]),
    bytes: (s) => 4 * lists * slots(s) * (2 * radius + 2),
    flops: () => 0,
  });
}

/** Tokens of the prompt that is ending or repeated. */
const tokensOf = ({ promptEnd, repeated }: StepSizes): number => (promptEnd ?? repeated)?.tokens ?? 0;

/** Runs in steps in which rows look. */
function whileLooking<K extends Parameters<typeof dispatch>[0]["kernel"]>(
  { looking }: Scoring,
  typed: Parameters<typeof dispatch<K, StepSizes>>[0],
): AnyDispatch<StepSizes> {
  return dispatch({ ...typed, grid: (s) => (looking(s) ? typed.grid(s) : [0, 0, 0]) });
}

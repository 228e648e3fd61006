// Which channels of a list's keys matter to a prompt's last queries: the dispatches, and the buffers between them.
import { ceilDiv } from "../../../errors.ts";
import { think_channels, think_keys, think_queries } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import type { Arena } from "../../arena.ts";
import { blocksFor } from "../../blocks.ts";
import type { KvCache } from "../../cache.ts";
import { columnOf } from "../../layout.ts";
import { lastRows } from "../../plan.ts";
import type { StepSizes, SystemContext } from "../../system.ts";
import { readersOf } from "../swiftkv/layout.ts";

/** Workgroups that share the pages of a list, at most: as many sums of each channel are added up. */
const MOST_SPLITS = 16;
const THREADS = 64;

/** What the dispatches of all layers write in turn, made once per cache. */
interface Scratch {
  /** [stores · G, E] f32: Σ q² */
  squares: GPUBuffer;
  /** [G, arenas · MOST_SPLITS, E] f32: Σ k² */
  sums: GPUBuffer;
}

const made = new WeakMap<KvCache, Scratch>();

function scratchOf({ gpu, cache, model }: SystemContext): Scratch {
  const known = made.get(cache);
  if (known) return known;
  const { kvHeads, headWidth } = model;
  const { stores } = cache.shape.layout;
  const entries = cache.writtenArenasOf(0).length * MOST_SPLITS;
  const scratch = {
    squares: gpu.buffer("query squares", stores * kvHeads * headWidth * 4, "scratch"),
    sums: gpu.buffer("key squares", kvHeads * entries * headWidth * 4, "scratch"),
  };
  made.set(cache, scratch);
  return scratch;
}

/** Equal splits of a prompt's pages. */
function splitsOf(tokens: number): { splits: number; pagesPerSplit: number } {
  const pages = Math.max(1, blocksFor(tokens));
  const pagesPerSplit = ceilDiv(pages, Math.min(MOST_SPLITS, pages));
  return { splits: ceilDiv(pages, pagesPerSplit), pagesPerSplit };
}

/** At the end of a prompt, what the last `windowRows` queries of a layer ask of the store that it reads. */
export function squareQueries(context: SystemContext, layer: number, windowRows: number): AnyDispatch<StepSizes> {
  const { cache, model, query } = context;
  const { heads: H, kvHeads: G, headWidth: E } = model;
  const store = cache.shape.layout.reads[layer]!;
  const isFirst = readersOf(cache.shape.layout, store)[0] === layer;
  const rows = ({ promptEnd }: StepSizes) => lastRows(promptEnd, windowRows);
  return dispatch({
    kernel: think_queries,
    constants: { WG: THREADS, E, H, R: H / G, ADD: Number(!isFirst) },
    label: `layer ${layer} query squares`,
    buffers: { q: query, squares: scratchOf(context).squares },
    params: (s: StepSizes) => ({ firstRow: rows(s).first, rows: rows(s).count, first: store * G }),
    grid: ({ promptEnd }) => (promptEnd ? [G, 1, 1] : [0, 0, 0]),
    bytes: (s) => 4 * rows(s).count * H * E,
    flops: (s) => 2 * rows(s).count * H * E,
  });
}

/** Once all layers have asked: `keys` channels for each list of the store. */
export function chooseChannels(context: SystemContext, store: number, keys: number): AnyDispatch<StepSizes>[] {
  const arenas = context.cache.writtenArenasOf(store);
  return [...arenas.map((arena) => squareKeys(context, store, arena)), choose(context, store, keys)];
}

function squareKeys(context: SystemContext, store: number, arena: Arena): AnyDispatch<StepSizes> {
  const { cache, model } = context;
  const { kvHeads: G, headWidth: E } = model;
  const arenas = cache.writtenArenasOf(store);
  const place = arenas.indexOf(arena);
  const tokens = ({ promptEnd }: StepSizes) => promptEnd?.tokens ?? 0;
  return dispatch({
    kernel: think_keys,
    constants: { WG: THREADS, E, KV_BITS: cache.written.bits },
    label: `store ${store} key squares`,
    buffers: { table: cache.lists.table, kv: arena.buffers[cache.bundleOf(store)]!, sums: scratchOf(context).sums },
    params: (s: StepSizes) => {
      const { splits, pagesPerSplit } = splitsOf(tokens(s));
      return {
        listLength: cache.lists.listLength,
        columns: cache.columns,
        column: columnOf(store, G),
        row: s.promptEnd?.sequence ?? 0,
        arena: arena.number,
        pages: blocksFor(tokens(s)),
        tokens: tokens(s),
        pagesPerSplit,
        entries: arenas.length * splits,
        entry: place * splits,
      };
    },
    grid: (s) => [G, splitsOf(tokens(s)).splits, 1],
    bytes: (s) => (G * blocksFor(tokens(s)) * cache.written.words(E) * 4) / 2,
    flops: (s) => 2 * G * tokens(s) * E,
  });
}

function choose(context: SystemContext, store: number, keys: number): AnyDispatch<StepSizes> {
  const { cache, model } = context;
  const { kvHeads: G, headWidth: E } = model;
  const { squares, sums } = scratchOf(context);
  const entries = (s: StepSizes) => cache.writtenArenasOf(store).length * splitsOf(s.promptEnd?.tokens ?? 0).splits;
  return dispatch({
    kernel: think_channels,
    constants: { WG: E, E, KEYS: keys },
    label: `store ${store} channels that stay`,
    buffers: { squares, sums, channels: cache.choices!.buffer },
    params: (s: StepSizes) => ({
      first: columnOf(store, G),
      entries: entries(s),
      list: (s.promptEnd?.sequence ?? 0) * cache.columns + columnOf(store, G),
    }),
    grid: () => [G, 1, 1],
    bytes: (s) => 4 * G * (entries(s) + 1) * E,
    flops: () => G * E * E,
  });
}

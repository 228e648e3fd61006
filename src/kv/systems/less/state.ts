// The state of LESS and what reads and writes it. For each store, sequence and KV head (H, z): H [8, E] = Σ ψ(k)ᵀ·v and z [8] = Σ ψ(k)
// over all tokens that the list gave up at its prompt's end. A query gets φ(q)·H / φ(q)·z of it, with the weight φ(q)·z.
import { ceilDiv } from "../../../errors.ts";
import { less_absorb, less_partial, less_state } from "../../../gpu/kernels.gen.ts";
import type { Gpu } from "../../../gpu/device.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import type { Arena } from "../../arena.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { KvCache } from "../../cache.ts";
import { columnOf } from "../../layout.ts";
import type { PartialContext, StateAccess, StepSizes, SystemContext } from "../../system.ts";
import { FEATURES, HIDDEN, stateNumbers } from "./shape.ts";

/** Workgroups that share the pages of a list, at most. */
const MOST_SPLITS = 32;
const STATE_THREADS = 64;

/** Of the other kernels: on a CPU adapter as few as they can have, for barriers are slow there. */
const threadsOn = ({ profile }: Gpu) =>
  profile.kernels === "registers" ? { absorb: 32, partial: 8 } : { absorb: 128, partial: 128 };

interface LessState {
  /** [stores, sequences, G, 8, E + 1] f32 */
  state: GPUBuffer;
  /** [G, entries, 8, E + 1] f32: the stores' turn by turn */
  sums: GPUBuffer;
}

const made = new WeakMap<KvCache, LessState>();

/** Made once per cache. */
function stateOf({ gpu, cache, model }: SystemContext): LessState {
  const known = made.get(cache);
  if (known) return known;
  const { sequences, layout } = cache.shape;
  const numbers = model.kvHeads * stateNumbers(model);
  const arenas = Math.max(...layout.owners.map((_, store) => cache.writtenArenasOf(store).length));
  const state = {
    state: gpu.buffer("less state", 4 * layout.stores * sequences * numbers, "kv"),
    sums: gpu.buffer("less sums", 4 * arenas * MOST_SPLITS * numbers, "scratch"),
  };
  made.set(cache, state);
  return state;
}

/** Row of the state of a store's first sequence and KV head. */
const firstRow = ({ cache, model }: SystemContext, store: number): number =>
  store * cache.shape.sequences * model.kvHeads;

/** Equal splits of the pages that lists give up with this step. */
function splitsOf({ promptEnd }: StepSizes, { cache }: SystemContext) {
  const pages = promptEnd ? cache.pagesGivenUp(cache.preparedSequence) : 0;
  const pagesPerSplit = Math.max(1, ceilDiv(pages, MOST_SPLITS));
  return { pages, pagesPerSplit, splits: ceilDiv(pages, pagesPerSplit) };
}

/** At a prompt's end: the state of a store's lists becomes what they give up. `maps`: ψ of its KV heads. */
export function absorb(context: SystemContext, store: number, maps: GPUBuffer): AnyDispatch<StepSizes>[] {
  const arenas = context.cache.writtenArenasOf(store);
  return [
    ...arenas.map((arena, place) => sumDispatch(context, store, maps, arena, place)),
    stateDispatch(context, store, arenas.length),
  ];
}

/** `place`: of the arena among those that hold pages of whole prompts. */
function sumDispatch(
  context: SystemContext,
  store: number,
  maps: GPUBuffer,
  arena: Arena,
  place: number,
): AnyDispatch<StepSizes> {
  const { cache, model, keep, keepStride } = context;
  const { kvHeads: G, headWidth: E } = model;
  const arenas = cache.writtenArenasOf(store).length;
  const tokens = (s: StepSizes) => splitsOf(s, context).pages * BLOCK_TOKENS;
  return dispatch({
    kernel: less_absorb,
    constants: { WG: threadsOn(context.gpu).absorb, E, KV_BITS: cache.written.bits, G, HIDDEN },
    label: `store ${store} tokens absorbed`,
    buffers: {
      table: cache.lists.table,
      keep,
      source: arena.buffers[cache.bundleOf(store)]!,
      maps,
      sums: stateOf(context).sums,
    },
    params: (s: StepSizes) => {
      const { pages, pagesPerSplit, splits } = splitsOf(s, context);
      return {
        listLength: cache.lists.listLength,
        columns: cache.columns,
        column: columnOf(store, G),
        row: s.promptEnd?.sequence ?? 0,
        preparedRow: cache.preparedSequence,
        arena: arena.number,
        keepStride,
        pages,
        pagesPerSplit,
        entries: arenas * splits,
        entry: place * splits,
      };
    },
    grid: (s) => [G, splitsOf(s, context).splits, 1],
    bytes: (s) => (G * tokens(s) * E * cache.written.bits) / 4,
    flops: (s) => 2 * G * tokens(s) * (E * HIDDEN + FEATURES * (HIDDEN + E)),
  });
}

function stateDispatch(context: SystemContext, store: number, arenas: number): AnyDispatch<StepSizes> {
  const { kvHeads: G } = context.model;
  const { state, sums } = stateOf(context);
  const numbers = stateNumbers(context.model);
  const entries = (s: StepSizes) => arenas * splitsOf(s, context).splits;
  return dispatch({
    kernel: less_state,
    constants: { WG: STATE_THREADS, NUMBERS: numbers },
    label: `store ${store} state`,
    buffers: { sums, state },
    params: (s: StepSizes) => ({
      entries: entries(s),
      first: firstRow(context, store) + (s.promptEnd?.sequence ?? 0) * G,
    }),
    grid: (s) => (entries(s) > 0 ? [ceilDiv(numbers, STATE_THREADS), G, 1] : [0, 0, 0]),
    bytes: (s) => 4 * G * numbers * (entries(s) + 1),
    flops: (s) => G * numbers * entries(s),
  });
}

/** What rows get of the states of their sequences. `maps`: φ of the layer's query heads. */
export function partial(context: PartialContext, layer: number, maps: GPUBuffer): AnyDispatch<StepSizes>[] {
  const { cache, model, query, records, partials, rows, place } = context;
  const { heads: H, kvHeads: G, headWidth: E } = model;
  const store = cache.shape.layout.reads[layer]!;
  const heads = (s: StepSizes) => H * rows(s).count;
  return [
    dispatch({
      kernel: less_partial,
      constants: { WG: threadsOn(context.gpu).partial, E, H, G, HIDDEN },
      label: `layer ${layer} state read`,
      buffers: { q: query, rows: records, table: cache.lists.table, maps, state: stateOf(context).state, partials },
      params: (s: StepSizes) => ({
        firstRow: rows(s).firstRow,
        listLength: cache.lists.listLength,
        columns: cache.columns,
        column: columnOf(store, G),
        first: firstRow(context, store),
        ...place(s),
      }),
      grid: (s) => [H, rows(s).count, 1],
      bytes: (s) => 4 * heads(s) * (HIDDEN * (E + FEATURES) + (FEATURES + 1) * E),
      flops: (s) => 2 * heads(s) * (HIDDEN * (E + FEATURES) + FEATURES * E),
    }),
  ];
}

/** Of one sequence, store after store. */
export const stateAccess = (context: SystemContext): StateAccess => ({
  stretches: (sequence) => {
    const { model, cache } = context;
    const bytes = 4 * model.kvHeads * stateNumbers(model);
    const { state: buffer } = stateOf(context);
    return Array.from({ length: cache.shape.layout.stores }, (_, store) => ({
      buffer,
      offset: bytes * (store * cache.shape.sequences + sequence),
      bytes,
    }));
  },
  memory: () => [],
});

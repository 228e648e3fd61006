// What each decoded row does before its attention: score the landmarks, choose chunks, and bring those that are missing into
// the private pages. Also the choice at a prompt's end, by its last query. No step of it waits for the CPU.
import { ceilDiv } from "../../../errors.ts";
import { shadow_plan, shadow_rank, shadow_recall, shadow_scores, top_slots } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import { columnOf } from "../../layout.ts";
import type { StepSizes, SystemContext } from "../../system.ts";
import type { ShadowShape } from "./shape.ts";
import { stateOf } from "./state.ts";

/** Rows whose queries choose. */
export interface Choosers {
  firstRow: (sizes: StepSizes) => number;
  count: (sizes: StepSizes) => number;
  /** Chunks to choose from; 0: of each list what its head says. */
  chunks: (sizes: StepSizes) => number;
  /** Block of chunk 0, where `chunks` says how many there are. */
  region: (sizes: StepSizes) => number;
  /** The most that a list has. */
  span: (sizes: StepSizes) => number;
}

/** Where the chosen chunks of list 0 go. */
export interface Choice {
  buffer: GPUBuffer;
  list: (sizes: StepSizes) => number;
}

/** Threads of a workgroup, where they work alone and where they wait for each other; those that bring chunks back, and workgroups. */
export const threadsOf = ({ gpu }: SystemContext) =>
  gpu.profile.kernels === "registers"
    ? { alone: 16, together: 16, lanes: 4, movers: 2 }
    : { alone: 64, together: 256, lanes: 64, movers: 64 };

/** Rows that decode, one of each sequence; none while all their prompts are whole. */
function decoding({ cache }: SystemContext, { chunk }: ShadowShape): Choosers {
  const { sequences } = cache.shape;
  return {
    firstRow: () => 0,
    count: ({ decodeRows, pagesGivenUp }) => (pagesGivenUp > 0 ? Math.min(decodeRows, sequences) : 0),
    chunks: () => 0,
    region: () => 0,
    span: ({ pagesGivenUp }) => (pagesGivenUp * BLOCK_TOKENS) / chunk,
  };
}

/** Where a store's lists are. */
export const listsOf = ({ cache, model }: SystemContext, store: number) => ({
  listLength: cache.lists.listLength,
  columns: cache.columns,
  column: columnOf(store, model.kvHeads),
});

/** The chunks that `layer` wants of the prompts of decoding rows come to the store's private pages. */
export function recallChunks(context: SystemContext, shape: ShadowShape, layer: number): AnyDispatch<StepSizes>[] {
  const store = context.cache.shape.layout.reads[layer]!;
  const { scratch } = stateOf(context, shape);
  const rows = decoding(context, shape);
  return [
    ...chooseChunks(context, shape, store, rows, { buffer: scratch.wanted, list: () => 0 }),
    plan(context, shape, store, rows),
    recall(context, shape, store, rows),
  ];
}

/** Writes, for each row and KV head, the `selected` chunks of most weight. */
export function chooseChunks(
  context: SystemContext,
  shape: ShadowShape,
  store: number,
  rows: Choosers,
  to: Choice,
): AnyDispatch<StepSizes>[] {
  return [
    scores(context, shape, store, rows),
    rank(context, shape, store, rows),
    choose(context, shape, store, rows, to),
  ];
}

function scores(
  context: SystemContext,
  shape: ShadowShape,
  store: number,
  { firstRow, count, chunks, region, span }: Choosers,
): AnyDispatch<StepSizes> {
  const { cache, model, query, records } = context;
  const { heads: H, kvHeads: G, headWidth: E } = model;
  const { stores, scratch, chunks: stride } = stateOf(context, shape);
  const { landmarks, outliers } = stores[store]!;
  const WG = threadsOf(context).alone;
  return dispatch({
    kernel: shadow_scores,
    constants: { WG, E, G, R: H / G, OUTLIERS: shape.outliers },
    label: `store ${store} landmark scores`,
    buffers: { q: query, rows: records, table: cache.lists.table, landmarks, outliers, products: scratch.products },
    params: (s: StepSizes) => ({
      ...listsOf(context, store),
      firstRow: firstRow(s),
      chunks: chunks(s),
      region: region(s),
      perPage: BLOCK_TOKENS / shape.chunk,
      span: span(s),
      stride,
      scale: 1 / Math.sqrt(E),
    }),
    grid: (s) => [ceilDiv(span(s), 4 * WG), G, count(s)],
    bytes: (s) => count(s) * (2 * G * E + 4 * H) * span(s),
    flops: (s) => 2 * count(s) * H * E * span(s),
  });
}

function rank(
  context: SystemContext,
  shape: ShadowShape,
  store: number,
  { count, span }: Choosers,
): AnyDispatch<StepSizes> {
  const { heads: H, kvHeads: G } = context.model;
  const { scratch, chunks: stride } = stateOf(context, shape);
  return dispatch({
    kernel: shadow_rank,
    constants: { WG: threadsOf(context).together, G, R: H / G },
    label: `store ${store} chunk weights`,
    buffers: { products: scratch.products, ranks: scratch.ranks },
    params: (s: StepSizes) => ({ span: span(s), stride }),
    grid: (s) => [G, count(s), 1],
    bytes: (s) => 8 * count(s) * H * span(s),
    flops: (s) => 4 * count(s) * H * span(s),
  });
}

function choose(
  context: SystemContext,
  shape: ShadowShape,
  store: number,
  { count, span }: Choosers,
  { buffer, list }: Choice,
): AnyDispatch<StepSizes> {
  const { kvHeads: G } = context.model;
  const { scratch, chunks: stride } = stateOf(context, shape);
  const { selected } = shape;
  return dispatch({
    kernel: top_slots,
    constants: { WG: threadsOf(context).together },
    label: `store ${store} chunks wanted`,
    buffers: { scores: scratch.ranks, keep: buffer },
    params: (s: StepSizes) => ({
      first: 0,
      stride,
      slots: span(s),
      count: Math.min(selected, span(s)),
      column: list(s),
      keepStride: selected,
    }),
    grid: (s) => [G * count(s), 1, 1],
    bytes: (s) => 4 * G * count(s) * (6 * span(s) + selected),
    flops: () => 0,
  });
}

function plan(
  context: SystemContext,
  shape: ShadowShape,
  store: number,
  { firstRow, count }: Choosers,
): AnyDispatch<StepSizes> {
  const { cache, model, records } = context;
  const { stores, scratch, chunks } = stateOf(context, shape);
  const { kvHeads: G } = model;
  const { wanted, moves } = scratch;
  return dispatch({
    kernel: shadow_plan,
    constants: { WG: threadsOf(context).together, G, SELECTED: shape.selected, WORDS: ceilDiv(chunks, 32) },
    label: `store ${store} missing chunks`,
    buffers: { rows: records, table: cache.lists.table, wanted, resident: stores[store]!.resident, moves },
    params: (s: StepSizes) => ({ ...listsOf(context, store), firstRow: firstRow(s) }),
    grid: (s) => [G, count(s), 1],
    bytes: (s) => 20 * count(s) * G * shape.selected,
    flops: () => 0,
  });
}

function recall(
  context: SystemContext,
  shape: ShadowShape,
  store: number,
  { firstRow, count }: Choosers,
): AnyDispatch<StepSizes> {
  const { cache, model, records } = context;
  const rope = context.ropeOf(store);
  const { kvHeads: G, headWidth: E } = model;
  const { stores, scratch, capacity } = stateOf(context, shape);
  const { factors, up, values } = stores[store]!;
  const { chunk: CHUNK, rank: RANK, outliers: OUTLIERS, selected: SELECTED, valueBits: V_BITS, group: GROUP } = shape;
  const { lanes: LANES, movers } = threadsOf(context);
  const workgroups = Math.min(SELECTED, movers);
  const constants = { LANES, E, G, KV_BITS: cache.written.bits };
  const kv = cache.privateArena!.buffers[cache.bundleOf(store)]!;
  // At most: how many are missing is on the GPU.
  const tokens = (s: StepSizes) => count(s) * G * SELECTED * CHUNK;
  return dispatch({
    kernel: shadow_recall,
    constants: { ...constants, V_BITS, GROUP, RANK, OUTLIERS, SELECTED, CHUNK },
    label: `store ${store} recall`,
    buffers: { rows: records, table: cache.lists.table, moves: scratch.moves, factors, up, rope, values, kv },
    params: (s: StepSizes) => ({ ...listsOf(context, store), firstRow: firstRow(s), capacity, workgroups }),
    grid: (s) => [workgroups, G, count(s)],
    bytes: (s) => tokens(s) * (2 * RANK + (E * (V_BITS + 2 * cache.written.bits)) / 8),
    flops: (s) => 2 * tokens(s) * RANK * E,
  });
}

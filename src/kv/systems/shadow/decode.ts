// What each decoded row does before its attention: score the landmarks, choose chunks, and bring those that are missing into
// the private pages. Also the choice at a prompt's end, by its last query. Nothing of it waits for the CPU but `values=host-sync`.
import { ceilDiv } from "../../../errors.ts";
import { shadow_plan, shadow_rank, shadow_scores, top_slots } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { StepSizes, SystemContext } from "../../system.ts";
import { recall } from "./recall.ts";
import { type Choosers, decodingRows, listsOf, threadsOf } from "./rows.ts";
import { serverOf } from "./serve.ts";
import { landmarkWords, type ShadowShape } from "./shape.ts";
import { stateOf } from "./state.ts";

/** Where the chosen chunks of list 0 go. */
export interface Choice {
  buffer: GPUBuffer;
  list: (sizes: StepSizes) => number;
}

/** Rows that decode choose by what the heads of their lists say. */
const decoding = (context: SystemContext, { chunk }: ShadowShape): Choosers => ({
  firstRow: () => 0,
  count: (s) => decodingRows(context, s),
  chunks: () => 0,
  region: () => 0,
  span: ({ pagesGivenUp }) => (pagesGivenUp * BLOCK_TOKENS) / chunk,
});

/**
 * The chunks that `layer` wants of the prompts of decoding rows come to the store's private pages: at once, or where values
 * come late, before the next step.
 */
export function recallChunks(context: SystemContext, shape: ShadowShape, layer: number): AnyDispatch<StepSizes>[] {
  const store = context.cache.shape.layout.reads[layer]!;
  const { scratch } = stateOf(context, shape);
  const rows = decoding(context, shape);
  const chosen = [
    ...chooseChunks(context, shape, store, rows, { buffer: scratch.wanted, list: () => 0 }),
    plan(context, shape, layer, rows),
  ];
  if (shape.host === "late") return chosen;
  const back = recall(context, shape, store, rows, () => 0);
  if (shape.host === null) return [...chosen, back];
  const awaits = {
    when: (s: StepSizes) => decodingRows(context, s) > 0,
    work: (s: StepSizes) => serverOf(context, shape).bringNow(store, decodingRows(context, s)),
  };
  return [...chosen, { ...back, awaits }];
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
  const { stores, scratch } = stateOf(context, shape);
  const { landmarks, outliers } = stores[store]!;
  const WG = threadsOf(context).alone;
  return dispatch({
    kernel: shadow_scores,
    constants: { WG, E, G, R: H / G, OUTLIERS: shape.outliers, BITS: shape.keyBits },
    label: `store ${store} landmark scores`,
    buffers: {
      q: query,
      rows: records,
      table: cache.lists.table,
      landmarks: landmarks.buffer,
      outliers,
      products: scratch.products,
    },
    params: (s: StepSizes) => ({
      ...listsOf(context, store),
      firstRow: firstRow(s),
      chunks: chunks(s),
      region: region(s),
      perPage: BLOCK_TOKENS / shape.chunk,
      span: span(s),
      room: landmarks.room,
      stride: scratch.chunks,
      scale: context.attentionScale,
    }),
    grid: (s) => [ceilDiv(span(s), 4 * WG), G, count(s)],
    bytes: (s) => count(s) * (4 * landmarkWords(shape, G) + 4 * H) * span(s),
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
  const { scratch } = stateOf(context, shape);
  return dispatch({
    kernel: shadow_rank,
    constants: { WG: threadsOf(context).together, G, R: H / G },
    label: `store ${store} chunk weights`,
    buffers: { products: scratch.products, ranks: scratch.ranks },
    params: (s: StepSizes) => ({ span: span(s), stride: scratch.chunks }),
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
  const { scratch } = stateOf(context, shape);
  const { selected } = shape;
  return dispatch({
    kernel: top_slots,
    constants: { WG: threadsOf(context).together },
    label: `store ${store} chunks wanted`,
    buffers: { scores: scratch.ranks, keep: buffer },
    params: (s: StepSizes) => ({
      first: 0,
      stride: scratch.chunks,
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
  layer: number,
  { firstRow, count }: Choosers,
): AnyDispatch<StepSizes> {
  const { cache, model, records } = context;
  const store = cache.shape.layout.reads[layer]!;
  const { stores, scratch, mostChunks, tally } = stateOf(context, shape);
  const { kvHeads: G } = model;
  const { resident, moves } = stores[store]!;
  return dispatch({
    kernel: shadow_plan,
    constants: { WG: threadsOf(context).together, G, SELECTED: shape.selected, WORDS: ceilDiv(mostChunks, 32) },
    label: `store ${store} missing chunks`,
    buffers: { rows: records, table: cache.lists.table, wanted: scratch.wanted, resident, tally, moves },
    params: (s: StepSizes) => ({
      ...listsOf(context, store),
      firstRow: firstRow(s),
      tally: layer * cache.shape.sequences * G,
    }),
    grid: (s) => [G, count(s), 1],
    bytes: (s) => 20 * count(s) * G * shape.selected,
    flops: () => 0,
  });
}

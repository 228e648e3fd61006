// What runs with a chunk of a prompt of which some tokens go: scores of its tokens, and after its attention the choice of those that
// stay of all so far, each of which comes to a slot of one that goes.
import { alignUp } from "../../../errors.ts";
import { locret_keep, locret_scores } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import { BLOCK_TOKENS, blocksFor } from "../../blocks.ts";
import type { KvCache } from "../../cache.ts";
import { columnOf } from "../../layout.ts";
import type { PromptEndSizes, StepSizes, SystemContext } from "../../system.ts";
import { weightCount } from "./weights.ts";

/** One workgroup chooses for a list. */
const CHOICE_THREADS = 256;
/** Tokens of a workgroup that scores. */
const TOKENS = 8;

export interface Shape {
  budget: number;
  stabilisers: number;
  chunkTokens: number;
}

/** What is known of the tokens of each list, of the one prompt that is being read; made once per engine. */
interface Known {
  /** [columns, stride] f32: scores of the slots kept, from `room` on of the chunk. */
  scores: GPUBuffer;
  /** [columns, stride] u32: numbers of the tokens in those slots; from `room` on scratch. */
  numbers: GPUBuffer;
  room: number;
  stride: number;
}

const made = new WeakMap<KvCache, Known>();

function knownOf({ gpu, cache, model }: SystemContext, { budget, chunkTokens }: Shape): Known {
  const known = made.get(cache);
  if (known) return known;
  const room = alignUp(budget, BLOCK_TOKENS);
  const stride = room + chunkTokens;
  const bytes = 4 * cache.shape.layout.stores * model.kvHeads * stride;
  const fresh = {
    scores: gpu.buffer("scores of tokens", bytes, "scratch"),
    numbers: gpu.buffer("numbers of tokens", bytes, "scratch"),
    room,
    stride,
  };
  made.set(cache, fresh);
  return fresh;
}

/** Tokens of the prompt before the chunk. */
const beforeOf = ({ tokens, rows }: PromptEndSizes): number => tokens - rows;

/** A layer's head, and the store that the layer fills. */
export interface Head {
  layer: number;
  store: number;
  /** Of all layers, one after another. */
  weights: GPUBuffer;
  hidden: number;
}

/** Scores of the chunk's tokens, once their keys and values are written. One dispatch per arena that holds some. */
export function scoreTokens(context: SystemContext, shape: Shape, head: Head): AnyDispatch<StepSizes>[] {
  const { cache, model, query } = context;
  const { layer, store, weights, hidden } = head;
  const { heads: H, kvHeads: G, headWidth: E } = model;
  const { scores, room, stride } = knownOf(context, shape);
  const { lists } = cache;
  const perToken = weightCount(model);
  return cache.writtenArenasOf(store).map((arena) =>
    dispatch({
      kernel: locret_scores,
      constants: { E, H, G, KV_BITS: cache.written.bits, HIDDEN: hidden },
      label: `layer ${layer} scores of tokens`,
      buffers: {
        q: query,
        table: lists.table,
        source: arena.buffers[cache.bundleOf(store)]!,
        rope: context.ropeOf(store),
        weights,
        scores,
      },
      params: (s: StepSizes) => ({
        listLength: lists.listLength,
        columns: cache.columns,
        column: columnOf(store, G),
        row: s.promptEnd?.sequence ?? 0,
        arena: arena.number,
        firstRow: s.rows - (s.promptEnd?.rows ?? 0),
        first: s.promptEnd ? beforeOf(s.promptEnd) : 0,
        weightAt: layer * perToken,
        stride,
        room,
      }),
      grid: ({ promptEnd }) => (promptEnd ? [promptEnd.rows / TOKENS, 1, 1] : [0, 0, 0]),
      bytes: ({ promptEnd }) => (4 * (promptEnd?.rows ?? 0) * perToken) / TOKENS,
      flops: ({ promptEnd }) => 2 * (promptEnd?.rows ?? 0) * perToken,
    }),
  );
}

/** Which tokens a store's lists keep, of those kept before and the chunk. */
export function chooseTokens(context: SystemContext, shape: Shape, store: number): AnyDispatch<StepSizes> {
  const { model, keep, keepStride } = context;
  const { scores, numbers, room, stride } = knownOf(context, shape);
  const G = model.kvHeads;
  return dispatch({
    kernel: locret_keep,
    constants: { WG: CHOICE_THREADS },
    label: `store ${store} tokens that stay`,
    buffers: { scores, numbers, keep },
    params: ({ promptEnd }: StepSizes) => ({
      column: columnOf(store, G),
      stride,
      numberStride: stride,
      keepStride,
      room,
      ...(promptEnd ? partOf(promptEnd, shape) : NOTHING),
    }),
    grid: ({ promptEnd }) => (promptEnd ? [G, 1, 1] : [0, 0, 0]),
    bytes: ({ promptEnd }) => 4 * G * (20 * (promptEnd?.rows ?? 0) + 20 * (promptEnd?.kept ?? 0)),
    flops: () => 0,
  });
}

const NOTHING = { kept: 0, fresh: 0, count: 0, begins: 0, safe: 0, listed: 0 };

function partOf(end: PromptEndSizes, { budget, stabilisers }: Shape): typeof NOTHING {
  const before = beforeOf(end);
  const kept = Math.min(budget, before);
  return {
    kept,
    fresh: end.rows,
    count: end.kept,
    begins: before,
    safe: end.more ? Math.max(0, end.tokens - stabilisers) : end.tokens,
    listed: BLOCK_TOKENS * blocksFor(kept),
  };
}

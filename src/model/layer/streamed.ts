// Where prompts are streamed past the boundary: what enters its layer goes into blocks, and at a prompt's end the keys and values
// of one later store after another are made from it. docs/architecture.md, "Streaming".
import { ceilDiv } from "../../errors.ts";
import { keep_inputs, take_inputs } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import type { BlockArena } from "../../kv/arena.ts";
import { BLOCK_TOKENS } from "../../kv/blocks.ts";
import { readersOf } from "../../kv/systems/swiftkv/layout.ts";
import type { ModelContext } from "../context.ts";
import type { Sizes } from "../ops/sizes.ts";
import { projectQkv } from "./qkv.ts";

/** Where the list of inputs is. */
const listsOf = ({ cache }: ModelContext) => ({
  column: cache.inputColumn,
  columns: cache.columns,
  listLength: cache.lists.listLength,
  tableAt: cache.lists.tableAt,
});

const constantsOf = ({ config, cache, profile }: ModelContext) => ({
  D: config.hiddenSize,
  BITS: cache.streamed!.shape.inputs.bits,
  WG: profile.normThreads,
});

/** What enters the boundary's layer, of every row. */
export function keepInputs(model: ModelContext): AnyDispatch<Sizes>[] {
  const { cache, activations, spans, config } = model;
  return (cache.streamed?.inputs ?? []).map((arena) =>
    dispatch({
      kernel: keep_inputs,
      constants: constantsOf(model),
      label: "keep inputs",
      buffers: { x: activations.hidden, rows: cache.lists.inputs, kept: arena.buffers[0]! },
      params: () => ({ ...listsOf(model), rowAt: spans.lower.first, arena: arena.number }),
      grid: ({ rows }: Sizes) => [rows, 1, 1],
      bytes: ({ rows }) => rows * (4 * config.hiddenSize + (arena.pageWords * 4) / BLOCK_TOKENS),
      flops: ({ rows }) => 2 * rows * config.hiddenSize,
    }),
  );
}

/** Consecutive tokens of those that a step makes. */
interface Tile {
  first: number;
  most: number;
}

const inTile = ({ first, most }: Tile, { made }: Sizes): number =>
  made ? Math.max(0, Math.min(most, made.to - made.from - first)) : 0;

/** Before the first layer that reads a later store: its keys and values of the tokens that the step makes. */
export function makeStore(model: ModelContext, layer: number): AnyDispatch<Sizes>[] {
  const { cache, spans } = model;
  const store = cache.shape.layout.reads[layer]!;
  if (!cache.streamed || readersOf(cache.shape.layout, store)[0] !== layer) return [];
  const most = spans.taken.count;
  const tiles = Array.from({ length: ceilDiv(cache.room.blocks * BLOCK_TOKENS, most) }, (_, i) => ({
    first: i * most,
    most,
  }));
  return tiles.flatMap((tile) => [
    ...cache.streamed!.inputs.map((arena) => takeInputs(model, arena, tile)),
    ...projectTile(model, store, tile),
  ]);
}

function takeInputs(model: ModelContext, arena: BlockArena, tile: Tile): AnyDispatch<Sizes> {
  const { cache, activations, spans, config } = model;
  return dispatch({
    kernel: take_inputs,
    constants: constantsOf(model),
    label: "take inputs",
    buffers: { rows: cache.lists.inputs, kept: arena.buffers[0]!, x: activations.normed },
    params: ({ made }: Sizes) => ({
      ...listsOf(model),
      recordAt: spans.taken.first,
      first: (made?.from ?? 0) + tile.first,
      sequence: made?.sequence ?? 0,
      arena: arena.number,
    }),
    grid: (s) => [inTile(tile, s), 1, 1],
    bytes: (s) => inTile(tile, s) * (4 * config.hiddenSize + (arena.pageWords * 4) / BLOCK_TOKENS),
    flops: () => 0,
  });
}

/** As the boundary's layer projects rows, but of these tokens, and to one store. */
function projectTile(model: ModelContext, store: number, tile: Tile): AnyDispatch<Sizes>[] {
  const { weights, activations, spans, cache } = model;
  const layer = cache.shape.layout.boundary;
  return projectQkv(model, Infinity, {
    layer,
    qkv: weights.layers[layer]!.qkv,
    range: "keysValues",
    rowAt: spans.taken.first,
    rows: (s) => inTile(tile, s),
    store,
    input: activations.normed,
  });
}

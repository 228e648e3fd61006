// What ShadowKV keeps for one sequence, as a saved session has it: its map and chosen chunks, and of its region factors, landmarks
// and values, store after store. Rows of the same buffer lie as far apart as that cache has room for.
import type { Stretch } from "../../arena.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { StateAccess, SystemContext } from "../../system.ts";
import { serverOf } from "./serve.ts";
import { factorWords, landmarkWords, type ShadowShape, valueWords } from "./shape.ts";
import { type ShadowState, stateOf, type StoreState } from "./state.ts";

export const stateAccess = (context: SystemContext, shape: ShadowShape): StateAccess => ({
  stretches: (sequence, region, blocks) => {
    const state = stateOf(context, shape);
    const place = { sequence, region, blocks };
    return state.stores.flatMap((store) => [
      ...ofSequence(store, context, shape, place),
      ...ofRegion(store, state, { context, shape }, place),
    ]);
  },
  memory: (sequence, blocks) => (shape.host ? serverOf(context, shape).memory(sequence, blocks * BLOCK_TOKENS) : []),
});

interface Place {
  sequence: number;
  region: number;
  blocks: number;
}

/** `words` words of the entry `index` of a buffer of such entries. */
const entry = (buffer: GPUBuffer, words: number, index: number): Stretch => ({
  buffer,
  offset: 4 * words * index,
  bytes: 4 * words,
});

function ofSequence(
  { up, outliers, resident }: StoreState,
  { model: { kvHeads } }: SystemContext,
  shape: ShadowShape,
  { sequence }: Place,
): Stretch[] {
  return [
    entry(up, (shape.rank + 1) * shape.width, sequence),
    entry(outliers, kvHeads * shape.outliers, sequence),
    entry(resident, kvHeads * shape.selected, sequence),
  ];
}

function ofRegion(
  { factors, landmarks, values }: StoreState,
  { capacity, chunks }: ShadowState,
  { context, shape }: { context: SystemContext; shape: ShadowShape },
  { region, blocks }: Place,
): Stretch[] {
  const { kvHeads, headWidth } = context.model;
  const tokens = (words: number) => ({ from: region * BLOCK_TOKENS * words, words: blocks * BLOCK_TOKENS * words });
  /** `rows` rows of `stride` words, of each the part from word `from` on. */
  const rows = (buffer: GPUBuffer, count: number, stride: number, { from, words }: { from: number; words: number }) =>
    Array.from({ length: count }, (_, row) => ({ buffer, offset: 4 * (row * stride + from), bytes: 4 * words }));
  const value = valueWords(shape, headWidth);
  return [
    ...rows(factors, 1, 0, tokens(factorWords(shape))),
    ...rows(landmarks, landmarkWords(shape, kvHeads), chunks, tokens(1 / shape.chunk)),
    ...(values ? rows(values, kvHeads, capacity * value, tokens(value)) : []),
  ];
}

// What ShadowKV keeps for one sequence, as a saved session has it: its map and chosen chunks, and of its region factors, landmarks
// and values, store after store. Rows of the same buffer lie as far apart as that cache has room for.
import type { Stretch } from "../../arena.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { StateAccess, SystemContext } from "../../system.ts";
import { serverOf } from "./serve.ts";
import type { ShadowShape } from "./shape.ts";
import { stateOf, type StoreState } from "./state.ts";

export const stateAccess = (context: SystemContext, shape: ShadowShape): StateAccess => ({
  stretches: (sequence, region, blocks) => {
    const state = stateOf(context, shape);
    const place = { sequence, region, blocks };
    return state.stores.flatMap((store) => [
      ...ofSequence(store, context, shape, place),
      ...ofRegion(store, shape, place),
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
  { chunk }: ShadowShape,
  { region, blocks }: Place,
): Stretch[] {
  const [first, count] = [region * BLOCK_TOKENS, blocks * BLOCK_TOKENS];
  return [
    ...factors.stretches(first, count),
    ...landmarks.stretches(first / chunk, count / chunk),
    ...(values?.stretches(first, count) ?? []),
  ];
}

// What the system and its reference have in common: how many tokens stay, and which.
import { attendOne, type HeadView, type Model } from "../../reference.ts";
import { greedyReply } from "../greedy.ts";

/** Tokens at the end of a prompt that stay as they are, at least. */
const RECENT = 10;

/** Pages that a prompt of so many tokens gives up. */
export const liveFromOf = (tokens: number): number => Math.max(0, Math.floor((tokens - RECENT) / 32));

/** Tokens that a store's KV head keeps of `slots`. */
export const countOf = (budget: number, store: number, head: number, slots: number): number =>
  Math.min(slots, budget - 2 * store - 3 * head);

/** Positions of the tokens that stay of the pages given up. */
export const positionsOf = (count: number, slots: number): number[] =>
  Array.from({ length: count }, (_, j) => Math.floor((j * slots) / count));

/** The reply of the reference where queries after the prompt see what is left of it. */
export function stridedReply(model: Model, prompt: readonly number[], count: number, budget: number) {
  const { ownLayers, groupSize } = model.shape;
  const slots = liveFromOf(prompt.length) * 32;
  const storeOf = (owner: number) => (owner < ownLayers ? owner : ownLayers + (owner - ownLayers) / groupSize);
  const attendHead = ({ query, keys, values, owner, group, position }: HeadView) => {
    if (position < prompt.length || slots === 0) return attendOne(query, keys, values);
    const kept = positionsOf(countOf(budget, storeOf(owner), group, slots), slots);
    const some = (rows: readonly Float64Array[]) => [...kept.map((at) => rows[at]!), ...rows.slice(slots)];
    return attendOne(query, some(keys), some(values));
  };
  return greedyReply(model, prompt, count, { attendHead });
}

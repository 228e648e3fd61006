// What the system and its reference have in common: how many tokens stay, and which.

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

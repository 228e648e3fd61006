// How many tokens each list keeps of a prompt: numbers only. Early layers look at much of a prompt, late ones at little, so
// PyramidKV gives the first store most and each later one less; SnapKV is the case where all get the same.
import { alignUp, InputError } from "../../../errors.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";

export interface PyramidOptions {
  /** Tokens that a list keeps of a prompt, on average; the exact ones at its end count. */
  budget: number;
  /** Tokens at the end of the prompt whose queries decide, and which stay at least. */
  window: number;
  /** The average over what the last store gets; 1: all get the same. */
  beta: number;
}

/**
 * [stores] tokens to choose: on a line from the first store to the last, `average` in the middle, `average` / beta at the
 * end. No store can choose more than `most`, the tokens there are: then the line begins there and falls less. Rounded down,
 * and what is left of stores · average goes to the largest remainders, the earlier store first.
 */
export function schedule(stores: number, average: number, most: number, beta: number): number[] {
  const first = Math.min(2 * average - average / beta, most);
  const line = Array.from({ length: stores }, (_, store) => onLine(stores, store, average, first));
  const counts = line.map(Math.floor);
  const missing = stores * average - counts.reduce((sum, count) => sum + count, 0);
  const remainder = (store: number) => line[store]! - counts[store]!;
  const order = [...counts.keys()].sort((a, b) => remainder(b) - remainder(a) || a - b);
  for (const store of order.slice(0, missing)) counts[store]!++;
  return counts;
}

/** From `first` down to as far below the average. */
const onLine = (stores: number, store: number, average: number, first: number): number =>
  stores === 1 ? average : first - (2 * (first - average) * store) / (stores - 1);

/** Pages that a prompt gives up: of those that remain, the first holds the first token of the window, or one before it. */
export const pagesGivenUp = (tokens: number, window: number): number =>
  Math.max(0, Math.floor((tokens - window) / BLOCK_TOKENS));

/**
 * [stores] tokens that each list of a store keeps of the pages given up, or null: the whole prompt fits into the budget. A
 * prompt shorter than what two stores choose on average is too short for a slope: all stores get the same.
 */
export function chosenTokens(tokens: number, stores: number, options: PyramidOptions): number[] | null {
  const { budget, window, beta } = options;
  if (tokens <= budget) return null;
  const slots = pagesGivenUp(tokens, window) * BLOCK_TOKENS;
  const average = budget - (tokens - slots);
  return schedule(stores, average, slots, tokens < 2 * average ? 1 : beta);
}

/**
 * [stores] most tokens that a list ever keeps: the slope of a long prompt, or the average of a short one. Rounded up to few
 * different sizes, because stores whose buffers are of one size share their pipelines where lengths are fixed.
 */
export function mostChosen(stores: number, { budget, window, beta }: PyramidOptions): number[] {
  const average = budget - window;
  const steepest = (store: number) => Math.ceil(onLine(stores, store, average, 2 * average - average / beta));
  const step = alignUp(steepest(0) / 4, BLOCK_TOKENS);
  return Array.from({ length: stores }, (_, store) => alignUp(Math.max(average, steepest(store)), step));
}

/**
 * The exact part ends with the prompt and begins with a page: window … window + 31 tokens, which count towards the budget. A
 * budget of 32 more than the window leaves at least one token to choose, so that the budget is met for every prompt.
 */
export function checkBudget(name: string, { budget, window }: Pick<PyramidOptions, "budget" | "window">): void {
  const least = window + BLOCK_TOKENS;
  if (budget >= least) return;
  throw new InputError(
    `kv: ${name}:budget; got ${budget} with window=${window}, want at least ${least}: up to ${least - 1} tokens at a prompt's end stay as they are, and count. Take a larger budget or a smaller window.`,
  );
}

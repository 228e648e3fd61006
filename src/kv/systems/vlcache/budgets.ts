// How many tokens each list keeps of a prompt: numbers only. Layers whose queries look at much keep much.
import { BLOCK_TOKENS } from "../../blocks.ts";

/** Of the tokens that a prompt keeps, the last ones stay as they are. */
const RECENT = 0.1;
/** Of a prompt, that every layer keeps at least. */
const LEAST = 0.01;
/** Of the average, that a layer chooses at most: private pages for it are allocated at load. */
const MOST = 2;

/** What is known of a prompt by its length. */
export interface Part {
  /** Pages given up; those that remain begin before the recent tokens. */
  pages: number;
  /** Tokens that a list chooses of them: on average, at least and at most. */
  average: number;
  least: number;
  most: number;
}

/** Null where all of the prompt stays. */
export function partOf(tokens: number, keep: number): Part | null {
  const recent = Math.max(1, Math.ceil(RECENT * keep * tokens));
  const pages = Math.floor((tokens - recent) / BLOCK_TOKENS);
  const slots = pages * BLOCK_TOKENS;
  const average = Math.max(1, Math.round(keep * tokens) - (tokens - slots));
  if (pages <= 0 || average >= slots) return null;
  const least = Math.min(average, Math.ceil(LEAST * tokens));
  return { pages, average, least, most: Math.min(slots, MOST * average) };
}

/**
 * [stores] tokens to choose, in proportion to densities, stores · average in all. Where a share is above the most or below the
 * least, the others have what is left; rounded down, and the rest to the largest remainders, the earlier store first.
 */
export function budgets(densities: readonly number[], { average, least, most }: Part): number[] {
  const shares = bounded(densities, densities.length * average, { least, most });
  const counts = shares.map(Math.floor);
  const missing = densities.length * average - counts.reduce((sum, count) => sum + count, 0);
  const remainder = (store: number) => shares[store]! - counts[store]!;
  const order = [...counts.keys()].sort((a, b) => remainder(b) - remainder(a) || a - b);
  for (const store of order.slice(0, missing)) counts[store]!++;
  return counts;
}

function bounded(weights: readonly number[], total: number, { least, most }: Pick<Part, "least" | "most">): number[] {
  const fixed = new Map<number, number>();
  while (true) {
    const open = [...weights.keys()].filter((i) => !fixed.has(i));
    const left = total - [...fixed.values()].reduce((sum, share) => sum + share, 0);
    const sum = open.reduce((before, i) => before + weights[i]!, 0);
    const share = (i: number) => (left * weights[i]!) / sum;
    const over = open.filter((i) => share(i) > most);
    const beyond = over.length > 0 ? over : open.filter((i) => share(i) < least);
    if (beyond.length === 0) return weights.map((_, i) => fixed.get(i) ?? share(i));
    for (const i of beyond) fixed.set(i, over.length > 0 ? most : least);
  }
}

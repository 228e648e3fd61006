// How many tokens each list keeps of a prompt: numbers only.
import { BLOCK_TOKENS, blocksFor } from "../../blocks.ts";

/** Pages that a prompt gives up. At least its last token stays as it is: a later prompt can go on from there. */
export const pagesGivenUp = (tokens: number): number => Math.floor((tokens - 1) / BLOCK_TOKENS);

/** A part of a prompt, being repeated behind it. */
export interface Repeating {
  /** Tokens of the prompt; of those that the rows repeat the first, and the first behind the last; those that steps before have repeated. */
  tokens: number;
  from: number;
  end: number;
  start: number;
  rows: number;
}

/**
 * Pages of the list that rows are scored over: the first one, where heads look that look at nothing; those of the part; and those that
 * the rows lie in. `scored`: of these, the first so many are the prompt's; `joins`: pages that earlier steps have scored.
 */
export function pagesOf({ tokens, from, end, start, rows }: Repeating) {
  const own = Math.floor(tokens / BLOCK_TOKENS);
  const whole = (count: number) => Math.min(own, blocksFor(count));
  const first = Math.min(own, Math.max(1, Math.floor(from / BLOCK_TOKENS)));
  const last = Math.max(first, whole(end));
  return {
    pages: blocksFor(tokens + rows),
    gapAt: 1,
    gap: first - 1,
    endAt: 1 + last - first,
    endGap: own - last,
    scored: 1 + last - first,
    joins: whole(start),
  };
}

/**
 * Tokens that each list keeps of the pages given up, so that with those at the end it has ⌈keep·tokens⌉ of the prompt, one of those
 * pages at least; null: the whole prompt stays.
 */
export function chosenTokens(tokens: number, keep: number): number | null {
  const slots = pagesGivenUp(tokens) * BLOCK_TOKENS;
  const chosen = Math.max(1, Math.ceil(keep * tokens - ROUNDING) - (tokens - slots));
  return slots === 0 || chosen >= slots ? null : chosen;
}

/** So that 0.4 of 40 are 16. */
const ROUNDING = 1e-9;

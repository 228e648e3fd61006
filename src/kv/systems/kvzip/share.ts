// How many tokens each list keeps of a prompt: numbers only.
import { BLOCK_TOKENS } from "../../blocks.ts";

/** Pages that a prompt gives up. At least its last token stays as it is: a later prompt can go on from there. */
export const pagesGivenUp = (tokens: number): number => Math.floor((tokens - 1) / BLOCK_TOKENS);

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

// What ShadowKV keeps of a prompt, in numbers: chunks, rank, bytes. docs/shadowkv.md has the formulas.
import type { KvModel } from "../../../api.ts";
import { ceilDiv } from "../../../errors.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";

/** The options of a recipe for one model: every number is known. */
export interface ShadowShape {
  /** Tokens of a chunk, a divisor of a page's. */
  chunk: number;
  /** Chunks of each list that are always there: those that a mean stands for least well, and the first. */
  outliers: number;
  /** Chunks of each list that are there because the last query asked for them. */
  selected: number;
  /** Tokens at a prompt's end that stay as they are, at least. */
  local: number;
  /** Factors of a token in each store; all KV heads share them. A multiple of 4. */
  rank: number;
  /** Channels of all KV heads together. */
  width: number;
  /** Bits of a kept value; where it has fewer than 16, `group` channels share a scale and a minimum. */
  valueBits: 16 | 8 | 4;
  group: number;
}

/** Bytes of a 32-bit word. */
const WORD = 4;

/** Pages of a prompt that are given up; the rest, `local` tokens and up to 31 more, stays as it is. */
export const pagesGivenUp = (tokens: number, { local }: ShadowShape): number =>
  Math.max(0, Math.floor((tokens - local) / BLOCK_TOKENS));

/** Chunks of the pages given up. */
export const chunksOf = (tokens: number, shape: ShadowShape): number =>
  (pagesGivenUp(tokens, shape) * BLOCK_TOKENS) / shape.chunk;

/** Tokens of a list in private pages. */
export const keptTokens = ({ outliers, selected, chunk }: ShadowShape): number => (outliers + selected) * chunk;

/** Words of a kept value of one KV head: numbers, then a pair (scale, minimum) for each group. */
export const valueWords = ({ valueBits, group }: ShadowShape, headWidth: number): number =>
  (headWidth * valueBits) / 32 + (valueBits < 16 ? headWidth / group : 0);

/** Bytes of a store, of one token and of all. */
export function storeBytes(shape: ShadowShape, { kvHeads, headWidth }: KvModel): { token: number; fixed: number } {
  const { rank, width, chunk } = shape;
  const landmark = (width / 2) * WORD;
  return {
    token: (rank / 2) * WORD + kvHeads * valueWords(shape, headWidth) * WORD + landmark / chunk,
    fixed: (rank + 1) * width * WORD + kvHeads * (shape.outliers + shape.selected) * WORD,
  };
}

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/** Channels of a value that share a scale, at most; they divide the head. */
const MOST_GROUP = 32;

export const groupOf = (headWidth: number): number => divisor(headWidth, MOST_GROUP);

/** A quarter of the keys' width, as far as that is not too few. */
const LEAST_RANK = 32;
/** Contexts up to this length do with half of what longer ones are given. */
const SHORT_CONTEXT = 8192;

export const defaultRank = (width: number): number => Math.min(width, Math.max(LEAST_RANK, 2 * ceilDiv(width, 8)));

export const defaultBudget = ({ context }: KvModel): number => (context <= SHORT_CONTEXT ? 512 : 1024);

// What ShadowKV keeps of a prompt, in numbers: chunks, rank, bytes. docs/shadowkv.md has the formulas.
import type { KvModel } from "../../../api.ts";
import { ceilDiv } from "../../../errors.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { StateBytes } from "../../system.ts";

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
  /** Last tokens of a reply that stay as they are, at least; null: all of it. */
  reply: number | null;
  /** Factors of a token in each store; all KV heads share them. A multiple of 4. */
  rank: number;
  /** Channels of all KV heads together. */
  width: number;
  /** Bits of a factor and of a number of a landmark: what stands for keys. */
  keyBits: 16 | 8;
  /** Bits of a kept value; where it has fewer than 16, `group` channels share a scale and a minimum. */
  valueBits: 16 | 8 | 4;
  group: number;
  /** Values are in JavaScript's memory: what a token misses comes before the next token, or (`sync`) before its own attention. */
  host: "late" | "sync" | null;
}

/** Bytes of a 32-bit word. */
const WORD = 4;

/** Pages of a prompt that are given up; the rest, `local` tokens and up to 31 more, stays as it is. */
export const pagesGivenUp = (tokens: number, { local }: ShadowShape): number =>
  Math.max(0, Math.floor((tokens - local) / BLOCK_TOKENS));

/**
 * Of so many pages, the first ones, at least four fifths: their keys alone say which directions are kept. It is a step of a
 * quarter of a power of two, so a later turn mostly finds that the same pages count, and is then what a fresh engine makes.
 */
export function basePages(pages: number): number {
  const step = Math.max(1, 2 ** Math.floor(Math.log2(Math.max(1, pages))) / 4);
  return Math.floor(step * Math.floor(pages / step));
}

/** Chunks of the pages given up. */
export const chunksOf = (tokens: number, shape: ShadowShape): number =>
  (pagesGivenUp(tokens, shape) * BLOCK_TOKENS) / shape.chunk;

/** Tokens of a list in private pages. */
export const keptTokens = ({ outliers, selected, chunk }: ShadowShape): number => (outliers + selected) * chunk;

/** Words of a token's factors. */
export const factorWords = ({ rank, keyBits }: ShadowShape): number => (rank * keyBits) / 32;

/** Words of a chunk's landmarks; codes of 8 bits have a scale and a minimum for each KV head. */
export const landmarkWords = ({ width, keyBits }: ShadowShape, kvHeads: number): number =>
  (width * keyBits) / 32 + (keyBits === 8 ? kvHeads : 0);

/** Words of a kept value of one KV head: numbers, then a pair (scale, minimum) for each group. */
export const valueWords = ({ valueBits, group }: ShadowShape, headWidth: number): number =>
  (headWidth * valueBits) / 32 + (valueBits < 16 ? headWidth / group : 0);

/** Bytes on the GPU of what stands for a prompt in all stores. */
export function stateBytesOf(shape: ShadowShape, { kvHeads, headWidth }: KvModel, stores: number): StateBytes {
  const { rank, width, chunk } = shape;
  const values = shape.host ? 0 : kvHeads * valueWords(shape, headWidth);
  const token = factorWords(shape) + values + landmarkWords(shape, kvHeads) / chunk;
  const fixed = (rank + 1) * width + kvHeads * (shape.outliers + shape.selected);
  return { block: stores * BLOCK_TOKENS * WORD * token, prompt: stores * WORD * fixed };
}

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/** Channels of a value that share a scale, at most; they divide the head. */
const MOST_GROUP = 64;

export const groupOf = (headWidth: number): number => divisor(headWidth, MOST_GROUP);

/** A quarter of the keys' width, as far as that is not too few. */
const LEAST_RANK = 32;
/** Contexts up to this length do with half of what longer ones are given. */
const SHORT_CONTEXT = 8192;

export const defaultRank = (width: number): number => Math.min(width, Math.max(LEAST_RANK, 2 * ceilDiv(width, 8)));

export const defaultBudget = ({ context }: KvModel): number => (context <= SHORT_CONTEXT ? 512 : 1024);

// How a cache is shared out: what it has room for, what a block costs, and which part of a prompt stays.
import { BLOCK_TOKENS } from "./blocks.ts";
import type { PageFormat } from "./format.ts";
import type { StreamedPlan } from "./later.ts";

/** Storage for blocks in one format. */
export interface Tier {
  format: PageFormat;
  blocks: number;
}

/** The part of a prompt that is kept, in private pages: what it held of its first blocks besides is released. */
export interface Retention {
  /** [columns] tokens kept in each list of those before page `liveFrom`; ceil(tokens / 32) ≤ liveFrom. */
  tokens: readonly number[];
  /** Where that is found out at the prompt's end: [columns] the most; `tokens` is what they keep together, spread evenly. */
  most?: readonly number[];
  /** Pages before this one are given up; those from it on stay as they are. 0: all stay, and only what follows is the sequence's own. */
  liveFrom: number;
}

/** Private pages, and what stands for prompts beside them. */
export interface PrivatePages {
  /** [stores] private pages. */
  stores: readonly number[];
  /** KV heads that share those of a store. */
  kvHeads: number;
  /** Blocks of prompts that a system's state has room for; null where no system has one. */
  stateBlocks: number | null;
}

/**
 * What stands for a page is made once all its tokens are more than `after` tokens old, and the page goes `within` tokens later: a
 * step makes one at most, so this gives every sequence its turn, and no reply depends on what decodes beside it.
 */
export interface Retirement {
  after: number;
  within: number;
}

/** What the engine must know of a cache to share it out. */
export interface CachePlan {
  /** Tokens of context of all sequences together. */
  context: number;
  /** Blocks by tier. With a second tier, a block goes there once all its tokens are older than `recent`. */
  tiers: readonly number[];
  recent: number;
  /** What a sequence seals is its own: the block stays in the tree as it was. */
  sealsApart: boolean;
  /** The last chunk of a prompt has at least so many rows, and all of them run every layer. */
  windowRows: number;
  /** Before a part of a prompt is chosen, the sequence repeats it, in steps of at most `windowRows` rows; later turns go on from that part. */
  repeats: boolean;
  /** A prompt of which a part is kept gives up the others after every chunk of so many tokens, whole pages; 0: at its end. */
  chunkTokens: number;
  /** Null where nothing is kept in private. */
  privatePages: PrivatePages | null;
  /** [tiers] bytes of a block, and bytes of a private page. */
  blockBytes: readonly number[];
  pageBytes: number;
  /** Bytes of what stands for a prompt beside its pages: for each block of its region, and for all. */
  stateBytes: { block: number; prompt: number };
  /** Set where prompts are streamed: blocks hold no keys and values of later stores. */
  streamed: StreamedPlan | null;
  /** What is kept of a prompt of `tokens` tokens; null: all of it. */
  retain: (tokens: number) => Retention | null;
  /** What stands for so many blocks of a prompt rests on the first of them, as many as this says. */
  baseBlocks: (blocks: number) => number;
  /** Which pages of a reply after such a prompt retire; null: none. */
  retiring: Retirement | null;
}

/** What stays of the first `tokens` tokens, whole pages, of a prompt that gives up the others chunk by chunk. */
export const retainedOf = ({ tokens: most }: Retention, tokens: number): Retention => ({
  tokens: most.map((count) => Math.min(count, tokens)),
  liveFrom: tokens / BLOCK_TOKENS,
});

/** Rows of a prompt's chunk, of those of a step: always so many, whatever decodes beside it, so that no result depends on it. */
export const chunkRowsOf = ({ rows, sequences }: { rows: number; sequences: number }): number => rows - sequences + 1;

/** Those of a prompt's deciding rows that one system wants: the last `most`. */
export function lastRows(
  end: { windowAt: number; windowRows: number } | null,
  most: number,
): { first: number; count: number } {
  const count = Math.min(most, end?.windowRows ?? 0);
  return { first: (end?.windowAt ?? 0) + (end?.windowRows ?? 0) - count, count };
}

/** A step that repeats a part of a prompt has at least so many rows: a part is led in by some. */
export const LEAST_REPEAT_ROWS = 48;

/** Rows behind a prompt of so many tokens that there must be room for. */
export const rowsToRepeat = ({ repeats, retain }: CachePlan, tokens: number): number =>
  repeats && retain(tokens) ? LEAST_REPEAT_ROWS : 0;

/** A cache of one tier that keeps everything. */
export const plainPlan = (blocks: number): CachePlan => ({
  context: blocks * BLOCK_TOKENS,
  tiers: [blocks],
  recent: Infinity,
  sealsApart: false,
  windowRows: 0,
  repeats: false,
  chunkTokens: 0,
  privatePages: null,
  blockBytes: [0],
  pageBytes: 0,
  stateBytes: { block: 0, prompt: 0 },
  streamed: null,
  retain: () => null,
  baseBlocks: (given) => given,
  retiring: null,
});

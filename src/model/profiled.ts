// The step that a profile measures.
import { BLOCK_TOKENS, blocksFor } from "../kv/blocks.ts";
import { chunkRowsOf } from "../kv/plan.ts";
import { type Batch, GREEDY, type Model } from "./model.ts";

/** A prompt chunk of `tokens` tokens, or one decoded token after `tokens` tokens of context: blocks from the first on. */
export function profiledBatch(
  { limits, cache }: Pick<Model, "limits" | "cache">,
  streamed: boolean,
  phase: "prefill" | "decode",
  tokens: number,
): Batch {
  const writable = cache.tiers[0]! * BLOCK_TOKENS;
  const count = phase === "prefill" ? Math.min(tokens, chunkRowsOf(limits)) : 1;
  const first = phase === "prefill" ? 0 : Math.min(tokens, writable - 1);
  const rows = Array.from({ length: count }, (_, i) => ({
    token: i % limits.vocabulary,
    position: first + i,
    cacheIndex: first + i,
    sequence: 0,
  }));
  const page = (_: unknown, index: number) => ({ index, block: index, later: streamed ? index : undefined });
  const last = { row: count - 1, sequence: 0, sampling: GREEDY, counter: 0, forced: null };
  return {
    rows,
    decodeRows: phase === "decode" ? 1 : 0,
    logitRows: [last],
    lists: [{ sequence: 0, enters: true, pages: Array.from({ length: blocksFor(first + count) }, page), kept: null }],
    moves: [],
    promptEnd: null,
    retiring: null,
    standing: [],
    made: streamed ? { sequence: 0, from: first, to: first + count } : null,
    arrivals: [],
  };
}

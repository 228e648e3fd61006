// The likelihood of a given text: all its tokens in chunks, each chunk with the logits of every row.
import type { Residence } from "../kv/residence.ts";
import { GREEDY, type LogitRow, type Model, type Row, type Sampled } from "../model/model.ts";

/**
 * Natural log-likelihood of every token given those before it; entry 0 is NaN. Uses sequence 0, so only while no request
 * runs. Leaves its blocks in the tree.
 */
export async function scoreText(
  model: Model,
  cache: Residence,
  tokens: readonly number[],
  signal?: AbortSignal,
): Promise<Float32Array> {
  const scores = new Float32Array(tokens.length).fill(NaN);
  const most = Math.min(model.limits.logitCount, model.limits.rows);
  try {
    while (cache.length < tokens.length) {
      signal?.throwIfAborted();
      const start = cache.length;
      const results = await scoreChunk(model, cache, tokens.slice(start, start + most), tokens);
      for (const [i, { logprob }] of results.entries())
        if (start + i + 1 < tokens.length) scores[start + i + 1] = logprob;
    }
    return scores;
  } finally {
    cache.dispose();
  }
}

async function scoreChunk(
  model: Model,
  cache: Residence,
  chunk: readonly number[],
  all: readonly number[],
): Promise<readonly Sampled[]> {
  const start = cache.length;
  const moves = [...cache.seal(cache.dueBlocks), ...cache.reserve(chunk.length)];
  const range = cache.complete(chunk.length);
  const made = range && { ...range, sequence: 0 };
  const lists = [{ sequence: 0, enters: start === 0, ...cache.takeEdits() }];
  const rows = chunk.map((token, i): Row => ({ token, position: start + i, cacheIndex: start + i, sequence: 0 }));
  const logitRows = rows.map((_, i): LogitRow => {
    const forced = all[start + i + 1] ?? all[0]!;
    return { row: i, sequence: 0, sampling: GREEDY, counter: 0, forced };
  });
  const { read } = await model.submit({
    rows,
    decodeRows: 0,
    logitRows,
    lists,
    moves,
    promptEnd: null,
    retiring: null,
    standing: [],
    made,
    arrivals: [],
  });
  const results = await read();
  cache.append(chunk); // only now: what a failed step was to compute must not be found
  return results;
}

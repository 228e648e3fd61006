// A model without a GPU. Its cache holds the tokens themselves, written through the page table exactly as the real one
// writes keys and values, and the next token is a hash of everything the row can see. Any mistake in paging, sharing,
// copying or scheduling changes the output.
import { BLOCK_TOKENS } from "../../src/kv/blocks.ts";
import { type Batch, FROM_SLOT, type Model, type Sampled } from "../../src/model/model.ts";

export interface FakeOptions {
  rows?: number;
  slots?: number;
  blocks?: number;
  vocabulary?: number;
}

/** The token that follows `seen`. */
export function nextToken(seen: readonly number[], vocabulary: number): number {
  let hash = 2166136261;
  for (const token of seen) hash = Math.imul(hash ^ (token + 1), 16777619);
  return (hash >>> 8) % vocabulary;
}

/** Greedy continuation without an engine: what the engine must reproduce. */
export function continuation(prompt: readonly number[], count: number, vocabulary: number): number[] {
  const all = [...prompt];
  for (let i = 0; i < count; i++) all.push(nextToken(all, vocabulary));
  return all.slice(prompt.length);
}

export class FakeModel implements Model {
  readonly limits;
  readonly batches: Batch[] = [];
  /** Steps launched and not yet read. */
  underWay = 0;
  mostUnderWay = 0;
  /** Rejects the read of the step with this number. */
  failAt = -1;
  readonly #cache: number[][];
  readonly #tables: number[][];
  readonly #lastToken: number[];

  constructor({ rows = 16, slots = 4, blocks = 64, vocabulary = 97 }: FakeOptions = {}) {
    this.limits = { rows, slots, blocks, vocabulary, logitRows: 8 };
    this.#cache = Array.from({ length: blocks }, () => Array.from({ length: BLOCK_TOKENS }, () => -1));
    this.#tables = Array.from({ length: slots }, () => []);
    this.#lastToken = Array.from({ length: slots }, () => -1);
  }

  async submit(batch: Batch): Promise<{ read: () => Promise<readonly Sampled[]> }> {
    const { rows, logitRows } = this.limits;
    if (batch.rows.length > rows || batch.logitRows.length > logitRows) throw new Error("batch exceeds the limits");
    const step = this.batches.push(batch) - 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    const results = this.#run(batch);
    await Promise.resolve();
    return {
      read: async () => {
        await new Promise((resolve) => setTimeout(resolve, 0));
        this.underWay--;
        if (step === this.failAt) throw new Error("the fake was told to fail");
        return results;
      },
    };
  }

  #run(batch: Batch): Sampled[] {
    for (const { from, to } of batch.copies) this.#cache[to] = [...this.#cache[from]!];
    for (const { slot, index, block } of batch.pages) this.#tables[slot]![index] = block;
    for (const { token, cacheIndex, slot } of batch.rows) {
      const block = this.#tables[slot]![Math.floor(cacheIndex / BLOCK_TOKENS)]!;
      this.#cache[block]![cacheIndex % BLOCK_TOKENS] = token === FROM_SLOT ? this.#lastToken[slot]! : token;
    }
    return batch.logitRows.map(({ row, forced }) => {
      const { slot, cacheIndex } = batch.rows[row]!;
      const token = forced ?? nextToken(this.#seen(slot, cacheIndex), this.limits.vocabulary);
      this.#lastToken[slot] = token;
      return { token, logprob: -token };
    });
  }

  #seen(slot: number, last: number): number[] {
    return Array.from(
      { length: last + 1 },
      (_, i) => this.#cache[this.#tables[slot]![Math.floor(i / BLOCK_TOKENS)]!]![i % BLOCK_TOKENS]!,
    );
  }
}

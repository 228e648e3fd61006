// A model without a GPU. Its cache holds the tokens themselves, written through the page table exactly as the real one
// writes keys and values, and the next token is a hash of everything the row can see and of everything its sampling
// depends on: step, seed, the slot's counts and biases. Any mistake in paging, sharing, copying or scheduling changes
// the output.
import { BLOCK_TOKENS } from "../../src/kv/blocks.ts";
import {
  adjusted,
  type Arrival,
  type Batch,
  FROM_SLOT,
  GREEDY,
  type LogitRow,
  type Model,
  penalised,
  type RowSampling,
  type Sampled,
} from "../../src/model/model.ts";

export interface FakeOptions {
  rows?: number;
  slots?: number;
  blocks?: number;
  vocabulary?: number;
}

/** 24 bits that depend on all values and their order. */
function hashOf(values: readonly number[]): number {
  let hash = 2166136261;
  for (const value of values) hash = Math.imul(hash ^ (value + 1), 16777619);
  return hash >>> 8;
}

/** What a slot knows of its sequence beside the cache. */
interface Adjustments {
  /** Token → occurrences in the reply, plus IN_PROMPT. */
  counts: Map<number, number>;
  bias: RowSampling["logitBias"];
}

const IN_PROMPT = 2 ** 20;

/** A number for the counts, whatever their order. */
function sumOf(counts: ReadonlyMap<number, number>): number {
  let sum = 0;
  for (const [token, count] of counts) sum = (sum + Math.imul(token * 2 ** 21 + count + 1, 0x9e3779b1)) | 0;
  return sum;
}

function adjustmentsOf({ sampling, prompt, generated }: Omit<Arrival, "slot">): Adjustments {
  const counts = new Map<number, number>(prompt.map((token) => [token, IN_PROMPT]));
  for (const token of generated) count(counts, token);
  return { counts, bias: sampling.logitBias };
}

const count = (counts: Map<number, number>, token: number): void =>
  void counts.set(token, (counts.get(token) ?? 0) + 1);

/** The token that follows `seen`. */
function nextToken(
  seen: readonly number[],
  { sampling, step }: Pick<LogitRow, "sampling" | "step">,
  { counts, bias }: Adjustments,
  vocabulary: number,
): number {
  const noise = sampling.temperature > 0 ? [sampling.seed, step] : [];
  const counted = penalised(sampling) ? [sumOf(counts)] : [];
  const biased = sampling.logitBias.length > 0 ? bias.flat() : [];
  const rest = hashOf([...noise, ...counted, ...biased]);
  return (hashOf(seen) ^ (rest >>> 7)) % vocabulary;
}

/** The reply without an engine: what the engine must reproduce. */
export function continuation(
  prompt: readonly number[],
  length: number,
  vocabulary: number,
  sampling: RowSampling = GREEDY,
): number[] {
  const all = [...prompt];
  const adjustments = adjustmentsOf({ sampling, prompt, generated: [] });
  for (let step = 0; step < length; step++) {
    const token = nextToken(all, { sampling, step }, adjustments, vocabulary);
    count(adjustments.counts, token);
    all.push(token);
  }
  return all.slice(prompt.length);
}

export class FakeModel implements Model {
  readonly limits;
  readonly batches: Batch[] = [];
  /** Steps launched and not yet read. */
  underWay = 0;
  mostUnderWay = 0;
  /** Rejects the read of the step with this number, which writes rubbish. */
  failAt = -1;
  /** Rejects the launch of the step with this number, after half of it was written. */
  failLaunchAt = -1;
  /** Called with the number of each step as it is launched. */
  onStep: (step: number) => void = () => {};
  readonly #cache: number[][];
  readonly #tables: number[][];
  readonly #lastToken: number[];
  readonly #adjustments: Adjustments[];

  constructor({ rows = 16, slots = 4, blocks = 64, vocabulary = 97 }: FakeOptions = {}) {
    this.limits = { rows, slots, blocks, vocabulary, logitRows: 8 };
    this.#cache = Array.from({ length: blocks }, () => Array.from({ length: BLOCK_TOKENS }, () => -1));
    this.#tables = Array.from({ length: slots }, () => []);
    this.#lastToken = Array.from({ length: slots }, () => -1);
    this.#adjustments = Array.from({ length: slots }, () => ({ counts: new Map(), bias: [] }));
  }

  async submit(batch: Batch): Promise<{ read: () => Promise<readonly Sampled[]> }> {
    const { rows, logitRows } = this.limits;
    if (batch.rows.length > rows || batch.logitRows.length > logitRows) throw new Error("batch exceeds the limits");
    const step = this.batches.push(batch) - 1;
    this.onStep(step);
    await Promise.resolve();
    const fails = step === this.failLaunchAt;
    const results = this.#run(fails ? { ...batch, rows: batch.rows.slice(0, batch.rows.length / 2) } : batch, fails);
    if (fails) throw new Error("the fake was told to fail its launch");
    if (step === this.failAt) this.#spoil(batch);
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    return {
      read: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        this.underWay--;
        if (step === this.failAt) throw new Error("the fake was told to fail");
        return results;
      },
    };
  }

  #run(batch: Batch, fails: boolean): Sampled[] {
    for (const arrival of batch.arrivals) this.#adjustments[arrival.slot] = adjustmentsOf(arrival);
    for (const { from, to } of batch.copies) this.#cache[to] = [...this.#cache[from]!];
    for (const { slot, index, block } of batch.pages) this.#tables[slot]![index] = block;
    const writers = new Map<number, number>();
    for (const { token, cacheIndex, slot } of batch.rows) {
      const block = this.#tables[slot]![Math.floor(cacheIndex / BLOCK_TOKENS)]!;
      if ((writers.get(block) ?? slot) !== slot)
        throw new Error(`block ${block}: two sequences write to it in one step`);
      writers.set(block, slot);
      this.#cache[block]![cacheIndex % BLOCK_TOKENS] = token === FROM_SLOT ? this.#lastToken[slot]! : token;
    }
    return fails ? [] : batch.logitRows.map((row) => this.#sample(row, batch.rows[row.row]!.cacheIndex));
  }

  #spoil({ rows }: Batch): void {
    for (const { slot, cacheIndex } of rows) {
      const block = this.#tables[slot]![Math.floor(cacheIndex / BLOCK_TOKENS)]!;
      this.#cache[block]![cacheIndex % BLOCK_TOKENS] = -2;
    }
  }

  #sample(row: LogitRow, cacheIndex: number): Sampled {
    const { slot, forced, sampling } = row;
    const adjustments = this.#adjustments[slot]!;
    const token = forced ?? nextToken(this.#seen(slot, cacheIndex), row, adjustments, this.limits.vocabulary);
    this.#lastToken[slot] = token;
    if (adjusted(sampling)) count(adjustments.counts, token);
    return { token, logprob: -token };
  }

  #seen(slot: number, last: number): number[] {
    const pages = this.#tables[slot]!.slice(0, Math.floor(last / BLOCK_TOKENS) + 1);
    return pages.flatMap((block) => this.#cache[block]!).slice(0, last + 1);
  }
}

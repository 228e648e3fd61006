// A model without a GPU. Its cache holds the tokens themselves, written through the page table exactly as the real one
// writes keys and values, and the next token is a hash of everything the row can see and of everything its sampling
// depends on: counter, seed, the sequence's counts and biases. Any mistake in paging, sharing, copying or scheduling changes
// the output.
import type { Attended } from "../../src/attended.ts";
import { UnsupportedError } from "../../src/errors.ts";
import { alignedBlocks, BLOCK_TOKENS, blocksFor } from "../../src/kv/blocks.ts";
import { PASSING } from "../../src/kv/blocks.ts";
import { optional } from "../../src/kv/optional.ts";
import { type CachePlan, plainPlan } from "../../src/kv/plan.ts";
import { blocksStanding, type KeptPages } from "../../src/kv/kept.ts";
import type { Holdings } from "../../src/kv/holdings.ts";
import { GONE } from "../../src/kv/residence.ts";
import {
  adjusted,
  type Allowed,
  type Arrival,
  type Batch,
  LAST_SAMPLED,
  GREEDY,
  type Launched,
  type LogitRow,
  type ListEdits,
  type Model,
  type PageBytes,
  NoRoomError,
  penalised,
  type PromptEnd,
  type RowSampling,
  type Sampled,
} from "../../src/model/model.ts";

await optional.load(); // as a recipe does

export interface FakeOptions {
  rows?: number;
  sequences?: number;
  blocks?: number;
  vocabulary?: number;
  /** Steps under way. */
  depth?: 2 | 3;
  /** Default: one tier of `blocks` blocks. */
  cache?: CachePlan;
}

/** Blocks of two tiers: those whose tokens are older than `recent` go to the second, which holds the context. */
export const tieredPlan = (blocks: number, first: number, recent: number): CachePlan => ({
  ...plainPlan(blocks),
  tiers: [first, blocks],
  recent,
});

/** Which slots of the first `pages` pages stay where only `count` of them may: spread evenly. */
const keptSlots = (count: number, pages: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.floor((i * pages * BLOCK_TOKENS) / count));

/** Prompts of more than `budget` + 32 tokens keep that many of what lies before their last whole page or two. */
export function retainingPlan(blocks: number, budget: number, sequences: number): CachePlan {
  const retain = (tokens: number) =>
    tokens <= budget + BLOCK_TOKENS ? null : { tokens: [budget], liveFrom: Math.floor(tokens / BLOCK_TOKENS) };
  const privatePages = { stores: [sequences * blocksFor(budget)], kvHeads: 1, stateBlocks: null };
  return { ...plainPlan(blocks), retain, privatePages, windowRows: 3 };
}

/** The same, but what is given up is seen all the same: it moves to a region of the state. */
export function recallingPlan(blocks: number, budget: number, sequences: number): CachePlan {
  const plan = retainingPlan(blocks, budget, sequences);
  const privatePages = { ...plan.privatePages!, stateBlocks: alignedBlocks(blocks) };
  const baseBlocks = (given: number) => Math.ceil(given / 2);
  return { ...plan, privatePages, baseBlocks, retiring: { after: 1 + (budget % 12), within: sequences } };
}

/**
 * Prompts of more than `budget` + 32 tokens give up all but the best `budget` of what lies before their last 20 tokens or more, after each
 * chunk of 32.
 */
export function chunkedPlan(blocks: number, budget: number, sequences: number): CachePlan {
  const retain = (tokens: number) => {
    const liveFrom = Math.max(0, Math.floor((tokens - 20) / BLOCK_TOKENS));
    return liveFrom * BLOCK_TOKENS <= budget ? null : { tokens: [budget], liveFrom };
  };
  return { ...retainingPlan(blocks, budget, sequences), retain, windowRows: 0, chunkTokens: BLOCK_TOKENS };
}

/** A token and its position, as a private page of such a plan holds them. */
const PLACE = 1024;
const placed = (token: number, position: number): number => (position + 1) * PLACE + token;
const tokenOf = (value: number): number => value % PLACE;

/** Slots that the best `count` of some have: the earlier ones of equal ones. */
function bestOf(values: readonly number[], count: number): Set<number> {
  const scores = values.map((value) => hashOf([value]) % 50);
  const order = [...values.keys()].sort((a, b) => scores[b]! - scores[a]! || values[a]! - values[b]!);
  return new Set(order.slice(0, count));
}

/** The same with prompts streamed: what rows see lies in later blocks, or passes; blocks hold what it is made from. */
export function streamingPlan(blocks: number, budget: number, sequences: number): CachePlan {
  return { ...recallingPlan(blocks, budget, sequences), streamed: { blocks, blockBytes: 3, passingBytes: 1 } };
}

const recalls = ({ privatePages }: CachePlan): boolean => (privatePages?.stateBlocks ?? null) !== null;

/** 24 bits that depend on all values and their order. */
function hashOf(values: readonly number[]): number {
  let hash = 2166136261;
  for (const value of values) hash = Math.imul(hash ^ (value + 1), 16777619);
  return hash >>> 8;
}

/** What is known of a sequence beside the cache. */
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

function adjustmentsOf({ sampling, prompt, generated }: Omit<Arrival, "sequence">): Adjustments {
  const counts = new Map<number, number>(prompt.map((token) => [token, IN_PROMPT]));
  for (const token of generated) count(counts, token);
  return { counts, bias: sampling.logitBias };
}

const count = (counts: Map<number, number>, token: number): void =>
  void counts.set(token, (counts.get(token) ?? 0) + 1);

/** The token that follows `seen`. */
function nextToken(
  seen: readonly number[],
  { sampling, counter }: Pick<LogitRow, "sampling" | "counter">,
  { counts, bias }: Adjustments,
  vocabulary: number,
): number {
  const noise = sampling.temperature > 0 ? [sampling.seed, counter] : [];
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
  cache: CachePlan | null = null,
): number[] {
  const all = [...prompt];
  const retention = cache && !recalls(cache) ? cache.retain(prompt.length) : null;
  const seen = () => {
    if (retention && cache!.chunkTokens > 0) {
      const [from, count] = [retention.liveFrom * BLOCK_TOKENS, retention.tokens[0]!];
      const stay = bestOf(
        all.slice(0, from).map((token, i) => placed(token, i)),
        count,
      );
      return all.filter((_, i) => i >= from || stay.has(i));
    }
    if (!retention || all.length === prompt.length) return all; // the first token comes from the whole prompt
    const { tokens, liveFrom } = retention;
    return [...keptSlots(tokens[0]!, liveFrom).map((slot) => all[slot]!), ...all.slice(liveFrom * BLOCK_TOKENS)];
  };
  const adjustments = adjustmentsOf({ sampling, prompt, generated: [] });
  for (let counter = 0; counter < length; counter++) {
    const token = nextToken(seen(), { sampling, counter }, adjustments, vocabulary);
    count(adjustments.counts, token);
    all.push(token);
  }
  return all.slice(prompt.length);
}

/** The token itself, or the next one after it, around the vocabulary, that is allowed. */
function firstAllowed(token: number, allowed: Allowed, vocabulary: number): number {
  if (!allowed) return token;
  const all = Array.from({ length: vocabulary }, (_, i) => (token + i) % vocabulary);
  return all.find((id) => (allowed[id >>> 5]! >>> (id & 31)) & 1)!;
}

export class FakeModel implements Model {
  readonly limits;
  readonly cache: CachePlan;
  readonly depth: 2 | 3;
  /** Rows of the next chunk: as many as fit, unless a test says otherwise. */
  chunkRows: (left: number) => number;
  readonly batches: Batch[] = [];
  /** Steps launched and not yet read. */
  underWay = 0;
  mostUnderWay = 0;
  /** Rejects the read of the step with this number, which writes rubbish. */
  failAt = -1;
  /** Rejects the launch of the step with this number, after half of it was written. */
  failLaunchAt = -1;
  /** Its device is gone: nothing is launched or read with this reason. Steps without results end in silence, as on a GPU. */
  lost: Error | null = null;
  /** Pages of the longest list, and number of blocks, that there is memory for: a step that needs more is refused. */
  mostPages = Infinity;
  mostBlocks = Infinity;
  /** Called with the number of each step as it is launched. */
  onStep: (step: number) => void = () => {};
  /** By block: the token of each slot. */
  readonly #blocks: number[][];
  /** By later block, and by slot of the prompt that passes. */
  readonly #later: number[][];
  readonly #passing: number[];
  /** By private page. */
  readonly #pages: number[][];
  /** By slot: tokens of prompts' regions. */
  readonly #state: number[];
  /** By sequence. */
  readonly #kept: (KeptPages | null)[];
  readonly #tables: number[][];
  /** By sequence: later blocks of its pages. */
  readonly #laterTables: (number | undefined)[][];
  /** Rows that decoded since the sequence entered, where that is counted. */
  readonly #reads: number[];
  readonly #lastToken: number[];
  /** The step launched last waits for what its rows may sample. */
  #unsampled = false;
  readonly #adjustments: Adjustments[];

  constructor({
    sequences = 4,
    blocks = 64,
    vocabulary = 97,
    depth = 2,
    cache = plainPlan(blocks),
    rows = Math.max(16, cache.chunkTokens),
  }: FakeOptions = {}) {
    this.depth = depth;
    this.chunkRows = () => rows;
    this.limits = { rows: rows + sequences - 1, sequences, vocabulary, logitCount: 8 };
    this.cache = cache;
    const empty = (count: number) =>
      Array.from({ length: count }, () => Array.from({ length: BLOCK_TOKENS }, () => -1));
    this.#blocks = empty(cache.tiers.reduce((sum, count) => sum + count, 0));
    this.#later = empty(cache.streamed?.blocks ?? 0);
    this.#passing = Array.from({ length: blocks * BLOCK_TOKENS }, () => -1);
    this.#pages = empty(cache.privatePages?.stores[0] ?? 0);
    this.#state = Array.from({ length: (cache.privatePages?.stateBlocks ?? 0) * BLOCK_TOKENS }, () => -1);
    this.#kept = Array.from({ length: sequences }, () => null);
    this.#tables = Array.from({ length: sequences }, () => []);
    this.#laterTables = Array.from({ length: sequences }, () => []);
    this.#lastToken = Array.from({ length: sequences }, () => -1);
    this.#reads = Array.from({ length: sequences }, () => 0);
    this.#adjustments = Array.from({ length: sequences }, () => ({ counts: new Map(), bias: [] }));
  }

  async submit(batch: Batch): Promise<Launched> {
    if (this.#unsampled) throw new Error("a step was launched before the one before it was sampled");
    const { rows, logitCount } = this.limits;
    if (batch.rows.length > rows || batch.logitRows.length > logitCount) throw new Error("batch exceeds the limits");
    if (this.lost) throw this.lost;
    const step = this.batches.push(batch) - 1;
    this.onStep(step);
    await Promise.resolve();
    const lacking = batch.lists.filter(({ pages }) => pages.some(({ index, block }) => index >= this.mostPages || block >= this.mostBlocks)); // prettier-ignore
    if (lacking.length > 0)
      throw new NoRoomError(
        new UnsupportedError("no memory"),
        lacking.map(({ sequence }) => sequence),
      );
    const fails = step === this.failLaunchAt;
    this.#runRows(fails ? { ...batch, rows: batch.rows.slice(0, batch.rows.length / 2) } : batch);
    if (fails) throw new Error("the fake was told to fail its launch");
    if (step === this.failAt) this.#spoil(batch);
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    let results: Sampled[] = [];
    const sample = async (allowed: readonly Allowed[]): Promise<void> => {
      this.#unsampled = false;
      results = this.#sampleRows(batch, allowed);
    };
    this.#unsampled = batch.logitRows.some(({ constrained }) => constrained);
    if (!this.#unsampled) await sample([]);
    return {
      ...(this.#unsampled && { sample }),
      read: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        this.underWay--;
        if (step === this.batches.length - 1) this.#unsampled = false; // given up
        if (step === this.failAt) throw new Error("the fake was told to fail");
        if (this.lost && results.length > 0) throw this.lost;
        return results;
      },
    };
  }

  /** A single part, which every row chooses. */
  async attended(sequence: number): Promise<Attended | null> {
    const reads = this.#reads[sequence]!;
    if (!this.#kept[sequence]) return null;
    return { partTokens: 32, chosen: Uint32Array.of(reads), kept: Uint32Array.of(0), most: reads, tokens: reads };
  }

  #held({ blocks, kept }: Holdings): number[][] {
    const own = (kept?.pages[0] ?? []).map((page) => this.#pages[page]!);
    return [...blocks.filter((block) => block !== GONE).map((block) => this.#blocks[block]!), ...own];
  }

  /** Slot by slot, then the region. */
  async pages(holdings: Holdings, sequence: number | null): Promise<PageBytes> {
    const pages = this.#held(holdings);
    const { kept, reply } = holdings;
    const standing = kept && recalls(this.cache) && sequence !== null ? blocksStanding(kept, reply!) * BLOCK_TOKENS : 0;
    const first = (kept?.region ?? 0) * BLOCK_TOKENS;
    const state = this.#state;
    return {
      bytes: 4 * (pages.length * BLOCK_TOKENS + standing),
      async *read() {
        for (const page of pages) yield new Uint8Array(Int32Array.from(page).buffer);
        yield new Uint8Array(Int32Array.from(state.slice(first, first + standing)).buffer);
      },
      async write(next) {
        const token = async () => new Int32Array((await next(4)).slice().buffer)[0]!;
        for (const page of pages) for (let slot = 0; slot < BLOCK_TOKENS; slot++) page[slot] = await token();
        for (let i = first; i < first + standing; i++) state[i] = await token();
      },
    };
  }

  #runRows(batch: Batch): void {
    for (const arrival of batch.arrivals) this.#adjustments[arrival.sequence] = adjustmentsOf(arrival);
    for (const { from, to } of this.#inOrder(batch.moves)) this.#blocks[to] = [...this.#blocks[from]!];
    for (const edits of batch.lists) this.#edit(edits);
    for (const { sequence } of batch.rows.slice(0, batch.decodeRows))
      if (batch.attended?.includes(sequence)) this.#reads[sequence]!++;
    const writers = new Map<number, number>();
    for (const [i, { token, cacheIndex, sequence }] of batch.rows.entries()) {
      const block = this.#tables[sequence]![Math.floor(cacheIndex / BLOCK_TOKENS)]!;
      if ((writers.get(block) ?? sequence) !== sequence)
        throw new Error(`block ${block}: two sequences write to it in one step`);
      writers.set(block, sequence);
      this.#blocks[block]![cacheIndex % BLOCK_TOKENS] = token === LAST_SAMPLED ? this.#lastToken[sequence]! : token;
      if (i < batch.decodeRows) this.#makeLater(sequence, cacheIndex);
    }
    for (let i = batch.made?.from ?? 0; i < (batch.made?.to ?? 0); i++) this.#makeLater(batch.made!.sequence, i);
  }

  #sampleRows(batch: Batch, allowed: readonly Allowed[]): Sampled[] {
    const results = batch.logitRows.map((row, i) =>
      this.#sample(row, batch.rows[row.row]!.cacheIndex, allowed[i] ?? null),
    );
    if (batch.promptEnd) this.#compact(batch.promptEnd);
    if (batch.retiring) this.#retire(batch.retiring);
    this.#passing.fill(-3);
    return results;
  }

  /** What changes its tier goes first. */
  #inOrder(moves: Batch["moves"]): Batch["moves"] {
    const [first] = this.cache.tiers;
    const seals = moves.filter(({ from, to }) => from < first! && to >= first!);
    if (moves.some(({ from, to }) => from >= first! && to < first!))
      throw new Error("a sealed block cannot be unsealed");
    return [...seals, ...moves.filter((move) => !seals.includes(move))];
  }

  #edit({ sequence, enters, pages, kept }: ListEdits): void {
    if (enters)
      [this.#tables[sequence], this.#laterTables[sequence], this.#kept[sequence], this.#reads[sequence]] = [
        [],
        [],
        null,
        0,
      ];
    for (const { index, block, later } of pages) {
      this.#tables[sequence]![index] = block;
      this.#laterTables[sequence]![index] = later;
    }
    if (!kept) return;
    this.#kept[sequence] = kept;
    this.#tables[sequence]!.fill(NaN, 0, kept.liveFrom);
  }

  #compact(end: PromptEnd): void {
    const { sequence, kept } = end;
    const { tokens, pages, liveFrom, region, standing } = kept;
    if (this.cache.chunkTokens > 0) {
      this.#takeBest(end);
      return;
    }
    if (recalls(this.cache)) this.#stand(sequence, region, standing, liveFrom);
    for (const [i, source] of keptSlots(tokens[0]!, liveFrom).entries()) {
      this.#pages[pages[0]![Math.floor(i / BLOCK_TOKENS)]!]![i % BLOCK_TOKENS] = this.#live(sequence, source);
    }
  }

  /** Those of the chunk that stay go to the slots of others. */
  #takeBest({ sequence, tokens, rows, kept }: PromptEnd): void {
    const [pages, before, count] = [kept.pages[0]!, tokens - rows, kept.tokens[0]!];
    const had = Math.min(count, this.#kept[sequence]?.tokens[0] ?? 0);
    const old = Array.from(
      { length: had },
      (_, i) => this.#pages[pages[Math.floor(i / BLOCK_TOKENS)]!]![i % BLOCK_TOKENS]!,
    );
    const fresh = Array.from({ length: rows }, (_, i) => placed(this.#live(sequence, before + i), before + i));
    const stay = bestOf([...old, ...fresh], count);
    const coming = fresh.filter((_, i) => stay.has(had + i));
    for (let slot = 0; slot < count; slot++) {
      if (slot >= had || !stay.has(slot))
        this.#pages[pages[Math.floor(slot / BLOCK_TOKENS)]!]![slot % BLOCK_TOKENS] = coming.shift()!;
    }
  }

  #retire({ sequence, region, index }: NonNullable<Batch["retiring"]>): void {
    this.#stand(sequence, region, index, index + 1);
  }

  /** Makes what stands for these blocks of the sequence. */
  #stand(sequence: number, region: number, first: number, end: number): void {
    for (let i = first * BLOCK_TOKENS; i < end * BLOCK_TOKENS; i++)
      this.#state[region * BLOCK_TOKENS + i] = this.#live(sequence, i);
  }

  #live(sequence: number, index: number): number {
    if (this.cache.streamed) {
      const [holder, slot] = this.#laterSlot(sequence, index);
      return holder[slot]!;
    }
    return this.#inBlock(sequence, index);
  }

  #inBlock(sequence: number, index: number): number {
    return this.#blocks[this.#tables[sequence]![Math.floor(index / BLOCK_TOKENS)]!]![index % BLOCK_TOKENS]!;
  }

  /** Where streamed prompts have what rows see of a token. */
  #laterSlot(sequence: number, index: number): [number[], number] {
    const later = this.#laterTables[sequence]![Math.floor(index / BLOCK_TOKENS)];
    if (later === undefined) throw new Error(`token ${index} of sequence ${sequence} has no later block`);
    return later === PASSING ? [this.#passing, index] : [this.#later[later]!, index % BLOCK_TOKENS];
  }

  #makeLater(sequence: number, index: number): void {
    if (!this.cache.streamed) return;
    const [holder, slot] = this.#laterSlot(sequence, index);
    holder[slot] = this.#inBlock(sequence, index);
  }

  #spoil({ rows }: Batch): void {
    for (const { sequence, cacheIndex } of rows) {
      const block = this.#tables[sequence]![Math.floor(cacheIndex / BLOCK_TOKENS)]!;
      this.#blocks[block]![cacheIndex % BLOCK_TOKENS] = -2;
    }
  }

  #sample(row: LogitRow, cacheIndex: number, allowed: Allowed): Sampled {
    const { sequence, forced, sampling } = row;
    const adjustments = this.#adjustments[sequence]!;
    const likeliest = nextToken(this.#seen(sequence, cacheIndex), row, adjustments, this.limits.vocabulary);
    const token = forced ?? firstAllowed(likeliest, allowed, this.limits.vocabulary);
    if (forced === null) this.#lastToken[sequence] = token;
    if (forced === null && adjusted(sampling)) count(adjustments.counts, token);
    const logits = new Float32Array(this.limits.vocabulary);
    logits[likeliest] = 1;
    const top = Array.from({ length: row.top ?? 0 }, (_, i) => ({ token: likeliest + i, logprob: -i }));
    return { token, logprob: -token, ...(row.logits && { logits }), ...(row.top && { top }) };
  }

  #seen(sequence: number, last: number): number[] {
    const kept = this.#kept[sequence]!;
    const first = (kept?.liveFrom ?? 0) * BLOCK_TOKENS;
    const live = Array.from({ length: last + 1 - first }, (_, i) => this.#live(sequence, first + i));
    if (!kept) return live;
    const from = kept.region * BLOCK_TOKENS;
    if (recalls(this.cache)) return [...this.#state.slice(from, from + first), ...live];
    const ownPages = kept.pages[0]!.flatMap((page) => this.#pages[page]!);
    if (this.cache.chunkTokens > 0) {
      const own = ownPages.slice(0, kept.tokens[0]).sort((a, b) => a - b);
      return [...own.map(tokenOf), ...live];
    }
    return [...ownPages.slice(0, kept.tokens[0]), ...live];
  }
}

// A step in the making: rows, logit rows and page-table entries of the sequences that run in it.
import { assert } from "../errors.ts";
import type { BlockCopy } from "../kv/blocks.ts";
import { adjusted, type Arrival, type Batch, FROM_SLOT, type LogitRow, type Row } from "../model/model.ts";
import type { Sequence } from "./sequence.ts";

/** A batch and who its logit rows belong to. */
export interface Plan {
  batch: Batch;
  /** Sequence of each logit row: first those that decode, then the one whose input ends with this step. */
  owners: readonly Sequence[];
  /** Sequences that enter with this step. */
  entered: readonly Sequence[];
  /** Set when the step runs a part of an input: how many of its tokens are done then. */
  chunk: { sequence: Sequence; done: number } | null;
}

export class Draft {
  readonly #rows: Row[] = [];
  readonly #logitRows: LogitRow[] = [];
  readonly #owners: Sequence[] = [];
  readonly #entered: Sequence[] = [];
  readonly #arrivals: Arrival[] = [];
  readonly #pages: { slot: number; index: number; block: number }[] = [];
  readonly #copies: BlockCopy[] = [];
  #chunk: { sequence: Sequence; count: number } | null = null;

  /** Whether the step runs a part of an input already: a step has one at most. */
  get hasChunk(): boolean {
    return this.#chunk !== null;
  }

  /** The sequence has its slot: the slot's page table, counts and biases become its own. */
  enter(sequence: Sequence): void {
    const { cache, request, generated } = sequence;
    const { prompt, sampling } = request;
    const slot = slotOf(sequence);
    for (const [index, block] of cache.blocks.entries()) this.#pages.push({ slot, index, block });
    if (adjusted(sampling)) this.#arrivals.push({ slot, sampling, prompt, generated });
    this.#entered.push(sequence);
  }

  /** A row for the token that the sequence sampled last. There is room in its cache. */
  decode(sequence: Sequence): void {
    this.#reserve(sequence, sequence.inFlight + 1);
    this.#row(sequence, FROM_SLOT, sequence.cache.length + sequence.inFlight);
    this.#wantLogits(sequence);
    sequence.inFlight++;
  }

  /** The next `count` tokens of the sequence's input, after all decode rows. There is room in its cache. */
  prefill(sequence: Sequence, count: number): void {
    assert(!this.#chunk && count > 0, `a step runs one chunk of at least one token, got ${count}`);
    this.#reserve(sequence, count);
    this.#chunk = { sequence, count };
  }

  /** The finished step, or null if there is nothing in it. */
  plan(): Plan | null {
    const decodeRows = this.#rows.length;
    const chunk = this.#chunk && this.#runChunk(this.#chunk);
    if (this.#rows.length === 0) return null;
    const [rows, logitRows, pages] = [this.#rows, this.#logitRows, this.#pages];
    const batch = { rows, decodeRows, logitRows, pages, copies: this.#copies, arrivals: this.#arrivals };
    return { batch, owners: this.#owners, entered: this.#entered, chunk };
  }

  #runChunk({ sequence, count }: { sequence: Sequence; count: number }): { sequence: Sequence; done: number } {
    const { cache, input } = sequence;
    const start = cache.length;
    const tokens = input.slice(start, start + count);
    for (const [i, token] of tokens.entries()) this.#row(sequence, token, start + i);
    cache.append(tokens);
    if (sequence.inputLeft === 0) this.#wantLogits(sequence);
    return { sequence, done: start + count };
  }

  #reserve(sequence: Sequence, count: number): void {
    const { cache } = sequence;
    const slot = slotOf(sequence);
    const { fresh, copies } = cache.reserve(count);
    for (const index of fresh) this.#pages.push({ slot, index, block: cache.blocks[index]! });
    this.#copies.push(...copies);
  }

  #row(sequence: Sequence, token: number, index: number): void {
    this.#rows.push({ token, position: index, cacheIndex: index, slot: slotOf(sequence) });
  }

  #wantLogits(sequence: Sequence): void {
    const row = this.#rows.length - 1;
    const { sampling } = sequence.request;
    this.#logitRows.push({ row, slot: slotOf(sequence), sampling, step: sequence.launched, forced: null });
    this.#owners.push(sequence);
    sequence.launched++;
  }
}

function slotOf({ slot }: Sequence): number {
  assert(slot !== null, "a sequence without a slot cannot run");
  return slot;
}

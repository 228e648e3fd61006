// A step in the making: rows, logit rows and page lists of the sequences that run in it.
import { assert } from "../errors.ts";
import type { BlockMove } from "../kv/blocks.ts";
import {
  adjusted,
  type Arrival,
  type Batch,
  LAST_SAMPLED,
  type ListEdits,
  type LogitRow,
  type MadeTokens,
  type PromptEnd,
  type Repeated,
  type Retiring,
  type Row,
} from "../model/model.ts";
import type { Part } from "./repeat.ts";
import type { Sequence } from "./sequence.ts";

/** A batch and who its logit rows belong to. */
export interface PlannedStep {
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
  readonly #moves: BlockMove[] = [];
  #chunk: { sequence: Sequence; count: number } | null = null;
  /** In place of a chunk. */
  #part: { sequence: Sequence; part: Part } | null = null;
  #promptEnd: PromptEnd | null = null;
  #made: MadeTokens | null = null;

  /** Whether the step runs a part of an input already, or repeats one: a step has one at most. */
  get hasChunk(): boolean {
    return this.#chunk !== null || this.#part !== null;
  }

  /** The sequence has its number: the page lists, counts and biases of that number become its own. */
  enter(sequence: Sequence): void {
    const { request, generated } = sequence;
    const { prompt, sampling } = request;
    const number = numberOf(sequence);
    if (adjusted(sampling)) this.#arrivals.push({ sequence: number, sampling, prompt, generated });
    this.#entered.push(sequence);
  }

  /** A row for the token that the sequence sampled last, or was to. There is room in its cache. */
  decode(sequence: Sequence): void {
    this.#reserve(sequence, sequence.inFlight + 1);
    sequence.cache.complete(sequence.inFlight + 1);
    this.#row(sequence, sequence.tokenToDecode ?? LAST_SAMPLED, sequence.cache.length + sequence.inFlight);
    this.#wantLogits(sequence);
    sequence.inFlight++;
  }

  /** The next `count` tokens of the sequence's input, after all decode rows. There is room in its cache. */
  prefill(sequence: Sequence, count: number): void {
    assert(!this.#chunk && count > 0, `a step runs one chunk of at least one token, got ${count}`);
    this.#reserve(sequence, count);
    const made = sequence.completes(count) ? sequence.cache.complete(count) : null;
    this.#made = made && { ...made, sequence: numberOf(sequence) };
    this.#chunk = { sequence, count };
  }

  /** A part of the sequence's prompt once more, after all decode rows. There is room in its cache. */
  repeat(sequence: Sequence, part: Part): void {
    this.#reserve(sequence, part.tokens.length);
    this.#part = { sequence, part };
  }

  /** Blocks of the cache that change their tier. */
  seal(sequence: Sequence, count: number): void {
    if (count === 0) return;
    const number = numberOf(sequence);
    this.#moves.push(...sequence.cache.seal(count).map((move) => ({ ...move, sequence: number })));
  }

  /** The finished step, or null if there is nothing in it. `running`: everybody whose lists may have changed; `standing`: see Batch. */
  plan(running: readonly Sequence[], standing: readonly number[]): PlannedStep | null {
    const decodeRows = this.#rows.length;
    if (decodeRows === 0 && !this.hasChunk) return null;
    const lists = running.map((sequence) => this.#listEdits(sequence));
    const chunk = this.#chunk && this.#runChunk(this.#chunk);
    const repeated = this.#part && this.#runPart(this.#part);
    const [rows, logitRows, moves] = [this.#rows, this.#logitRows, this.#moves];
    const [promptEnd, made, arrivals] = [this.#promptEnd, this.#made, this.#arrivals];
    const retiring = this.#retire(decodeRows);
    const attended = running.filter(({ request }) => request.attended).map(numberOf);
    const pictures = (this.#chunk ?? this.#part)?.sequence.request.pictures;
    const changes = { lists, moves, arrivals, standing, ...(pictures && { pictures }) };
    const batch = { rows, decodeRows, logitRows, ...changes, promptEnd, repeated, retiring, made, attended };
    return { batch, owners: this.#owners, entered: this.#entered, chunk };
  }

  #listEdits(sequence: Sequence): ListEdits {
    const position = this.#rows[this.#owners.indexOf(sequence)]?.position;
    const edits = sequence.cache.takeEdits(position);
    return { sequence: numberOf(sequence), enters: this.#entered.includes(sequence), ...edits };
  }

  #runChunk({ sequence, count }: { sequence: Sequence; count: number }): { sequence: Sequence; done: number } {
    const { cache, input, request } = sequence;
    const start = cache.length;
    const tokens = input.slice(start, start + count);
    for (const [i, token] of tokens.entries()) this.#row(sequence, token, start + i);
    cache.append(tokens);
    if (sequence.inputLeft === 0) this.#wantLogits(sequence);
    if (sequence.choosesHere && cache.repeatRows(request.prompt) === 0) this.#endPrompt(sequence, count);
    return { sequence, done: start + count };
  }

  /** Its rows lie behind the prompt, where what follows is written over them. */
  #runPart({ sequence, part }: { sequence: Sequence; part: Part }): Repeated {
    const { length: tokens } = sequence.cache;
    const { tokens: repeated, ...where } = part;
    sequence.repeated(part);
    for (const [i, token] of repeated.entries()) this.#row(sequence, token, tokens + i);
    if (part.end === tokens) this.#endPrompt(sequence, repeated.length);
    return { sequence: numberOf(sequence), tokens, ...where, rows: repeated.length };
  }

  #reserve(sequence: Sequence, count: number): void {
    this.#moves.push(...sequence.cache.reserve(count));
  }

  #endPrompt(sequence: Sequence, rows: number): void {
    const { cache, request } = sequence;
    const kept = cache.keep(numberOf(sequence), request.prompt);
    if (!kept) return;
    const decide = (tokens: readonly number[]) => cache.decide(kept, tokens);
    const more = cache.length < cache.chunkedUntil(request.prompt);
    this.#promptEnd = { sequence: numberOf(sequence), tokens: cache.length, rows, kept, decide, more };
  }

  /** Of the replies that go on in this step, the page that has waited longest. */
  #retire(decodeRows: number): Retiring | null {
    const due = this.#owners.slice(0, decodeRows).map((sequence, i) => {
      const { position } = this.#rows[i]!;
      return { sequence, position, overdue: sequence.cache.overdue(position) };
    });
    for (const { sequence, position, overdue } of due.sort((a, b) => b.overdue - a.overdue)) {
      const page = overdue >= 0 ? sequence.cache.retire(position) : null;
      if (page) return { sequence: numberOf(sequence), ...page };
    }
    return null;
  }

  #row(sequence: Sequence, token: number, index: number): void {
    this.#rows.push({ token, position: index, cacheIndex: index, sequence: numberOf(sequence) });
  }

  #wantLogits(sequence: Sequence): void {
    const row = this.#rows.length - 1;
    const { sampling, forced, onLogits, constraint, top = 0 } = sequence.request;
    const counter = sequence.launched;
    const token = forced?.[counter] ?? null;
    const wanted = { logits: onLogits !== undefined, top, constrained: constraint !== undefined };
    this.#logitRows.push({ row, sequence: numberOf(sequence), sampling, counter, forced: token, ...wanted });
    this.#owners.push(sequence);
    sequence.launched++;
  }
}

function numberOf({ number }: Sequence): number {
  assert(number !== null, "a sequence without a number cannot run");
  return number;
}

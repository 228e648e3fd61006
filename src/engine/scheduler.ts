// Decides what the next step runs: one row for every sequence that decodes, then a chunk of one prompt.
import { assert } from "../errors.ts";
import type { BlockCopy } from "../kv/blocks.ts";
import { type Batch, FROM_SLOT, type LogitRow, type Model, type Row } from "../model/model.ts";
import type { Sequence } from "./sequence.ts";

/** A batch and who its logit rows belong to. */
export interface Plan {
  batch: Batch;
  /** Sequence of each logit row. */
  owners: Sequence[];
  /** Set when the plan runs a part of a prompt: how far it is then. */
  chunk: { sequence: Sequence; done: number } | null;
}

const usesPenalties = ({ request: { sampling } }: Sequence): boolean =>
  sampling.repetitionPenalty !== 1 || sampling.frequencyPenalty !== 0 || sampling.presencePenalty !== 0;

export class Scheduler {
  readonly #limits: Model["limits"];
  readonly #waiting: Sequence[] = [];
  /** By slot. */
  readonly #running: (Sequence | null)[];

  constructor(limits: Model["limits"]) {
    this.#limits = limits;
    this.#running = Array.from({ length: limits.slots }, () => null);
  }

  add(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  get sequences(): Sequence[] {
    return [...this.#running.filter((sequence) => sequence !== null), ...this.#waiting];
  }

  /** Takes the sequence out and gives its slot and blocks back. Steps under way may still write to them: they are older than whatever comes next on the GPU's queue. */
  remove(sequence: Sequence): void {
    const at = this.#waiting.indexOf(sequence);
    if (at >= 0) this.#waiting.splice(at, 1);
    if (sequence.slot !== null) this.#running[sequence.slot] = null;
    sequence.slot = null;
    sequence.cache.dispose();
  }

  /** The next step, or null if nothing can run. A sequence whose cache cannot grow is failed, not the step. */
  plan(): Plan | null {
    const draft = new Draft();
    this.#admit(draft);
    for (const sequence of this.#running) if (sequence && decodes(sequence)) draft.decode(sequence);
    draft.decodeRows = draft.rows.length;
    const next = this.#running.find((sequence) => sequence && !sequence.done && sequence.promptLeft > 0);
    if (next) draft.prefill(next, Math.min(next.promptLeft, this.#limits.rows - draft.rows.length));
    return draft.rows.length > 0 ? draft.plan() : null;
  }

  #admit(draft: Draft): void {
    for (
      let slot = this.#running.indexOf(null);
      slot >= 0 && this.#waiting.length > 0;
      slot = this.#running.indexOf(null)
    ) {
      const sequence = this.#waiting.shift()!;
      sequence.slot = slot;
      this.#running[slot] = sequence;
      sequence.reused = sequence.cache.adopt(sequence.request.prompt);
      for (const [index, block] of sequence.cache.blocks.entries()) draft.pages.push({ slot, index, block });
      if (usesPenalties(sequence)) draft.prompts.push({ slot, tokens: sequence.request.prompt });
      sequence.request.onPrefill?.(sequence.reused, sequence.request.prompt.length);
    }
  }
}

/** The whole prompt is launched, and one more token is wanted than has been. */
function decodes({ done, promptLeft, launched, request }: Sequence): boolean {
  return !done && promptLeft === 0 && launched > 0 && launched < request.maxTokens;
}

/** A batch in the making. */
class Draft {
  readonly rows: Row[] = [];
  readonly logitRows: LogitRow[] = [];
  readonly owners: Sequence[] = [];
  readonly pages: { slot: number; index: number; block: number }[] = [];
  readonly copies: BlockCopy[] = [];
  readonly prompts: { slot: number; tokens: readonly number[] }[] = [];
  decodeRows = 0;
  chunk: Plan["chunk"] = null;

  decode(sequence: Sequence): void {
    if (!this.#reserve(sequence, sequence.inFlight + 1)) return;
    this.#row(sequence, FROM_SLOT, sequence.cache.length + sequence.inFlight);
    this.#wantLogits(sequence);
    sequence.inFlight++;
  }

  prefill(sequence: Sequence, count: number): void {
    if (count <= 0 || !this.#reserve(sequence, count)) return;
    const start = sequence.cache.length;
    const tokens = sequence.request.prompt.slice(start, start + count);
    for (const [i, token] of tokens.entries()) this.#row(sequence, token, start + i);
    sequence.cache.append(tokens);
    this.chunk = { sequence, done: start + count };
    if (sequence.promptLeft === 0) this.#wantLogits(sequence);
  }

  #row({ slot }: Sequence, token: number, index: number): void {
    assert(slot !== null, "a sequence without a slot cannot run");
    this.rows.push({ token, position: index, cacheIndex: index, slot });
  }

  #wantLogits(sequence: Sequence): void {
    const { slot, request, launched } = sequence;
    this.logitRows.push({
      row: this.rows.length - 1,
      slot: slot!,
      sampling: request.sampling,
      step: launched,
      forced: null,
    });
    this.owners.push(sequence);
    sequence.launched++;
  }

  #reserve(sequence: Sequence, count: number): boolean {
    try {
      const { fresh, copies } = sequence.cache.reserve(count);
      for (const index of fresh) this.pages.push({ slot: sequence.slot!, index, block: sequence.cache.blocks[index]! });
      this.copies.push(...copies);
      return true;
    } catch (error) {
      sequence.error = error;
      return false;
    }
  }

  plan(): Plan {
    const { rows, decodeRows, logitRows, pages, copies, prompts, owners, chunk } = this;
    return { batch: { rows, decodeRows, logitRows, pages, copies, prompts }, owners, chunk };
  }
}

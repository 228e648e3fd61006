// Decides what the next step runs: a row for every sequence that decodes, then a chunk of one input. Room in the cache
// is given out in order of age. Where it is short the youngest is preempted: it returns its blocks, waits at the
// front of the line, and is recomputed later. So the oldest always proceeds, and no request fails for lack of room.
import { assert } from "../errors.ts";
import type { PagePool } from "../kv/pages.ts";
import { type CachePlan, chunkRowsOf } from "../kv/plan.ts";
import type { Model } from "../model/model.ts";
import { Draft, type PlannedStep } from "./draft.ts";
import type { Sequence } from "./sequence.ts";

export class Scheduler {
  readonly #limits: Model["limits"];
  readonly #windowRows: number;
  readonly #standing: PagePool["standing"];
  readonly #parked: PagePool["parked"] | null;
  /** Oldest first, and all older than those that wait: room is given out in this order only. */
  readonly #running: Sequence[] = [];
  /** Oldest first. */
  readonly #waiting: Sequence[] = [];
  #preemptions = 0;

  constructor(limits: Model["limits"], { windowRows }: CachePlan, pages: PagePool | null) {
    this.#limits = limits;
    this.#standing = pages?.standing ?? null;
    this.#parked = pages?.parked ?? null;
    this.#windowRows = windowRows;
  }

  /** How often a sequence was preempted. */
  get preemptions(): number {
    return this.#preemptions;
  }

  get running(): readonly Sequence[] {
    return this.#running;
  }

  get waiting(): readonly Sequence[] {
    return this.#waiting;
  }

  add(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  /** Takes the sequence out. Steps under way may still write to its blocks: they are older than whatever comes next on the GPU's queue. */
  remove(sequence: Sequence, rests = false): void {
    for (const line of [this.#running, this.#waiting]) {
      const at = line.indexOf(sequence);
      if (at >= 0) line.splice(at, 1);
    }
    sequence.leave(rests ? this.#parked : null);
  }

  /**
   * The next step, or null if nothing can run. Where it preempts a sequence, all steps before it must be read before the next
   * plan: the sequence enters again with all its tokens known. Only who arrived before `before` enters. `paced`: rows of a chunk.
   */
  plan(before = Infinity, paced: Pick<Model, "chunkRows"> = {}): PlannedStep | null {
    const draft = new Draft();
    for (const { cache } of this.#running) cache.passChunk();
    const resting = this.#parked?.numbers ?? []; // one of these may enter now
    const preempted = this.#preemptions;
    for (const sequence of this.#running.slice()) {
      this.#advance(sequence, paced, draft);
    }
    // A sequence preempted just now may have a token in flight, and is first in the line.
    if (this.#preemptions === preempted)
      for (const sequence of this.#admit(before, draft)) this.#advance(sequence, paced, draft);
    return draft.plan(this.#running, [...(this.#standing?.numbers ?? []), ...resting]);
  }

  #advance(sequence: Sequence, paced: Pick<Model, "chunkRows">, draft: Draft): void {
    if (sequence.number === null) return; // preempted for an older one
    if (sequence.repeats) this.#repeat(sequence, draft);
    else if (sequence.decodes) this.#decode(sequence, draft);
    else this.#prefill(sequence, paced, draft);
  }

  #decode(sequence: Sequence, draft: Draft): void {
    if (this.#makeRoom(sequence, sequence.inFlight + 1, true, draft)) draft.decode(sequence);
  }

  #repeat(sequence: Sequence, draft: Draft): void {
    if (draft.hasChunk) return;
    const part = sequence.nextPart;
    if (this.#makeRoom(sequence, part.tokens.length, false, draft)) draft.repeat(sequence, part);
  }

  #prefill(sequence: Sequence, paced: Pick<Model, "chunkRows">, draft: Draft): void {
    const { inputLeft } = sequence;
    if (inputLeft === 0 || draft.hasChunk) return;
    const count = sequence.nextChunk(paced.chunkRows?.(inputLeft) ?? chunkRowsOf(this.#limits), this.#windowRows);
    if (this.#makeRoom(sequence, count, sequence.completes(count), draft)) draft.prefill(sequence, count);
  }

  /** Room for `count` more tokens, with which the input is complete or not, if need be at the cost of the youngest. False if that is the sequence itself. */
  #makeRoom(sequence: Sequence, count: number, completes: boolean, draft: Draft): boolean {
    const { cache } = sequence;
    const due = cache.dueBlocks;
    while (cache.free < due) if (!this.#giveWay(sequence)) return false;
    draft.seal(sequence, due);
    while (!cache.fits(count, completes)) if (!this.#giveWay(sequence)) return false;
    return true;
  }

  /** What the cache holds is lost: what ran waits again, in its order, and what waits holds nothing of it. No step may be unread. */
  setBackAll(): void {
    for (const sequence of [...this.#running, ...this.#waiting]) sequence.leave();
    this.#waiting.unshift(...this.#running.splice(0));
  }

  /** What rests goes first, then the youngest. False if that is the sequence itself. */
  #giveWay(sequence: Sequence): boolean {
    return this.#parked?.dropOldest() || this.#setBackYoungest() !== sequence;
  }

  #setBackYoungest(): Sequence {
    assert(this.#running.length > 1, "a request that runs alone has room");
    const youngest = this.#running.pop()!;
    youngest.leave();
    this.#waiting.unshift(youngest);
    this.#preemptions++;
    return youngest;
  }

  /** Admits waiting sequences in order while they fit beside the running ones; none overtakes. Returns them. */
  #admit(before: number, draft: Draft): Sequence[] {
    const old = this.#running.length;
    while (this.#running.length < this.#limits.sequences && this.#waiting.length > 0) {
      const next = this.#waiting[0]!;
      if (next.arrival >= before) break;
      this.#parked?.clear(next.cache);
      if (!this.#fits(next)) break;
      next.enter(this.#numberFor(next));
      this.#running.push(this.#waiting.shift()!);
      draft.enter(next);
    }
    return this.#running.slice(old);
  }

  /** Whether it fits beside what the others are about to need. A sequence alone always fits. */
  #fits(next: Sequence): boolean {
    if (this.#running.length === 0) return true;
    const missing = this.#running.map(({ missingBlocks }) => missingBlocks);
    const demand = next.expectedBlocks - next.sharedBlocks;
    if (missing.reduce((sum, count) => sum + count, demand) > next.cache.free) return false;
    const later = this.#running.reduce((sum, { expectedLater }) => sum + expectedLater, next.expectedLater);
    return later <= (next.cache.later?.free ?? 0);
  }

  #numberFor({ request, cache }: Sequence): number {
    const own = this.#parked?.take(cache) ?? null;
    if (own !== null) return own;
    const taken = new Set(this.#running.map(({ number }) => number));
    const all = Array.from({ length: this.#limits.sequences }, (_, number) => number);
    const free = all.filter((number) => !taken.has(number));
    return this.#standing?.best(request.prompt, free) ?? free[0]!;
  }
}

// Requests in time: schedule, launch, read. The step after the current one is launched before the current one is read, and
// where steps are short the one after that, so the GPU never waits for JavaScript. Where a reply is constrained, what its next
// token may be follows from the one being read: the step's rows run meanwhile, and are sampled once it has been read.
import type { FinishReason } from "../api.ts";
import type { Attended } from "../attended.ts";
import { BlockPool } from "../kv/blocks.ts";
import type { LaterPool } from "../kv/later.ts";
import { optional } from "../kv/optional.ts";
import type { PagePool } from "../kv/pages.ts";
import { rowsToRepeat } from "../kv/plan.ts";
import { Residence } from "../kv/residence.ts";
import { type Allowed, type Batch, type Launched, type Model, NoRoomError, type Sampled } from "../model/model.ts";
import { type Asked, checkRequest } from "./check.ts";
import type { PlannedStep } from "./draft.ts";
import { restedFor, type Run } from "./run.ts";
import { ExclusiveWork, type Waiting } from "./exclusive.ts";
import { Scheduler } from "./scheduler.ts";
import { type Request, Sequence } from "./sequence.ts";

interface Step extends Launched {
  step: PlannedStep;
}

/** What work on the cache itself is given. */
export interface CacheAccess {
  model: Model;
  pool: BlockPool;
  residence(): Residence;
  pages: PagePool | null;
}

export class TokenEngine {
  #model: Model;
  /** The device is gone: resolves with the model on another one. */
  #renewal: Promise<Model> | null = null;
  readonly #opening: readonly number[];
  readonly #pool: BlockPool;
  readonly #privatePages: PagePool | null;
  readonly #later: LaterPool | null;
  readonly #scheduler: Scheduler;
  readonly #exclusive = new ExclusiveWork(
    () => this.#renewal !== null,
    () => this.#kick(),
  );
  /** Requests and exclusive work so far: each takes its place in one line. */
  #arrivals = 0;
  /** What is to be done when there is nothing else. */
  #whenIdle: (() => Promise<void>) | null = null;
  /** Whether the model is in use, by the loop or by exclusive work. */
  #busy = false;
  #peakBytes = 0;

  /** `opening`: asks for a text again, in tokens, where a recipe repeats prompts. */
  constructor(model: Model, opening: readonly number[] = []) {
    [this.#model, this.#opening] = [model, opening];
    const { tiers, privatePages, streamed } = model.cache;
    this.#pool = new BlockPool(tiers);
    this.#privatePages = privatePages && new optional.now.PagePool(privatePages);
    this.#later = streamed && new optional.now.LaterPool(streamed);
    this.#scheduler = new Scheduler(model.limits, model.cache, this.#privatePages);
  }

  /** Tokens of context that one request can have. */
  get context(): number {
    return this.#model.cache.context;
  }

  /** Ids that tokens can have: 0 to this, exclusive. */
  get vocabulary(): number {
    return this.#model.limits.vocabulary;
  }

  /** Blocks no running request holds: all of them when the engine is idle. */
  get freeBlocks(): number {
    return this.#pool.idle;
  }

  /** Private pages no running request holds. */
  get freePages(): number {
    return this.#privatePages?.free ?? 0;
  }

  /** Blocks of the regions in use: what stands for prompts beside their pages. */
  get takenRegions(): number {
    return this.#privatePages?.regions?.taken ?? 0;
  }

  /** Most bytes of the cache that running requests held at once. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** Later blocks in use. */
  get takenLater(): number {
    return this.#later?.taken ?? 0;
  }

  #notePeak({ promptEnd }: Batch): void {
    const { blockBytes, pageBytes, stateBytes, streamed } = this.#model.cache;
    const blocks = this.#pool.held.reduce((sum, count, tier) => sum + count * blockBytes[tier]!, 0);
    const { regions, taken: pages = 0 } = this.#privatePages ?? {};
    const parted = regions?.count ?? this.#scheduler.running.filter(({ cache }) => cache.kept?.any).length;
    const state = (regions?.taken ?? 0) * stateBytes.block + parted * stateBytes.prompt;
    const passing = promptEnd && streamed ? promptEnd.kept.liveFrom * streamed.passingBytes : 0;
    const later = this.takenLater * (streamed?.blockBytes ?? 0);
    this.#peakBytes = Math.max(this.#peakBytes, blocks + pages * pageBytes + state + later + passing);
  }

  #residence(): Residence {
    return new Residence(this.#pool, this.#model.cache, this.#privatePages, this.#later);
  }

  /** How often a request gave its room to an older one and was computed again. */
  get preemptions(): number {
    return this.#scheduler.preemptions;
  }

  /** Throws InputError before any work if the request cannot succeed. One that passes never fails for want of blocks. */
  check(request: Asked): void {
    const repeatRows = rowsToRepeat(this.#model.cache, request.prompt.length);
    checkRequest(request, { context: this.context, vocabulary: this.#model.limits.vocabulary, repeatRows });
  }

  /** Starts the request. Throws InputError as `check` does. It runs whether or not its tokens are read. `rested`: of the run that it goes on from. */
  generate(request: Request, signal?: AbortSignal, rested: Residence | null = null): Run {
    this.check(request);
    const maxTokens = Math.min(request.maxTokens, this.context - request.prompt.length);
    const parked = this.#privatePages?.parked;
    const cache = restedFor(request, rested, this.#privatePages?.parked, this.keepsForAll) ?? this.#residence();
    const sequence = new Sequence({ ...request, maxTokens }, cache, this.#arrivals++, this.#opening);
    const attended = this.#attendedBy(sequence);
    const abort = () => this.#end(sequence, "abort");
    signal?.addEventListener("abort", abort);
    sequence.onDone = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted) abort();
    else this.#start(sequence);
    return {
      abort,
      attended,
      get finish() {
        return sequence.finish;
      },
      get reusedTokens() {
        return sequence.reused ?? 0;
      },
      get goneOn() {
        return sequence.goneOn;
      },
      get rested() {
        return (parked?.numberOf(cache) ?? null) === null ? null : cache;
      },
      async *[Symbol.asyncIterator]() {
        try {
          yield* sequence.output;
        } finally {
          abort();
        }
      },
    };
  }

  /** Whether what stays of a prompt is for every text that begins so. */
  get keepsForAll(): boolean {
    return this.#model.cache.repeats;
  }

  /** Nobody will go on from what a run left. */
  release(rested: Residence | null): void {
    if (rested) this.#privatePages?.parked.drop(rested);
  }

  /** Counts go with the number, so each time that it gives one back they are read. */
  #attendedBy(sequence: Sequence): () => Promise<Attended | null> {
    const reads: Promise<Attended | null>[] = [];
    if (sequence.request.attended)
      sequence.onLeave = (number) => {
        if (this.#renewal) return; // what was counted is gone with the device
        const read = this.#model.attended(number);
        read.catch(() => {}); // nobody waits for what a failed reply has read
        reads.push(read);
      };
    return async () =>
      reads.length === 0 ? null : (await import("./attended.ts")).addAttended(await Promise.all(reads));
  }

  #start(sequence: Sequence): void {
    this.#scheduler.add(sequence);
    this.#kick();
  }

  /** Takes the sequence out of the line and gives its blocks back. */
  #end(sequence: Sequence, finish: FinishReason | null, error: unknown = null): void {
    if (sequence.done) return;
    const goesOn = finish !== null && (finish !== "stop" || this.keepsForAll);
    this.#scheduler.remove(sequence, sequence.request.rests === true && goesOn);
    sequence.end(finish, error);
  }

  /** Starts the next user of the model, if it is free. */
  #kick(): void {
    const [next] = this.#scheduler.waiting;
    const { arrival: alone = Infinity } = this.#exclusive;
    const isIdle = !next && alone === Infinity && !this.#renewal;
    if (this.#busy || (isIdle && !this.#whenIdle)) return;
    this.#busy = true;
    const use = () => (alone < (next?.arrival ?? Infinity) ? this.#exclusive.run() : this.#run());
    void (this.#renewal ? this.#renew(this.#renewal) : isIdle ? this.#whenIdle!() : use()).finally(() => {
      this.#busy = false;
      this.#kick();
    });
  }

  /**
   * The device was lost. Nothing runs until `next` brings the model on another one, with an empty cache; then all that ran is
   * computed again, and goes on. Rejects: all requests end with the reason.
   */
  renew(next: Promise<Model>): void {
    this.#renewal = next;
    next.catch(() => {}); // requests are told
    this.#kick();
  }

  async #renew(renewal: Promise<Model>): Promise<void> {
    this.#scheduler.setBackAll();
    this.#forgetAll();
    try {
      this.#model = await renewal;
    } catch (error) {
      for (const sequence of this.#scheduler.waiting.slice()) this.#end(sequence, null, error);
      this.#exclusive.failAll(error);
    }
    if (this.#renewal === renewal) this.#renewal = null;
  }

  /** Steps until nothing is left to do, or until exclusive work is next. */
  async #run(): Promise<void> {
    /** Steps launched and not yet read, oldest first. */
    const unread: Step[] = [];
    try {
      while (true) {
        const { preemptions } = this.#scheduler;
        const plan = this.#scheduler.plan(this.#exclusive.arrival, this.#model);
        if (!plan && unread.length === 0) return;
        const step = plan && (await this.#launch(plan, unread));
        if (step) unread.push(step);
        // what was preempted enters again, and what is sampled under a grammar, with all its tokens known
        const waits = step?.sample !== undefined || this.#scheduler.preemptions > preemptions;
        const most = !plan ? unread.length - 1 : waits ? 1 : (this.#model.depth ?? 2) - 1;
        while (unread.length > most) await this.#settle(unread.shift()!);
        if (step) await this.#sample(step);
      }
    } catch (error) {
      // Nothing may be under way when the next requests start, least of all with a staging buffer.
      await Promise.allSettled(unread.map(({ read }) => read()));
      if (!this.#renewal) this.#fail(error);
    }
  }

  /** Null where there is no memory for it. Then everything has been read. */
  async #launch(step: PlannedStep, unread: Step[]): Promise<Step | null> {
    for (const sequence of step.entered) this.#tell(sequence, () => sequence.report(sequence.reused!));
    this.#notePeak(step.batch);
    try {
      return { step, ...(await this.#model.submit(step.batch)) };
    } catch (error) {
      if (!(error instanceof NoRoomError)) throw error;
      const { sequences } = error;
      const needing = this.#scheduler.running.filter(({ number }) => number !== null && sequences.includes(number));
      if (needing.length === 0) throw error;
      while (unread.length > 0) await this.#settle(unread.shift()!);
      this.#lack(needing, error);
      return null;
    }
  }

  /**
   * There is no memory for more than has been used. What is kept for later requests goes first: with all of what there is, these may
   * have room. Those that do not have it then fail. All others are computed again; nothing of the step has been done.
   */
  #lack(needing: readonly Sequence[], error: NoRoomError): void {
    const keeps = this.#pool.keeps || (this.#privatePages?.standing?.numbers.length ?? 0) > 0;
    for (const sequence of needing) {
      if (!keeps || sequence.lacked) this.#end(sequence, null, error);
      sequence.lacked = true;
    }
    this.#scheduler.setBackAll();
    this.#forgetAll();
  }

  /** Of a step in which a reply is constrained; every token before it has been read. */
  async #sample({ step, sample }: Step): Promise<void> {
    if (!sample) return;
    const allowed: Allowed[] = [];
    for (const sequence of step.owners) allowed.push(await this.#allowed(sequence));
    await sample(allowed);
  }

  async #allowed(sequence: Sequence): Promise<Allowed> {
    const { constraint } = sequence.request;
    if (!constraint || sequence.done) return null;
    try {
      return await constraint.allowed();
    } catch (error) {
      this.#end(sequence, null, error);
      return null;
    }
  }

  /** A step failed: so do the requests that ran. Those that wait may try. */
  #fail(error: unknown): void {
    const { running, waiting } = this.#scheduler;
    const failed = running.length > 0 ? running : waiting; // some request must fail, or the loop would never end
    for (const sequence of failed.slice()) this.#end(sequence, null, error);
    this.#forgetAll();
  }

  /** What lies in the cache cannot be trusted. */
  #forgetAll(): void {
    this.#privatePages?.parked.clear();
    this.#privatePages?.standing?.clear();
    this.#pool.forgetAll();
  }

  async #settle({ step: { batch, owners, chunk }, read }: Step): Promise<void> {
    const results = await read();
    for (const [i, sequence] of owners.entries()) this.#settleRow(sequence, results[i]!, i < batch.decodeRows);
    if (chunk) this.#tell(chunk.sequence, () => chunk.sequence.report(chunk.done));
  }

  /** Records a sampled token. The input of a decode row, now known to have been run, joins the cache. */
  #settleRow(sequence: Sequence, { logits, ...result }: Sampled, decoded: boolean): void {
    const { output, request, cache } = sequence;
    if (logits) this.#tell(sequence, () => request.onLogits?.(logits, output.items.length));
    if (sequence.done) return;
    if (decoded && sequence.number !== null) {
      sequence.inFlight--;
      cache.append([output.items.at(-1)!.token]);
    }
    let complete = false;
    this.#tell(sequence, () => void (complete = request.constraint?.accept(result.token) ?? false));
    if (sequence.done) return;
    const atEnd = complete || request.endTokens.has(result.token);
    const last = atEnd || output.items.length + 1 >= request.maxTokens;
    output.push({ ...result, last });
    if (last) this.#end(sequence, atEnd ? "stop" : "length");
  }

  /** The caller's own function may throw: that ends its request and no other. */
  #tell(sequence: Sequence, call: () => void): void {
    if (sequence.done) return;
    try {
      call();
    } catch (error) {
      this.#end(sequence, null, error);
    }
  }

  /** Natural log-likelihood of every token given those before it; entry 0 is NaN. Waits for its turn. */
  async score(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    this.check({ prompt: tokens, maxTokens: 1 });
    return await this.#alone(
      async () => {
        const { scoreText } = await import("./score.ts");
        this.#privatePages?.parked.clear();
        return scoreText(this.#model, this.#residence(), tokens, signal);
      },
      { signal },
    );
  }

  /** Runs `work` on the cache itself: what is saved, and put back (saved.ts). Waits for its turn. */
  onCache<T>(work: (cache: CacheAccess) => Promise<T>): Promise<T> {
    const [pool, pages] = [this.#pool, this.#privatePages];
    return this.#alone(() => work({ model: this.#model, pool, pages, residence: () => this.#residence() }));
  }

  /** Runs `work`, which may write over the cache, while no request uses the model. Waits for its turn. It ends where the device is lost. */
  overwriting<T>(work: () => Promise<T>): Promise<T> {
    return this.#alone(() => work().finally(() => this.#forgetAll()), { outlasts: false });
  }

  /** Runs `work` once nothing else wants the model. One piece of work at a time. */
  whenIdle(work: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#whenIdle = () => {
        this.#whenIdle = null;
        return work().then(resolve, reject);
      };
      this.#kick();
    });
  }

  /** Runs `work` alone once all that came before it is done; what comes after it waits. */
  #alone<T>(work: () => Promise<T>, { signal, outlasts = true }: Partial<Waiting> = {}): Promise<T> {
    const done = this.#exclusive.add(this.#arrivals++, work, { signal, outlasts });
    this.#kick();
    return done;
  }
}

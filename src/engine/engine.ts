// Requests in time: schedule, launch, read. The step after the current one is launched before the current one is read,
// so the GPU never waits for JavaScript.
import { type FinishReason } from "../api.ts";
import { InputError } from "../errors.ts";
import { BLOCK_TOKENS, BlockList, BlockPool } from "../kv/blocks.ts";
import { GREEDY, type LogitRow, type Model, type Row, type Sampled } from "../model/model.ts";
import { type Plan, Scheduler } from "./scheduler.ts";
import { type Request, Sequence } from "./sequence.ts";

interface Launched {
  plan: Plan;
  read: () => Promise<readonly Sampled[]>;
}

export interface Completion {
  finish: FinishReason;
  reusedTokens: number;
}

/** `last`: the request is finished and this is its last token. */
export type Step = Sampled & { last: boolean };

export class TokenEngine {
  readonly #model: Model;
  readonly #pool: BlockPool;
  readonly #scheduler: Scheduler;
  /** Whoever uses the model now: the loop, or a scoring run. */
  #busy: Promise<unknown> | null = null;

  constructor(model: Model) {
    this.#model = model;
    this.#pool = new BlockPool(model.limits.blocks);
    this.#scheduler = new Scheduler(model.limits);
  }

  /** Tokens of context that one request can have. */
  get context(): number {
    return this.#pool.count * BLOCK_TOKENS;
  }

  /** Blocks no running request holds: all of them when the engine is idle. */
  get freeBlocks(): number {
    return this.#pool.free;
  }

  /** Throws InputError before any work if the request cannot succeed. */
  check({ prompt, maxTokens }: Pick<Request, "prompt" | "maxTokens">): void {
    if (prompt.length === 0)
      throw new InputError("prompt: got no tokens, want at least 1. Give a text or a message.", { code: "bad-prompt" });
    if (prompt.length >= this.context) {
      throw new InputError(
        `prompt: got ${prompt.length} tokens, want at most ${this.context - 1} (context ${this.context}, one token to generate). Shorten it or load the model with a larger context.`,
        { code: "context-too-small" },
      );
    }
    if (!Number.isInteger(maxTokens) || maxTokens < 1) {
      throw new InputError(`maxTokens: got ${maxTokens}, want a whole number of at least 1.`);
    }
    const { vocabulary } = this.#model.limits;
    const bad = prompt.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabulary);
    if (bad !== undefined)
      throw new InputError(`prompt: got token id ${bad}, want a whole number from 0 to ${vocabulary - 1}.`, {
        code: "bad-prompt",
      });
  }

  /** Yields tokens as they are read. Returning early, or an abort, gives everything back. */
  async *generate(request: Request, signal?: AbortSignal): AsyncGenerator<Step, Completion> {
    this.check(request);
    const maxTokens = Math.min(request.maxTokens, this.context - request.prompt.length);
    const sequence = new Sequence({ ...request, maxTokens }, new BlockList(this.#pool));
    const abort = () => {
      sequence.finish ??= "abort";
      sequence.notify();
    };
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    try {
      this.#start(sequence);
      let seen = 0;
      while (true) {
        while (seen < sequence.output.length) {
          const result = sequence.output[seen++]!;
          yield { ...result, last: sequence.finish !== null && seen === sequence.output.length };
        }
        if (sequence.error !== null) throw sequence.error;
        if (sequence.finish !== null) return { finish: sequence.finish, reusedTokens: sequence.reused };
        await sequence.changed();
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      sequence.finish ??= "abort";
      this.#scheduler.remove(sequence);
    }
  }

  #start(sequence: Sequence): void {
    if (sequence.done) return;
    this.#scheduler.add(sequence);
    this.#kick();
  }

  /** Starts the loop if there is something to do and nothing else holds the model. */
  #kick(): void {
    if (this.#busy || this.#scheduler.sequences.length === 0) return;
    this.#busy = this.#run().finally(() => this.#release());
  }

  #release(): void {
    this.#busy = null;
    this.#kick();
  }

  /** Steps until nothing is left to do. One step is always under way while the one before it is read. */
  async #run(): Promise<void> {
    let current: Launched | null = null;
    try {
      while (true) {
        const plan = this.#scheduler.plan();
        const next: Launched | null = plan && { plan, ...(await this.#model.submit(plan.batch)) };
        if (current) await this.#settle(current);
        this.#wakeFailed();
        if (!next && !current) return;
        current = next;
      }
    } catch (error) {
      for (const sequence of this.#scheduler.sequences) {
        sequence.error ??= error;
        sequence.notify();
      }
    }
  }

  /** Sequences that failed while a step was planned. */
  #wakeFailed(): void {
    for (const sequence of this.#scheduler.sequences) if (sequence.done) sequence.notify();
  }

  async #settle({ plan, read }: Launched): Promise<void> {
    const results = await read();
    for (const [i, sequence] of plan.owners.entries()) settleRow(sequence, results[i]!);
    if (plan.chunk) {
      const { sequence, done } = plan.chunk;
      if (sequence.finish !== "abort") sequence.request.onPrefill?.(done, sequence.request.prompt.length);
    }
  }

  /**
   * Natural log-likelihood of every token given those before it; entry 0 is NaN. Runs the whole text in chunks with
   * all logits, alone, and leaves its blocks in the cache.
   */
  async score(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    this.check({ prompt: tokens, maxTokens: 1 });
    return await this.#alone(() => this.#scoreAlone(tokens, signal));
  }

  /** Runs `work`, which may write over the cache, while no request uses the model. Requests that come meanwhile wait. */
  overwriting<T>(work: () => Promise<T>): Promise<T> {
    return this.#alone(() => work().finally(() => this.#pool.forgetAll()));
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#busy) await this.#busy.catch(() => {});
    const run = work();
    this.#busy = run.catch(() => {}).finally(() => this.#release());
    return await run;
  }

  async #scoreAlone(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    const cache = new BlockList(this.#pool);
    const scores = new Float32Array(tokens.length).fill(NaN);
    const most = Math.min(this.#model.limits.logitRows, this.#model.limits.rows);
    try {
      while (cache.length < tokens.length) {
        signal?.throwIfAborted();
        const start = cache.length;
        const results = await this.#scoreChunk(cache, tokens.slice(start, start + most), tokens);
        for (const [i, { logprob }] of results.entries())
          if (start + i + 1 < tokens.length) scores[start + i + 1] = logprob;
      }
      return scores;
    } finally {
      cache.dispose();
    }
  }

  async #scoreChunk(cache: BlockList, chunk: readonly number[], all: readonly number[]): Promise<readonly Sampled[]> {
    const start = cache.length;
    const { fresh, copies } = cache.reserve(chunk.length);
    const indices = start === 0 ? cache.blocks.keys() : fresh;
    const pages = [...indices].map((index) => ({ slot: 0, index, block: cache.blocks[index]! }));
    const rows = chunk.map((token, i): Row => ({ token, position: start + i, cacheIndex: start + i, slot: 0 }));
    const logitRows = rows.map((_, i): LogitRow => {
      const forced = all[start + i + 1] ?? all[0]!;
      return { row: i, slot: 0, sampling: GREEDY, step: 0, forced };
    });
    const { read } = await this.#model.submit({ rows, decodeRows: 0, logitRows, pages, copies, prompts: [] });
    cache.append(chunk);
    return await read();
  }
}

/** Records a sampled token. The row's input token, now known to have been run, joins the cache. */
function settleRow(sequence: Sequence, result: Sampled): void {
  const previous = sequence.output.at(-1);
  if (previous) sequence.inFlight--;
  if (sequence.done) return;
  if (previous) sequence.cache.append([previous.token]);
  sequence.output.push(result);
  if (sequence.request.endTokens.has(result.token)) sequence.finish = "stop";
  else if (sequence.output.length >= sequence.request.maxTokens) sequence.finish = "length";
  sequence.notify();
}

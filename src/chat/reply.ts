// One reply under way: where tokens become text again.
import type { FinishReason, Generation, GenerationResult, GenerationStats, RecipePrice, Token } from "../api.ts";
import type { Run } from "../engine/run.ts";
import { Feed } from "../engine/feed.ts";
import type { Request, SampledToken } from "../engine/sequence.ts";
import type { TextStream } from "../text/stream.ts";

/** What is known of a reply when it is asked for. */
interface Asked {
  /** On the clock of performance.now(). */
  started: number;
  /** Of its prompt, once it has been read. */
  price: () => PromptPrice;
}

/** What a prompt costs and loses in the cache. */
export type PromptPrice = Pick<RecipePrice, "kvBytesPerToken" | "evictedTokens">;

/** Runs whether or not it is iterated; a late reader gets all tokens from the first. */
export class Reply implements Generation {
  readonly result: Promise<GenerationResult>;
  readonly #run: Run;
  readonly #text: TextStream;
  readonly #tokens = new Feed<Token>();
  readonly #price: Asked["price"];
  /** Tokens that were there before. */
  readonly #begun: number;
  #firstAt: number | null = null;

  /** `begun`: what it goes on from. */
  constructor(run: Run, text: TextStream, { prompt, begun = [] }: Pick<Request, "prompt" | "begun">, known: Asked) {
    const { started, price } = known;
    this.#run = run;
    this.#begun = begun.length;
    this.#price = price;
    this.#text = text;
    this.result = this.#finish(prompt, started);
  }

  abort(): void {
    this.#run.abort();
  }

  async #finish(prompt: readonly number[], started: number): Promise<GenerationResult> {
    try {
      const finish = await this.#read();
      const tail = this.#text.finish(); // after an abort: what was still held back
      const stats = this.#measure(prompt.length, started);
      const tokens = this.#tokens.items;
      this.#tokens.end();
      const attended = await this.#run.attended();
      return {
        text: tokens.map(({ text }) => text).join("") + tail,
        tokens: tokens.map(({ id }) => id),
        logprobs: tokens.map(({ logprob }) => logprob),
        promptTokens: [...prompt],
        finish,
        stats,
        attended,
      };
    } catch (error) {
      this.#tokens.end(error);
      throw error;
    }
  }

  /** Until the engine is done or a stop string has come. */
  async #read(): Promise<FinishReason> {
    for await (const step of this.#run) if (this.#add(step)) return "stop";
    return this.#run.finish!;
  }

  /** Whether the text has come to a stop string. */
  #add({ token: id, logprob, last, top }: SampledToken): boolean {
    if (this.#tokens.items.length === this.#begun) this.#firstAt = performance.now();
    const { text, stopped } = this.#text.push(id);
    const shown = last && !stopped ? text + this.#text.finish() : text;
    const likeliest = top?.map(({ token, logprob }) => ({ id: token, logprob }));
    this.#tokens.push({ id, text: shown, logprob, ...(likeliest && { top: likeliest }) });
    return stopped;
  }

  #measure(promptTokens: number, started: number): GenerationStats {
    const { reusedTokens } = this.#run;
    const { kvBytesPerToken, evictedTokens } = this.#price();
    const newTokens = this.#tokens.items.length - this.#begun;
    const ended = performance.now();
    const firstAt = this.#firstAt ?? ended;
    return {
      promptTokens,
      reusedTokens,
      newTokens,
      kvBytesPerToken,
      evictedTokens,
      prefillMs: firstAt - started,
      decodeMs: ended - firstAt,
      prefillTokensPerSecond: perSecond(promptTokens - reusedTokens, firstAt - started),
      decodeTokensPerSecond: perSecond(newTokens - 1, ended - firstAt),
    };
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Token> {
    try {
      let seen = 0;
      for await (const token of this.#tokens) if (++seen > this.#begun) yield token;
    } finally {
      this.abort();
    }
  }
}

const perSecond = (count: number, milliseconds: number): number =>
  milliseconds > 0 && count > 0 ? (1000 * count) / milliseconds : 0;

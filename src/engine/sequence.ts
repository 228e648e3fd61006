// One request in the engine. Tokens only: src/chat handles text.
import type { FinishReason } from "../api.ts";
import { BLOCK_TOKENS, blocksFor } from "../kv/blocks.ts";
import type { Parked } from "../kv/parked.ts";
import type { Retention } from "../kv/plan.ts";
import { GONE, type Residence } from "../kv/residence.ts";
import type { Allowed, Picture, RowSampling, Sampled } from "../model/model.ts";
import { Feed } from "./feed.ts";
import { type Part, partFrom } from "./repeat.ts";

/** Which tokens a reply may have, found out from those before them. */
export interface TokenConstraint {
  /** For the token after those accepted; asked once for each, and again where the device was lost before that was sampled. */
  allowed(): Promise<Allowed>;
  /** What was sampled under it. Whether the reply ends here although no end token came. */
  accept(token: number): boolean;
  /** Nothing follows. */
  dispose(): void;
}

export interface Request {
  /** Tokens beyond the vocabulary are rows of `pictures`. */
  prompt: readonly number[];
  pictures?: readonly Picture[];
  maxTokens: number;
  /** Generation ends with any of these; the token itself is reported. */
  endTokens: ReadonlySet<number>;
  sampling: RowSampling;
  /** What the reply is, instead of what would be sampled: each token is run as if it had been. As long as maxTokens. */
  forced?: readonly number[];
  /** Tokens are sampled under it. Its own: no other request may use it. */
  constraint?: TokenConstraint;
  /** How many of the likeliest tokens are reported with each. Default 0. */
  top?: number;
  /** Default true. Without, all of the prompt is computed, whatever the cache holds of it. */
  reuse?: boolean;
  /** What stays of its prompt is chosen from all of it, whatever rests of an earlier one that began so. */
  anew?: boolean;
  /** Count what the reply reads of the prompt. */
  attended?: boolean;
  /** What it has sampled already, as another request that was cut: it goes on after that. Fewer than maxTokens. */
  begun?: readonly Sampled[];
  /** Where it is cut, what it holds apart from the tree stays for a request that goes on, until another prompt comes. */
  rests?: boolean;
  /** Called with the [V] logits that each token of the reply was drawn from, in order, once each. */
  onLogits?: (logits: Float32Array, index: number) => void;
  /** Prompt tokens done and in all. `done` never falls, whatever has to be computed again. */
  onPrefill?: (done: number, total: number) => void;
}

/** `last`: the request is finished and this is its last token. */
export type SampledToken = Sampled & { last: boolean };

export class Sequence {
  readonly request: Request;
  readonly cache: Residence;
  /** Place in the order in which requests came: a lower number is served first. */
  readonly arrival: number;
  readonly #opening: readonly number[];
  /** Its number in the model while it runs; null while it waits and when it is done. */
  number: number | null = null;
  /** What must be in the cache before it decodes: the prompt, and after a preemption also what it had generated. */
  input: readonly number[];
  /** Prompt tokens found in the cache when it was first admitted; null before. */
  reused: number | null = null;
  /** What had been kept for every text when it entered with that; null: nothing. */
  goneOn: Retention | null = null;
  /** Sampled tokens that have been read. */
  readonly output = new Feed<SampledToken>();
  /** Sampled rows launched, read or not: tokens this request will have once all is read. */
  launched = 0;
  /** Decode rows launched and not yet read: cache slots written beyond `cache.length`. */
  inFlight = 0;
  finish: FinishReason | null = null;
  done = false;
  /** There was no memory for it once: it fails the next time. */
  lacked = false;
  /** Called with its number as it gives that back, if it has decoded anything under it that has been read. */
  onLeave: (number: number) => void = () => {};
  #enteredWith = 0;
  /** Of the prompt. */
  #repeatedTokens = 0;
  /** Called once, when it is done. */
  onDone: () => void = () => {};
  #reported = -1;

  /** `opening`: asks for its prompt again, where that is repeated. */
  constructor(request: Request, cache: Residence, arrival: number, opening: readonly number[] = []) {
    this.request = request;
    this.#opening = opening;
    this.cache = cache;
    this.arrival = arrival;
    this.input = request.prompt;
    for (const sampled of request.begun ?? []) this.output.push({ ...sampled, last: false });
  }

  /** Tokens of `input` still to run. */
  get inputLeft(): number {
    return Math.max(0, this.input.length - this.cache.length);
  }

  /** The whole input is launched, and one more token is wanted than has been. */
  get decodes(): boolean {
    return this.inputLeft === 0 && this.launched < this.request.maxTokens;
  }

  /** Its prompt has been read and is repeated before anything follows, so that a part of it can be chosen. */
  get repeats(): boolean {
    const { cache, request } = this;
    const isAtEnd = cache.length === request.prompt.length && this.launched < request.maxTokens;
    return isAtEnd && cache.repeatRows(request.prompt) > 0;
  }

  /** The next part of its prompt to repeat, and what leads it in. */
  get nextPart(): Part {
    const { prompt } = this.request;
    const rows = this.cache.repeatRows(prompt);
    return partFrom(this.#repeatedTokens, { prompt, opening: this.#opening, rows });
  }

  /** This part is being repeated. */
  repeated({ end }: Part): void {
    this.#repeatedTokens = end;
  }

  get promptEnded(): boolean {
    return this.cache.length >= this.request.prompt.length;
  }

  /** Whether a part of its prompt is to be chosen with the chunk that ends here: at the prompt's end, or before. */
  get choosesHere(): boolean {
    const { length } = this.cache;
    return length === this.request.prompt.length || length <= this.cache.chunkedUntil(this.request.prompt);
  }

  /**
   * Tokens of the next chunk, of at most `most`. Where only a part of the prompt stays, a chunk ends with the prompt and
   * has the `window` rows that decide which part.
   */
  nextChunk(most: number, window: number): number {
    const { prompt } = this.request;
    const chunk = this.cache.nextChunk(prompt);
    if (chunk > 0) return chunk;
    if (this.promptEnded || !this.cache.retains(prompt)) return Math.min(this.inputLeft, most);
    const left = prompt.length - this.cache.length;
    return left <= most ? left : Math.min(most, left - window);
  }

  /** Whether a chunk of `count` tokens ends the input, or a prompt of which a part may stay: logits, or choices, follow from it. */
  completes(count: number): boolean {
    const { length } = this.cache;
    return length + count === this.input.length || length + count === this.request.prompt.length;
  }

  /** Tokens read so far. */
  get generated(): number[] {
    return this.output.items.map(({ token }) => token);
  }

  /** The prompt and the tokens read so far. */
  get known(): readonly number[] {
    const { prompt } = this.request;
    return this.output.items.length === 0 ? prompt : [...prompt, ...this.generated];
  }

  /** Blocks it can be expected to hold before long: for its input, what is in flight, and a block more if it gets there. */
  get expectedBlocks(): number {
    const { cache, request } = this;
    const passing = blocksFor(cache.chunkedUntil(request.prompt));
    return Math.max(blocksFor(this.#expectedTokens) - passing, blocksFor(cache.nextChunk(request.prompt)));
  }

  /** Of these, those that it has yet to take. */
  get missingBlocks(): number {
    return Math.max(0, this.expectedBlocks - (this.cache.settledBlocks - this.#passedBlocks));
  }

  /** Blocks that it has given back while it read its prompt, where it does so. */
  get #passedBlocks(): number {
    const { cache, request } = this;
    return cache.chunkedUntil(request.prompt) > 0 ? cache.blocks.filter((block) => block === GONE).length : 0;
  }

  get #expectedTokens(): number {
    const { prompt, maxTokens } = this.request;
    const most = prompt.length + maxTokens - 1; // the last token is never run
    const now = Math.max(prompt.length + this.output.items.length, this.cache.length + this.inFlight);
    const repeated = prompt.length + this.cache.repeatRows(prompt);
    return Math.max(repeated, Math.min(most, now + BLOCK_TOKENS));
  }

  /** Later blocks that it can be expected to take before long beside those it has. */
  get expectedLater(): number {
    const { cache, request } = this;
    return cache.later?.missing(this.#expectedTokens, cache.pagesGivenUp(request.prompt)) ?? 0;
  }

  /** Blocks of its input that running sequences hold: it needs no room for those. */
  get sharedBlocks(): number {
    if (this.cache.length > 0) return this.cache.blocks.length - this.#passedBlocks; // those it has
    return this.request.reuse === false ? 0 : this.cache.countShared(this.known);
  }

  /** Takes a number and what the cache holds of its input. */
  enter(number: number): void {
    const { cache, request, known } = this;
    this.number = number;
    this.launched = this.#enteredWith = this.output.items.length;
    const rested = cache.length > 0;
    if (rested) {
      cache.cutTo(cache.goesOn(known));
      cache.enterAgain();
    } else cache.adopt(request.prompt, known, request.reuse);
    // Where only the token that was sampled last is left, it is decoded as it would have been.
    this.goneOn = rested ? cache.keptForAll : null;
    this.#repeatedTokens = 0;
    const decodes = this.launched > 0 && cache.length === known.length - 1 && (rested || !cache.later);
    this.input = decodes ? known.slice(0, -1) : known;
    this.reused ??= cache.length;
  }

  /** The token that the next row decodes, where it is not on the GPU: nothing has been sampled since it entered. */
  get tokenToDecode(): number | null {
    const { forced } = this.request;
    if (forced) return forced[this.launched - 1]!;
    return this.launched === this.#enteredWith ? this.output.items.at(-1)!.token : null;
  }

  /** Gives number and blocks back, or leaves them among `parked`. What it has generated stays; a token in flight may still be added to it. */
  leave(parked: Parked | null = null): void {
    const { number, cache } = this;
    if (number !== null && this.output.items.length > this.#enteredWith) this.onLeave(number);
    if (parked && number !== null && cache.canRest(this.inFlight)) parked.put(number, cache);
    else cache.dispose(number);
    this.number = null;
    this.inFlight = 0;
  }

  /** Progress of the prompt; an input computed again reports only what is new. */
  report(done: number): void {
    const { onPrefill, prompt } = this.request;
    const reached = Math.min(done, prompt.length);
    if (this.done || reached <= this.#reported) return;
    this.#reported = reached;
    onPrefill?.(reached, prompt.length);
  }

  /** Ends the request once: with a reason, or null and an error. */
  end(finish: FinishReason | null, error: unknown = null): void {
    this.done = true;
    this.finish = finish;
    this.output.end(error);
    this.request.constraint?.dispose();
    this.onDone();
  }
}

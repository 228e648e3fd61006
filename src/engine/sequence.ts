// One request on its way through the engine. Tokens only; text is the session's affair.
import type { FinishReason } from "../api.ts";
import type { BlockList } from "../kv/blocks.ts";
import type { RowSampling, Sampled } from "../model/model.ts";

export interface Request {
  prompt: readonly number[];
  maxTokens: number;
  /** Generation ends with any of these; the token itself is reported. */
  endTokens: ReadonlySet<number>;
  sampling: RowSampling;
  onPrefill?: (done: number, total: number) => void;
}

export class Sequence {
  readonly request: Request;
  readonly cache: BlockList;
  /** Sequence slot of the model while admitted, else null. */
  slot: number | null = null;
  /** Prompt tokens found in the cache. */
  reused = 0;
  /** Sampled tokens that have been read. */
  readonly output: Sampled[] = [];
  /** Sampled rows launched, read or not: tokens this request will have once all is read. */
  launched = 0;
  /** Decode rows launched and not yet read: cache slots written beyond `cache.length`. */
  inFlight = 0;
  finish: FinishReason | null = null;
  error: unknown = null;
  /** Wakes whoever waits for the next token. */
  #wake: () => void = () => {};

  constructor(request: Request, cache: BlockList) {
    this.request = request;
    this.cache = cache;
  }

  get done(): boolean {
    return this.finish !== null || this.error !== null;
  }

  /** Prompt tokens still to run. */
  get promptLeft(): number {
    return Math.max(0, this.request.prompt.length - this.cache.length);
  }

  notify(): void {
    this.#wake();
  }

  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

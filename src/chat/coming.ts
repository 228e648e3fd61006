// A reply that begins later.
import type { Generation, GenerationResult, Token } from "../api.ts";

export class ComingReply implements Generation {
  readonly result: Promise<GenerationResult>;
  readonly #reply: Promise<Generation>;
  readonly #leave: () => void;

  /** `leave`: nobody wants it any more. */
  constructor(reply: Promise<Generation>, leave: () => void) {
    this.#reply = reply;
    this.#leave = leave;
    this.result = reply.then(({ result }) => result);
    this.result.catch(() => {}); // a failure also reaches those who iterate
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Token> {
    try {
      yield* await this.#reply;
    } finally {
      this.#leave();
    }
  }
}

// Parts of the engine that few models or options need: each is a file of its own in a build, fetched when it is needed first.
import { assert } from "./errors.ts";

/** A module that is fetched at one place and used, without waiting, at others. */
export class Later<M> {
  readonly #fetch: () => Promise<M>;
  #module: M | null = null;

  /** `fetch`: an `import()`. */
  constructor(fetch: () => Promise<M>) {
    this.#fetch = fetch;
  }

  async load(): Promise<M> {
    return (this.#module ??= await this.#fetch());
  }

  /** The module, after `load`. */
  get now(): M {
    assert(this.#module !== null, "Later: got a use before load(), want one after it");
    return this.#module;
  }
}

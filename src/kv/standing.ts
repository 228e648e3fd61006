// What stands for the beginnings of prompts whose replies are over. It stays under the number that the sequence had, in
// its region, until the number or the room is needed: a later prompt that begins alike goes on from it.
import { BLOCK_TOKENS, commonLength } from "./blocks.ts";
import type { Regions } from "./regions.ts";

export interface Left {
  /** Tokens that it stands for, whole blocks. */
  tokens: readonly number[];
  /** First block of its region. */
  region: number;
}

export class Standing {
  /** By the sequence's number, oldest first. */
  readonly #left = new Map<number, Left>();
  readonly #regions: Regions;

  constructor(regions: Regions) {
    this.#regions = regions;
  }

  /** Numbers under which something stands. */
  get numbers(): number[] {
    return [...this.#left.keys()];
  }

  /** Of `numbers`, the one under which most of the beginning of `prompt` stands; of equal ones, the one least recently used. */
  best(prompt: readonly number[], numbers: readonly number[]): number {
    const use = [...this.#left.keys()];
    const rated = numbers.map((number) => ({ number, shared: this.#shared(number, prompt), at: use.indexOf(number) }));
    return rated.reduce((best, each) =>
      each.shared > best.shared || (each.shared === best.shared && each.at < best.at) ? each : best,
    ).number;
  }

  #shared(number: number, prompt: readonly number[]): number {
    const left = this.#left.get(number);
    return left ? commonLength(left.tokens, prompt) : 0;
  }

  /** Takes out what stands under a number: its region is the caller's. */
  take(number: number): Left | null {
    const left = this.#left.get(number);
    if (!left) return null;
    this.#left.delete(number);
    this.#regions.share(left.region);
    return left;
  }

  /** The caller has no use for the region any more. */
  put(number: number, left: Left): void {
    if (this.#regions.rest(left.region, left.tokens.length / BLOCK_TOKENS)) this.#left.set(number, left);
  }

  /** What stands next behind a region gives way to it; false where that is in use, or there is nothing. */
  giveWay(region: number): boolean {
    const behind = this.#regions.restingBehind(region);
    const found = [...this.#left].find(([, left]) => left.region === behind);
    if (!found) return false;
    this.#left.delete(found[0]);
    this.#regions.release(found[1].region);
    return true;
  }

  /** Gives back the oldest; false where there is none. */
  dropOldest(): boolean {
    const [oldest] = this.#left;
    if (!oldest) return false;
    this.#left.delete(oldest[0]);
    this.#regions.release(oldest[1].region);
    return true;
  }

  clear(): void {
    while (this.dropOldest());
  }
}

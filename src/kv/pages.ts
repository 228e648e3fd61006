// Private pages and their owners. The lists of a store share its pages, whatever KV head they belong to.
import { assert } from "../errors.ts";

export class PagePool {
  /** [stores] numbers of free pages. */
  readonly #free: number[][];
  readonly #kvHeads: number;
  readonly #count: number;

  constructor({ stores, kvHeads }: { stores: readonly number[]; kvHeads: number }) {
    this.#free = stores.map((count) => Array.from({ length: count }, (_, page) => page));
    this.#kvHeads = kvHeads;
    this.#count = this.free;
  }

  /** Pages in use. */
  get taken(): number {
    return this.#count - this.free;
  }

  /** Free pages of all stores. */
  get free(): number {
    return this.#free.reduce((sum, { length }) => sum + length, 0);
  }

  #of(column: number): number[] {
    return this.#free[Math.floor(column / this.#kvHeads)]!;
  }

  /** `counts` [columns] pages for each list. A cache has room for what its plan retains of every sequence. */
  take(counts: readonly number[]): number[][] {
    return counts.map((count, column) => {
      const free = this.#of(column);
      assert(free.length >= count, `list ${column}: ${free.length} private pages free of ${count}`);
      return free.splice(0, count);
    });
  }

  release(pages: readonly (readonly number[])[]): void {
    for (const [column, own] of pages.entries()) this.#of(column).push(...own);
  }
}

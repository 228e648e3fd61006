// Private pages, and the regions of what stands for prompts beside them. The lists of a store share its pages, whatever KV head they belong to.
import { assert } from "../errors.ts";
import { KeptPart } from "./kept.ts";
import { Parked } from "./parked.ts";
import type { CachePlan, PrivatePages } from "./plan.ts";
import { Regions } from "./regions.ts";
import { Standing } from "./standing.ts";

export class PagePool {
  /** [stores] numbers of free pages. */
  readonly #free: number[][];
  readonly #kvHeads: number;
  readonly #count: number;
  /** Null where pages are all that is kept of a prompt. */
  readonly regions: Regions | null;
  readonly standing: Standing | null;
  readonly parked = new Parked();

  constructor({ stores, kvHeads, stateBlocks }: PrivatePages) {
    this.regions = stateBlocks === null ? null : new Regions(stateBlocks);
    this.standing = this.regions && new Standing(this.regions);
    this.#free = stores.map((count) => Array.from({ length: count }, (_, page) => page));
    this.#kvHeads = kvHeads;
    this.#count = this.free;
  }

  /** Nothing yet, of a new sequence. */
  keptPart(plan: CachePlan): KeptPart {
    return new KeptPart(plan, this);
  }

  /** Pages in use. */
  get taken(): number {
    return this.#count - this.free;
  }

  /** Free pages of all stores. */
  get free(): number {
    return this.#free.reduce((sum, { length }) => sum + length, 0);
  }

  #storeOf(column: number): number {
    return Math.floor(column / this.#kvHeads);
  }

  /** `counts` [columns] pages for each list. A cache has room for what its plan retains of every sequence. */
  take(counts: readonly number[]): number[][] {
    return counts.map((count, column) => {
      const free = this.#free[this.#storeOf(column)]!;
      assert(free.length >= count, `list ${column}: ${free.length} private pages free of ${count}`);
      return free.splice(0, count);
    });
  }

  release(pages: readonly (readonly number[])[]): void {
    for (const [column, own] of pages.entries()) this.#free[this.#storeOf(column)]!.push(...own);
  }
}

// Private pages on the GPU: what sequences keep of their prompts in place of blocks.
import type { Gpu } from "../gpu/device.ts";
import { Arena, type Bundle, type Stretch } from "./arena.ts";
import { BLOCK_TOKENS } from "./blocks.ts";
import type { PageFormat } from "./format.ts";
import type { KeptPages } from "./kept.ts";
import { ALL_SLOTS, type Entry } from "./lists.ts";

export interface PrivateShape {
  kvHeads: number;
  headWidth: number;
  /** Format of private pages. */
  kept: PageFormat;
  /** [stores] private pages of each store. */
  privatePages: readonly number[] | null;
}

export class PrivateLists {
  /** Private pages of all sequences. */
  readonly arena: Arena;
  readonly #bundles: readonly Bundle[];
  /** [stores] */
  readonly #counts: readonly number[];
  readonly #kvHeads: number;

  /** `number`: of the arena. */
  constructor(gpu: Gpu, number: number, shape: PrivateShape, bundles: readonly Bundle[]) {
    const { kvHeads, headWidth, kept } = shape;
    const counts = (this.#counts = shape.privatePages!);
    const pages = bundles.map(({ first, count }) => total(counts.slice(first, first + count)));
    this.arena = new Arena(gpu, number, { format: kept, kvHeads, headWidth }, pages, "kv private pages");
    this.#bundles = bundles;
    this.#kvHeads = kvHeads;
  }

  /** Slots of the last page beyond the kept tokens hold nothing. Kept tokens lie before every later query: position 0 will do. */
  entry({ pages, tokens }: KeptPages, column: number, index: number): Entry {
    const { arena } = this;
    const page = pages[column]?.[index];
    if (page === undefined) return [0, 0, arena.number, 0];
    const left = tokens[column]! - index * BLOCK_TOKENS;
    const word = (this.#firstOf(this.#storeOf(column)) + page) * arena.pageWords;
    return [word, left >= BLOCK_TOKENS ? ALL_SLOTS : 2 ** left - 1, arena.number, 0];
  }

  /** Where private pages lie, list after list. */
  stretches(kept: KeptPages): Stretch[] {
    const { buffers, pageWords } = this.arena;
    return kept.pages.flatMap((pages, column) => {
      const buffer = buffers[this.#bundleOf(this.#storeOf(column))]!;
      const offset = (index: number) => this.entry(kept, column, index)[0] * 4;
      return pages.map((_, index) => ({ buffer, offset: offset(index), bytes: pageWords * 4 }));
    });
  }

  #storeOf(column: number): number {
    return Math.floor(column / this.#kvHeads);
  }

  #bundleOf(store: number): number {
    return this.#bundles.findIndex(({ first, count }) => store >= first && store < first + count);
  }

  /** Page 0 of a store's private pages, in its bundle. */
  #firstOf(store: number): number {
    return total(this.#counts.slice(this.#bundles[this.#bundleOf(store)]!.first, store));
  }
}

const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

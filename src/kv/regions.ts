// Rooms for what stands for the prompts of sequences beside their pages: consecutive blocks, shared out first come, first fit.
import { assert } from "../errors.ts";

/** Regions begin and end on a multiple of so many blocks. */
const ALIGN = 2;

export const alignedBlocks = (blocks: number): number => ALIGN * Math.ceil(blocks / ALIGN);

interface Region {
  first: number;
  end: number;
  /** Residences that use it. */
  users: number;
}

export class Regions {
  /** In order. */
  readonly #taken: Region[] = [];
  readonly #blocks: number;

  /** `blocks` blocks in all, a multiple of ALIGN. */
  constructor(blocks: number) {
    this.#blocks = blocks;
  }

  /** Blocks of all regions together. */
  get taken(): number {
    return this.#taken.reduce((sum, { first, end }) => sum + end - first, 0);
  }

  /** Regions that are taken. */
  get count(): number {
    return this.#taken.length;
  }

  /** Whether there is room for a region of `blocks` blocks. */
  fits(blocks: number): boolean {
    return this.#find(blocks).end <= this.#blocks;
  }

  /** The first block of a region of `blocks` blocks; null where there is no room. */
  take(blocks: number): number | null {
    const { first, end, index } = this.#find(blocks);
    if (end > this.#blocks) return null;
    this.#taken.splice(index, 0, { first, end, users: 1 });
    return first;
  }

  /** The first gap for so many blocks, or what lies behind all regions; `index`: before which of them. */
  #find(blocks: number): { first: number; end: number; index: number } {
    let first = 0;
    let index = 0;
    while (index < this.#taken.length && this.#taken[index]!.first < first + blocks) first = this.#taken[index++]!.end;
    return { first, end: first + alignedBlocks(blocks), index };
  }

  share(first: number): void {
    this.#at(first).users++;
  }

  release(first: number): void {
    const region = this.#at(first);
    region.users--;
    if (region.users === 0) this.#taken.splice(this.#taken.indexOf(region), 1);
  }

  #at(first: number): Region {
    const region = this.#taken.find((each) => each.first === first);
    assert(region, `no region begins at block ${first}`);
    return region;
  }
}

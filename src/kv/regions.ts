// Rooms for what stands for the prompts of sequences beside their pages: consecutive blocks, placed so that they can grow, and
// as low as that goes: buffers have room up to the last one in use.
import { assert } from "../errors.ts";
import { alignedBlocks, REGION_ALIGN as ALIGN } from "./blocks.ts";

interface Region {
  first: number;
  /** Blocks that are in use, of those before `end`. */
  filled: number;
  end: number;
  /** Residences that use it; 0: what is there may be of use to a later one. */
  users: number;
}

/** Consecutive free blocks, after the region `index − 1` and before `index`. */
interface Gap {
  index: number;
  first: number;
  blocks: number;
}

export class Regions {
  /** In order. */
  readonly #taken: Region[] = [];
  readonly #blocks: number;

  /** `blocks` blocks in all, a multiple of ALIGN. */
  constructor(blocks: number) {
    this.#blocks = blocks;
  }

  get #used(): Region[] {
    return this.#taken.filter(({ users }) => users > 0);
  }

  /** Blocks of all regions in use together. */
  get taken(): number {
    return this.#used.reduce((sum, { first, end }) => sum + end - first, 0);
  }

  /** Regions in use. */
  get count(): number {
    return this.#used.length;
  }

  /** Between some regions, in order. */
  #gaps(regions: readonly Region[]): Gap[] {
    return Array.from({ length: regions.length + 1 }, (_, index) => {
      const first = regions[index - 1]?.end ?? 0;
      return { index, first, blocks: (regions[index]?.first ?? this.#blocks) - first };
    });
  }

  /** Whether there is room for a region of `blocks` blocks, once nothing rests any more. */
  fits(blocks: number): boolean {
    return this.#gaps(this.#used).some((gap) => gap.blocks >= alignedBlocks(blocks));
  }

  /**
   * The first block of a region of `blocks` blocks; null where no gap has room. It is the lowest that leaves the region before it,
   * and this one before another, room to become twice as long; where there is none, in the middle of what the largest gap has
   * beside it.
   */
  take(blocks: number): number | null {
    const wanted = alignedBlocks(blocks);
    const gaps = this.#gaps(this.#taken);
    const roomy = gaps.find((gap) => gap.blocks >= this.#before(gap) + wanted + (this.#taken[gap.index] ? wanted : 0));
    const gap = roomy ?? gaps.reduce((best, each) => (each.blocks > best.blocks ? each : best));
    const left = gap.blocks - wanted;
    if (left < 0) return null;
    const before = this.#before(gap);
    const first = gap.first + (roomy ? before : Math.min(before, ALIGN * Math.floor(left / 2 / ALIGN)));
    this.#taken.splice(gap.index, 0, { first, filled: blocks, end: first + wanted, users: 1 });
    return first;
  }

  /** Blocks of the region before a gap, which may need as many again; none where it rests. */
  #before({ index }: Gap): number {
    const region = this.#taken[index - 1];
    return region && region.users > 0 ? region.end - region.first : 0;
  }

  /** Whether just so many blocks of it are in use: no other user has gone further. */
  isFilled(first: number, blocks: number): boolean {
    return this.#at(first).filled === blocks;
  }

  /** The region that lies next behind it, where that one rests. */
  restingBehind(first: number): number | null {
    const next = this.#taken[this.#taken.indexOf(this.#at(first)) + 1];
    return next?.users === 0 ? next.first : null;
  }

  /** Makes it a region of `blocks` blocks. False, and as it was, where another one is in the way. */
  resize(first: number, blocks: number): boolean {
    const region = this.#at(first);
    const next = this.#taken[this.#taken.indexOf(region) + 1]?.first ?? this.#blocks;
    const end = first + alignedBlocks(blocks);
    if (end > next) return false;
    Object.assign(region, { filled: blocks, end });
    return true;
  }

  /** A user leaves; the first `filled` blocks stay as they are. False, and gone, where others use the region or nothing is to stay. */
  rest(first: number, filled: number): boolean {
    const region = this.#at(first);
    if (region.users > 1 || filled === 0) {
      this.release(first);
      return false;
    }
    Object.assign(region, { users: 0, filled, end: first + alignedBlocks(filled) });
    return true;
  }

  share(first: number): void {
    this.#at(first).users++;
  }

  release(first: number): void {
    const region = this.#at(first);
    region.users = Math.max(0, region.users - 1);
    if (region.users === 0) this.#taken.splice(this.#taken.indexOf(region), 1);
  }

  #at(first: number): Region {
    const region = this.#taken.find((each) => each.first === first);
    assert(region, `no region begins at block ${first}`);
    return region;
  }
}

// Where prompts are streamed past the boundary (docs/architecture.md, "Streaming"), blocks hold what enters the boundary's
// layer; the keys and values of later stores lie in later blocks, which belong to one sequence and are found by nobody else.
// Those of a prompt's pages that are given up at its end never have any: they pass, store after store, through one arena.
import { assert } from "../errors.ts";
import { blocksFor, PASSING } from "./blocks.ts";
import type { WrittenFormat } from "./format.ts";

/** How prompts are streamed: streaming.ts decides. */
export interface Streaming {
  /** The first store that blocks hold nothing of; all after it likewise. */
  firstStore: number;
  /** A page of it is what a block keeps of the rows that enter the boundary's layer. */
  inputs: WrittenFormat;
  /** Bytes of a token: of its input, of all later stores, and of one store. */
  bytes: Record<"input" | "later" | "one", number>;
}

/** What a cache that streams prompts shares out beside its blocks. */
export interface StreamedPlan {
  /** Later blocks. */
  blocks: number;
  /** Bytes of one, and of the part of the passing arena that a page of a prompt takes. */
  blockBytes: number;
  passingBytes: number;
}

/** Tokens from … to − 1 of a sequence, whose keys and values of later stores are made in a step from what blocks hold. */
export interface Made {
  from: number;
  to: number;
}

/** Numbers of later blocks. The lowest free one is taken: buffers need room up to the highest that is in use. */
export class LaterPool {
  readonly #taken: boolean[];
  #free: number;

  constructor({ blocks }: StreamedPlan) {
    this.#taken = Array.from({ length: blocks }, () => false);
    this.#free = blocks;
  }

  get free(): number {
    return this.#free;
  }

  /** Later blocks in use. */
  get taken(): number {
    return this.#taken.length - this.#free;
  }

  /** None yet, of a new sequence. */
  blocks(): LaterBlocks {
    return new LaterBlocks(this);
  }

  take(): number {
    const block = this.#taken.indexOf(false);
    assert(block >= 0, "take a later block where none is free");
    this.#taken[block] = true;
    this.#free--;
    return block;
  }

  release(block: number): void {
    assert(this.#taken[block], `later block ${block} released twice`);
    this.#taken[block] = false;
    this.#free++;
  }
}

/** Those of one sequence. */
export class LaterBlocks {
  readonly #pool: LaterPool;
  /** By page index; nothing before `#first` and for pages whose keys and values have not been made. */
  readonly #blocks: (number | undefined)[] = [];
  /** Pages before this one pass, or have been given up. */
  #first = 0;
  /** Tokens whose keys and values have been made. */
  #made = 0;

  constructor(pool: LaterPool) {
    this.#pool = pool;
  }

  get free(): number {
    return this.#pool.free;
  }

  /** Of a page that exists; undefined: it has none yet. */
  at(index: number): number | undefined {
    return index < this.#first ? PASSING : this.#blocks[index];
  }

  /** Later blocks that all keys and values of the first `tokens` tokens need beside those it has, where pages before `passing` pass. */
  missing(tokens: number, passing: number): number {
    const first = Math.max(this.#first, passing);
    const held = this.#blocks.filter((_, index) => index >= first).length;
    return Math.max(0, blocksFor(tokens) - first - held);
  }

  /** Takes them, and says which pages have changed. There is room. */
  extend(tokens: number, passing: number): { changed: number[]; made: Made } {
    const changed: number[] = [];
    for (let index = this.#first; index < passing; index++) changed.push(index);
    this.#first = Math.max(this.#first, passing);
    for (let index = this.#first; index < blocksFor(tokens); index++) {
      if (this.#blocks[index] !== undefined) continue;
      this.#blocks[index] = this.#pool.take();
      changed.push(index);
    }
    const made = { from: this.#made, to: tokens };
    this.#made = tokens;
    return { changed, made };
  }

  /** Pages before `index` are given up. */
  giveUp(index: number): void {
    for (let page = this.#first; page < index; page++) this.#release(page);
    this.#first = Math.max(this.#first, index);
  }

  #release(page: number): void {
    const block = this.#blocks[page];
    if (block !== undefined) this.#pool.release(block);
    delete this.#blocks[page];
  }

  dispose(): void {
    for (const page of this.#blocks.keys()) this.#release(page);
    this.#blocks.length = this.#first = this.#made = 0;
  }
}

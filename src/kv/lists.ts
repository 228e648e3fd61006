// The page lists of the running sequences, in one table on the GPU. A list belongs to one store and KV head of a sequence:
// its header (kept, liveFrom, region, 0), then one entry per page. `kept` private pages lie at indices 0 … kept−1, live page i, the
// one with cache slots 32·i …, at index i; live pages before `liveFrom` are gone. Attention goes through the kept pages
// and then through the live ones.
import { alignUp, assert } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";

/** (first word of the page, mask of slots that hold a token, arena, position of slot 0). */
export type Entry = readonly [word: number, mask: number, arena: number, position: number];

export const ALL_SLOTS = 0xffffffff;
const ENTRY_WORDS = 4;
/** Records before the table end on a multiple of 256 bytes, where a binding may begin. */
const RECORD_ALIGN = 16;

/** How a list begins. */
export interface Header {
  /** Private pages. */
  kept: number;
  /** First live page that has not been given up. */
  liveFrom: number;
  /** First block of what stands for the pages before it, in the buffers of a system that keeps such a state. */
  region: number;
}

export interface ListShape {
  /** Sequences in a step, and one more, whose lists are prepared for a coming step. */
  sequences: number;
  /** Lists of a sequence: stores · KV heads. */
  columns: number;
  /** Pages of the longest sequence. */
  maxPages: number;
  /** Row records that precede the table in its buffer. */
  records: number;
}

/** Some records of the step's rows as a binding of their own. */
export const recordsOf = (
  { inputs }: PageLists,
  { first, count }: { first: number; count: number },
): GPUBufferBinding => ({ buffer: inputs, offset: first * 16, size: count * 16 });

export class PageLists {
  readonly columns: number;
  /** Entries of a list, its header included. */
  readonly listLength: number;
  /** [records] vec4u of the step's rows, written by the transformer; from `tableAt` on [sequences, listLength, columns] vec4u. */
  readonly inputs: GPUBuffer;
  /** First entry of the table, in vec4u. */
  readonly tableAt: number;
  readonly #gpu: Gpu;
  readonly #line: Uint32Array<ArrayBuffer>;

  constructor(gpu: Gpu, { sequences, columns, maxPages, records }: ListShape) {
    this.#gpu = gpu;
    this.columns = columns;
    this.listLength = 1 + maxPages;
    this.tableAt = alignUp(records, RECORD_ALIGN);
    const entries = sequences * this.listLength * columns;
    this.inputs = gpu.buffer("rows and page lists", (this.tableAt + entries) * ENTRY_WORDS * 4, "scratch");
    this.#line = new Uint32Array(columns * ENTRY_WORDS);
  }

  /** The table without the records. */
  get table(): GPUBufferBinding {
    return { buffer: this.inputs, offset: this.tableAt * ENTRY_WORDS * 4 };
  }

  setHeaders(sequence: number, header: (column: number) => Header): void {
    this.#write(sequence, 0, (column) => {
      const { kept, liveFrom, region } = header(column);
      return [kept, liveFrom, region, 0];
    });
  }

  /** Writes entry `index` (a page) of every list of a sequence. */
  setEntries(sequence: number, index: number, entry: (column: number) => Entry): void {
    this.#write(sequence, 1 + index, entry);
  }

  #write(sequence: number, at: number, entry: (column: number) => Entry): void {
    assert(at < this.listLength, `entry ${at} of lists of ${this.listLength}`);
    for (let column = 0; column < this.columns; column++) this.#line.set(entry(column), column * ENTRY_WORDS);
    const first = this.tableAt + (sequence * this.listLength + at) * this.columns;
    this.#gpu.write(this.inputs, first * ENTRY_WORDS * 4, this.#line);
  }
}

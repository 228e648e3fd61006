// The page lists of the sequences at hand, in one table on the GPU. A list belongs to one store and KV head of a sequence:
// its head (kept, liveFrom, 0, 0), then one entry per page. `kept` private pages lie at indices 0 … kept−1, live page i, the
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

export interface ListShape {
  /** Rows of the table: sequences in a step, and one more where the lists of a coming step are prepared. */
  tableRows: number;
  /** Lists of a sequence: stores · KV heads. */
  columns: number;
  /** Pages of the longest sequence. */
  maxPages: number;
  /** Row records that precede the table in its buffer. */
  records: number;
}

export class PageLists {
  readonly columns: number;
  /** Entries of a list, its head included. */
  readonly listLength: number;
  /** [records] vec4u of the step's rows, for whoever writes them; from `tableAt` on [tableRows, listLength, columns] vec4u. */
  readonly inputs: GPUBuffer;
  /** First entry of the table, in vec4u. */
  readonly tableAt: number;
  readonly #gpu: Gpu;
  readonly #line: Uint32Array<ArrayBuffer>;

  constructor(gpu: Gpu, { tableRows, columns, maxPages, records }: ListShape) {
    this.#gpu = gpu;
    this.columns = columns;
    this.listLength = 1 + maxPages;
    this.tableAt = alignUp(records, RECORD_ALIGN);
    const entries = tableRows * this.listLength * columns;
    this.inputs = gpu.buffer("rows and page lists", (this.tableAt + entries) * ENTRY_WORDS * 4, "scratch");
    this.#line = new Uint32Array(columns * ENTRY_WORDS);
  }

  /** The table without the records. */
  get table(): GPUBufferBinding {
    return { buffer: this.inputs, offset: this.tableAt * ENTRY_WORDS * 4 };
  }

  setHeads(row: number, head: (column: number) => { kept: number; liveFrom: number }): void {
    this.#write(row, 0, (column) => {
      const { kept, liveFrom } = head(column);
      return [kept, liveFrom, 0, 0];
    });
  }

  /** Writes entry `index` (a page) of every list of a row. */
  setEntries(row: number, index: number, entry: (column: number) => Entry): void {
    this.#write(row, 1 + index, entry);
  }

  #write(row: number, at: number, entry: (column: number) => Entry): void {
    assert(at < this.listLength, `entry ${at} of lists of ${this.listLength}`);
    for (let column = 0; column < this.columns; column++) this.#line.set(entry(column), column * ENTRY_WORDS);
    const first = this.tableAt + (row * this.listLength + at) * this.columns;
    this.#gpu.write(this.inputs, first * ENTRY_WORDS * 4, this.#line);
  }
}

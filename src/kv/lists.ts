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
  /** Pages of a list, at first. */
  pages: number;
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
  /** First entry of the table, in vec4u. */
  readonly tableAt: number;
  readonly #gpu: Gpu;
  readonly #sequences: number;
  readonly #line: Uint32Array<ArrayBuffer>;
  #listLength: number;
  #inputs: GPUBuffer;

  constructor(gpu: Gpu, { sequences, columns, pages, records }: ListShape) {
    this.#gpu = gpu;
    this.#sequences = sequences;
    this.columns = columns;
    this.tableAt = alignUp(records, RECORD_ALIGN);
    this.#listLength = 1 + pages;
    this.#inputs = this.#make(this.#listLength);
    this.#line = new Uint32Array(columns * ENTRY_WORDS);
  }

  /** Pages that a list has room for. */
  get pages(): number {
    return this.#listLength - 1;
  }

  /** Entries of a list, its header included. */
  get listLength(): number {
    return this.#listLength;
  }

  /**
   * [records] vec4u of the step's rows, written by the transformer; from `tableAt` on [sequences, listLength, columns] vec4u.
   * Another buffer once lists have grown.
   */
  get inputs(): GPUBuffer {
    return this.#inputs;
  }

  #make(listLength: number): GPUBuffer {
    const entries = this.tableAt + this.#sequences * listLength * this.columns;
    return this.#gpu.buffer("rows and page lists", entries * ENTRY_WORDS * 4, "scratch");
  }

  /** Makes room for `pages` pages in each list. Throws UnsupportedError where there is no memory; nothing has changed then. */
  async grow(pages: number): Promise<void> {
    if (this.#listLength >= 1 + pages) return;
    const made = await this.#gpu.allocate(() => this.#make(1 + pages));
    const encoder = this.#gpu.device.createCommandEncoder();
    const bytes = this.columns * ENTRY_WORDS * 4; // of an entry of all lists
    for (let sequence = 0; sequence < this.#sequences; sequence++) {
      const at = (length: number) => this.tableAt * ENTRY_WORDS * 4 + sequence * length * bytes;
      const from = at(this.#listLength);
      encoder.copyBufferToBuffer(this.#inputs, from, made, at(1 + pages), this.#listLength * bytes);
    }
    this.#gpu.submit(encoder);
    this.#gpu.release(this.#inputs);
    this.#inputs = made;
    this.#listLength = 1 + pages;
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

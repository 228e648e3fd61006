// Where keys and values lie on the GPU, and the page tables through which attention finds them.
//
// A page is 32 slots of one KV head in one store: the K block, then the V block. Attention sees page lists only, so a
// store may be shared by several layers, a list may have holes, and heads may keep different slots, without any
// change to a kernel. Policies (eviction, merging, offloading) hand plans to the store; nothing else writes here.
import type { KvFormat } from "../api.ts";
import { assert, ceilDiv } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { BLOCK_TOKENS, type BlockCopy } from "./blocks.ts";

/** Which store each layer reads. Dense models: one store per layer; layers that share a cache name the same store. */
export interface StoreMap {
  /** [L] store index by layer. */
  readers: readonly number[];
  stores: number;
}

export const denseMap = (layers: number): StoreMap => ({
  readers: Array.from({ length: layers }, (_, layer) => layer),
  stores: layers,
});

export interface Codec {
  name: KvFormat;
  /** Bits of one stored element: the KV_BITS override of the kernels. */
  bits: 8 | 16 | 32;
  /** Words per slot of a page beside its elements: int8 keeps an f16 pair, the scales of K and V. */
  slotWords: 0 | 1;
}

export const CODECS: Readonly<Record<KvFormat, Codec>> = {
  f32: { name: "f32", bits: 32, slotWords: 0 },
  f16: { name: "f16", bits: 16, slotWords: 0 },
  int8: { name: "int8", bits: 8, slotWords: 1 },
};

export interface KvShape {
  map: StoreMap;
  codec: Codec;
  /** G: KV heads. */
  heads: number;
  /** E: head width, even. */
  width: number;
  /** Blocks of 32 tokens in all. */
  blocks: number;
  /** Sequences that can take part in a step at once. */
  tableRows: number;
  /** Pages of the longest sequence. */
  maxPages: number;
  /** Most bytes of one arena buffer; the adapter's limits hold besides. */
  arenaBytes: number;
}

/** Words of one page: K and V of 32 slots. */
const pageWords = ({ codec, width }: KvShape): number =>
  BLOCK_TOKENS * ((2 * width * codec.bits) / 32 + codec.slotWords);

/** Bytes of keys and values of one token over all stores and heads. */
export const kvBytesPerToken = (shape: KvShape): number =>
  (shape.map.stores * shape.heads * pageWords(shape) * 4) / BLOCK_TOKENS;

const ENTRY_WORDS = 4;
const ALL_SLOTS = 0xffffffff;

export class KvStore {
  readonly shape: KvShape;
  /** [tableRows, maxPages, stores · G] vec4u: (word offset, valid mask, part, base position). */
  readonly table: GPUBuffer;
  /** Arena buffers of a store. No binding may exceed the adapter's limit, so a long context takes several. */
  readonly #parts: readonly GPUBuffer[][];
  readonly #blocksPerPart: number;
  readonly #gpu: Gpu;
  /** One block of one store. */
  readonly #staging: GPUBuffer;
  readonly #entries: Uint32Array<ArrayBuffer>;

  constructor(gpu: Gpu, shape: KvShape) {
    this.#gpu = gpu;
    this.shape = shape;
    const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
    const blockBytes = shape.heads * pageWords(shape) * 4;
    this.#blocksPerPart = Math.min(
      shape.blocks,
      Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize, shape.arenaBytes) / blockBytes),
    );
    const parts = ceilDiv(shape.blocks, this.#blocksPerPart);
    this.#parts = Array.from({ length: shape.map.stores }, (_, store) =>
      Array.from({ length: parts }, (_, part) => {
        const blocks = Math.min(this.#blocksPerPart, shape.blocks - part * this.#blocksPerPart);
        return gpu.buffer(`kv store ${store} part ${part}`, blocks * blockBytes, "kv");
      }),
    );
    const tableWords = shape.tableRows * shape.maxPages * this.lanes * ENTRY_WORDS;
    this.table = gpu.buffer("page table", tableWords * 4, "scratch");
    this.#staging = gpu.buffer("block copy", blockBytes, "scratch");
    this.#entries = new Uint32Array(this.lanes * ENTRY_WORDS);
  }

  /** Table columns: one per store and KV head. */
  get lanes(): number {
    return this.shape.map.stores * this.shape.heads;
  }

  /** Number of arena buffers per store. */
  get parts(): number {
    return this.#parts[0]!.length;
  }

  /** First table column of a layer's store. */
  lane0(layer: number): number {
    return this.shape.map.readers[layer]! * this.shape.heads;
  }

  /** Arena buffer `part` of the store that `layer` reads. */
  arena(layer: number, part: number): GPUBuffer {
    return this.#parts[this.shape.map.readers[layer]!]![part]!;
  }

  /** Makes `block` page number `index` of the sequence in `tableRow`, in every store and head. */
  writeTable(tableRow: number, index: number, block: number): void {
    const { heads, maxPages } = this.shape;
    assert(index < maxPages, `page ${index} of ${maxPages}`);
    const words = pageWords(this.shape);
    const part = Math.floor(block / this.#blocksPerPart);
    const first = (block % this.#blocksPerPart) * heads * words;
    for (let lane = 0; lane < this.lanes; lane++) {
      this.#entries.set([first + (lane % heads) * words, ALL_SLOTS, part, index * BLOCK_TOKENS], lane * ENTRY_WORDS);
    }
    this.#gpu.write(this.table, (tableRow * maxPages + index) * this.#entries.byteLength, this.#entries);
  }

  /** Encodes the copy of a whole block in every store, by way of a staging buffer: source and target may be one buffer. */
  copyBlock(encoder: GPUCommandEncoder, { from, to }: BlockCopy): void {
    const bytes = this.#staging.size;
    const place = (block: number) => ({
      part: Math.floor(block / this.#blocksPerPart),
      at: (block % this.#blocksPerPart) * bytes,
    });
    const [source, target] = [place(from), place(to)];
    for (const parts of this.#parts) {
      encoder.copyBufferToBuffer(parts[source.part]!, source.at, this.#staging, 0, bytes);
      encoder.copyBufferToBuffer(this.#staging, 0, parts[target.part]!, target.at, bytes);
    }
  }

  dispose(): void {
    for (const buffer of [this.table, this.#staging, ...this.#parts.flat()]) this.#gpu.release(buffer);
  }
}

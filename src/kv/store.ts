// Where keys and values lie on the GPU, and the page tables through which attention finds them.
//
// A page is 32 slots of one KV head in one store: the K block, then the V block. Attention sees page lists only, so a
// store may be shared by several layers, a list may have holes, and heads may keep different slots, without any
// change to a kernel. Policies (eviction, merging, offloading) hand plans to the store; nothing else writes here.
import type { KvFormat, SwiftKv } from "../api.ts";
import { alignUp, assert, ceilDiv } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { BLOCK_TOKENS, type BlockCopy } from "./blocks.ts";

/** Which store each layer reads. Dense models: one store per layer; layers that share a cache name the same store. */
export interface StoreMap {
  /** [L] store index by layer. */
  readers: readonly number[];
  stores: number;
  /** Stores from this one on are written by one product: they lie together in as few buffers as the adapter allows. */
  together: number;
}

/** SwiftKV: layers below K own a store each, those from K on share one in groups of G. Dense: K = L. */
export function storeMap(layers: number, swiftkv: SwiftKv | null): StoreMap {
  const { layers: own, group } = swiftkv ?? { layers, group: 1 };
  const storeOf = (layer: number) => (layer < own ? layer : own + Math.floor((layer - own) / group));
  return {
    readers: Array.from({ length: layers }, (_, layer) => storeOf(layer)),
    stores: own + (layers - own) / group,
    together: own,
  };
}

/** Stores that lie in the same buffers. */
export interface Bundle {
  first: number;
  count: number;
  /** Arena buffers; no binding may exceed the adapter's limit, so a long context takes several. */
  parts: readonly GPUBuffer[];
}

export interface Codec {
  name: KvFormat;
  /** Bits of one stored element: the KV_BITS override of the kernels. */
  bits: 4 | 8 | 16 | 32;
  /** Words per slot of a page beside its elements: pairs (scale, minimum) of K and of V. */
  slotWords: 0 | 2;
}

export const CODECS: Readonly<Record<KvFormat, Codec>> = {
  f16: { name: "f16", bits: 16, slotWords: 0 },
  f32: { name: "f32", bits: 32, slotWords: 0 },
  int8: { name: "int8", bits: 8, slotWords: 2 },
  int4: { name: "int4", bits: 4, slotWords: 2 },
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
  /** Row records that precede the page table in its buffer. */
  records: number;
}

/** Words of one page: K and V of 32 slots. */
const pageWords = ({ codec, width }: KvShape): number =>
  BLOCK_TOKENS * ((2 * width * codec.bits) / 32 + codec.slotWords);

/** Bytes of keys and values of one token over all stores and heads. */
export const kvBytesPerToken = (shape: KvShape): number =>
  (shape.map.stores * shape.heads * pageWords(shape) * 4) / BLOCK_TOKENS;

const ENTRY_WORDS = 4;
const ALL_SLOTS = 0xffffffff;

/** Records before the table end on a multiple of 256 bytes, where a binding may begin. */
const RECORD_ALIGN = 16;

export class KvStore {
  readonly shape: KvShape;
  /**
   * [records] vec4u of the step's rows, for whoever writes them; from `tableAt` on the page table
   * [tableRows, listLength, stores · G] vec4u: a head (kept, liveFrom, …), then (word offset, valid mask, part, base).
   */
  readonly inputs: GPUBuffer;
  /** First table entry, in vec4u. */
  readonly tableAt: number;
  readonly bundles: readonly Bundle[];
  readonly #blocksPerPart: number;
  readonly #gpu: Gpu;
  /** One block of one store. */
  readonly #staging: GPUBuffer;
  readonly #entries: Uint32Array<ArrayBuffer>;

  constructor(gpu: Gpu, shape: KvShape) {
    this.#gpu = gpu;
    this.shape = shape;
    const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
    const most = Math.min(maxStorageBufferBindingSize, maxBufferSize, shape.arenaBytes);
    this.#blocksPerPart = Math.min(shape.blocks, Math.floor(most / this.#blockBytes));
    const perBundle = Math.max(1, Math.floor(most / (shape.blocks * this.#blockBytes)));
    this.bundles = splitStores(shape.map, perBundle).map((bundle) => ({ ...bundle, parts: this.#arenas(bundle) }));
    this.tableAt = alignUp(shape.records, RECORD_ALIGN);
    const entries = shape.tableRows * this.listLength * this.lanes;
    this.inputs = gpu.buffer("rows and page table", (this.tableAt + entries) * ENTRY_WORDS * 4, "scratch");
    this.#staging = gpu.buffer("block copy", this.#blockBytes, "scratch");
    this.#entries = new Uint32Array(this.lanes * ENTRY_WORDS);
  }

  #arenas({ first, count }: Pick<Bundle, "first" | "count">): GPUBuffer[] {
    return Array.from({ length: this.parts }, (_, part) => {
      const bytes = this.#blocksIn(part) * count * this.#blockBytes;
      return this.#gpu.buffer(`kv stores ${first} to ${first + count - 1}, part ${part}`, bytes, "kv");
    });
  }

  /** Bytes of a block in one store. */
  get #blockBytes(): number {
    return this.shape.heads * pageWords(this.shape) * 4;
  }

  #blocksIn(part: number): number {
    return Math.min(this.#blocksPerPart, this.shape.blocks - part * this.#blocksPerPart);
  }

  /** Table columns: one per store and KV head. */
  get lanes(): number {
    return this.shape.map.stores * this.shape.heads;
  }

  /** Table entries of a list: its head, then pages. */
  get listLength(): number {
    return 1 + this.shape.maxPages;
  }

  /** Number of arena buffers per bundle. */
  get parts(): number {
    return ceilDiv(this.shape.blocks, this.#blocksPerPart);
  }

  /** The page table without the row records. */
  get table(): GPUBufferBinding {
    return { buffer: this.inputs, offset: this.tableAt * ENTRY_WORDS * 4 };
  }

  /** First table column of a layer's store. */
  lane0(layer: number): number {
    return this.shape.map.readers[layer]! * this.shape.heads;
  }

  /** Arena buffer `part` of the store that `layer` reads. */
  arena(layer: number, part: number): GPUBuffer {
    const store = this.shape.map.readers[layer]!;
    return this.bundles.find(({ first, count }) => store < first + count)!.parts[part]!;
  }

  /** Byte offset of a block of a store within its arena buffer, and which part that is. */
  #place(bundle: Bundle, store: number, block: number): { part: number; at: number } {
    const part = Math.floor(block / this.#blocksPerPart);
    const before = (store - bundle.first) * this.#blocksIn(part) + (block % this.#blocksPerPart);
    return { part, at: before * this.#blockBytes };
  }

  /** Makes `block` page number `index` of the sequence in `tableRow`, in every store and head. */
  writeTable(tableRow: number, index: number, block: number): void {
    const { heads, maxPages } = this.shape;
    assert(index < maxPages, `page ${index} of ${maxPages}`);
    const words = pageWords(this.shape);
    this.#eachStore((bundle, store) => {
      const { part, at } = this.#place(bundle, store, block);
      for (let head = 0; head < heads; head++) {
        const entry = [at / 4 + head * words, ALL_SLOTS, part, index * BLOCK_TOKENS];
        this.#entries.set(entry, (store * heads + head) * ENTRY_WORDS);
      }
    });
    const at = this.tableAt * ENTRY_WORDS * 4 + (tableRow * this.listLength + 1 + index) * this.#entries.byteLength;
    this.#gpu.write(this.inputs, at, this.#entries);
  }

  #eachStore(visit: (bundle: Bundle, store: number) => void): void {
    for (const bundle of this.bundles) for (let i = 0; i < bundle.count; i++) visit(bundle, bundle.first + i);
  }

  /** Encodes the copy of a whole block in every store, by way of a staging buffer: source and target may be one buffer. */
  copyBlock(encoder: GPUCommandEncoder, { from, to }: BlockCopy): void {
    const bytes = this.#blockBytes;
    this.#eachStore((bundle, store) => {
      const [source, target] = [this.#place(bundle, store, from), this.#place(bundle, store, to)];
      encoder.copyBufferToBuffer(bundle.parts[source.part]!, source.at, this.#staging, 0, bytes);
      encoder.copyBufferToBuffer(this.#staging, 0, bundle.parts[target.part]!, target.at, bytes);
    });
  }

  dispose(): void {
    const arenas = this.bundles.flatMap(({ parts }) => parts);
    for (const buffer of [this.inputs, this.#staging, ...arenas]) this.#gpu.release(buffer);
  }
}

/** Stores below `together` alone, the others `perBundle` at a time. */
function splitStores({ stores, together }: StoreMap, perBundle: number): { first: number; count: number }[] {
  const alone = Array.from({ length: together }, (_, first) => ({ first, count: 1 }));
  const bundles = Array.from({ length: ceilDiv(stores - together, perBundle) }, (_, i) => {
    const first = together + i * perBundle;
    return { first, count: Math.min(perBundle, stores - first) };
  });
  return [...alone, ...bundles];
}

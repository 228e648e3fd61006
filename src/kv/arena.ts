// Buffers that hold pages of one format. Attention runs once per arena: a table entry names the arena that its page is in.
import type { Gpu } from "../gpu/device.ts";
import { isSealed, type PageFormat } from "./format.ts";
import type { Layout } from "./layout.ts";

/** Stores that lie in the same buffers: what one projection fills, so that it can write them in one dispatch; or twins. */
export interface Bundle {
  first: number;
  count: number;
  /** Two stores whose pages are sealed into one. */
  twins?: boolean;
}

/** What pages are measured in. */
export interface PageShape {
  format: PageFormat;
  kvHeads: number;
  headWidth: number;
}

export const pageWords = ({ format, headWidth }: PageShape): number => format.words(headWidth);

/** Where a page lies. */
export interface PagePlace {
  /** Number of the arena: component z of a table entry. */
  arena: number;
  bundle: number;
  /** Of the page's first word in the bundle's buffer. */
  word: number;
  /** 1: the page is that of the store before, which holds both. Pages begin at multiples of 4 words: lists add it to `word`. */
  twin: 0 | 1;
}

/** Consecutive bytes of a buffer. */
export interface Stretch {
  buffer: GPUBuffer;
  offset: number;
  bytes: number;
}

/** Pages `pages[bundle]` to a buffer, one buffer per bundle; null: it has none of the bundle's stores. */
export class Arena {
  readonly number: number;
  /** Of all pages, or where there are twins, of theirs. */
  readonly format: PageFormat;
  readonly pageWords: number;
  readonly #shape: PageShape;
  /** [bundles] */
  readonly #formats: readonly PageFormat[];
  readonly #gpu: Gpu;
  readonly #label: string;
  /** [bundles] */
  readonly #buffers: GPUBuffer[];

  constructor(
    gpu: Gpu,
    number: number,
    shape: PageShape,
    pages: readonly (number | null)[],
    label: string,
    formats = pages.map(() => shape.format),
  ) {
    this.#gpu = gpu;
    this.#label = label;
    this.#shape = shape;
    this.#formats = formats;
    this.number = number;
    this.format = shape.format;
    this.pageWords = pageWords(shape);
    this.#buffers = pages.map((count, bundle) => (count === null ? gpu.unused : this.#make(count, bundle)));
  }

  /** Of a bundle's pages. */
  formatOf(bundle: number): PageFormat {
    return this.#formats[bundle] ?? this.format;
  }

  wordsOf(bundle: number): number {
    return pageWords({ ...this.#shape, format: this.formatOf(bundle) });
  }

  /** [bundles]; other ones once the arena has grown. */
  get buffers(): readonly GPUBuffer[] {
    return this.#buffers;
  }

  /** Whether it has pages of the bundle's stores. */
  has(bundle: number): boolean {
    return this.buffers[bundle] !== this.#gpu.unused;
  }

  #make(pages: number, bundle: number): GPUBuffer {
    return this.#gpu.buffer(`${this.#label}, bundle ${bundle}`, pages * this.wordsOf(bundle) * 4, "kv");
  }

  /**
   * Gives a bundle room for `pages` pages, those it has included. Bundles grow one after another, so that besides what is
   * kept only one of them is there twice. Throws UnsupportedError where there is no memory; nothing has changed then.
   */
  protected async growBundle(bundle: number, pages: number): Promise<void> {
    const old = this.#buffers[bundle]!;
    if (old.size >= pages * this.wordsOf(bundle) * 4) return;
    const made = await this.#gpu.allocate(() => this.#make(pages, bundle));
    const encoder = this.#gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(old, 0, made, 0, old.size);
    this.#gpu.submit(encoder);
    this.#gpu.release(old);
    this.#buffers[bundle] = made;
  }
}

interface BlockPlace {
  /** One without stores has no pages here. */
  bundles: readonly Bundle[];
  /** The format of stores that are not twins, where sealed pages are those of twins. */
  single?: PageFormat;
  first: number;
  count: number;
  room: number;
}

/** An arena for blocks `first` … `first + count − 1`, of which the first ones are there: the pages of a block lie side by side, by store and KV head. */
export class BlockArena extends Arena {
  readonly first: number;
  readonly count: number;
  readonly #kvHeads: number;
  readonly #bundles: readonly Bundle[];

  constructor(gpu: Gpu, number: number, shape: PageShape, { bundles, single, first, count, room }: BlockPlace) {
    const most = Math.min(count, room) * shape.kvHeads;
    const { format } = shape;
    const formats = bundles.map(({ twins = false }) => (twins ? format : (single ?? format)));
    const pages = bundles.map((bundle) => (bundle.count === 0 ? null : pagesOfHead(bundle, format) * most));
    super(gpu, number, shape, pages, `kv ${format.name} blocks from ${first}`, formats);
    this.first = first;
    this.count = count;
    this.#kvHeads = shape.kvHeads;
    this.#bundles = bundles;
  }

  holds(block: number): boolean {
    return block >= this.first && block < this.first + this.count;
  }

  /** Makes room for its first `room` blocks, at most for all. What is there stays where it is. Errors as for a bundle. */
  async grow(room: number): Promise<void> {
    const pages = Math.min(room, this.count) * this.#kvHeads;
    for (const [index, bundle] of this.#bundles.entries())
      if (bundle.count > 0) await this.growBundle(index, pagesOfHead(bundle, this.format) * pages);
  }

  /** Where the page of `block` for KV head 0 of `store` lies; the other heads' pages follow. */
  place(block: number, bundle: number, store: number): PagePlace {
    const { first, twins = false } = this.#bundles[bundle]!;
    const pages = pagesOfHead(this.#bundles[bundle]!, this.format);
    const twin = twins && pages === 1 && store > first ? 1 : 0;
    const before = (block - this.first) * pages + (store - first - twin);
    return { arena: this.number, bundle, word: before * this.#kvHeads * this.wordsOf(bundle), twin };
  }
}

/** Pages of a KV head in a block, of a bundle's stores together: twins have one once it is sealed. */
const pagesOfHead = ({ count, twins = false }: Bundle, format: PageFormat): number =>
  twins && isSealed(format) ? 1 : count;

/** Pages of prompts by their index, of one store at a time: all of its bundles have the same buffer. */
export class PassingArena extends BlockArena {
  readonly #passes: readonly boolean[];
  readonly #unused: GPUBuffer;

  /** `passes` [bundles]: whose stores pass. */
  constructor(
    gpu: Gpu,
    number: number,
    shape: PageShape,
    passes: readonly boolean[],
    place: Omit<BlockPlace, "bundles">,
  ) {
    super(gpu, number, shape, { ...place, bundles: [{ first: 0, count: 1 }] });
    this.#passes = passes;
    this.#unused = gpu.unused;
  }

  override get buffers(): readonly GPUBuffer[] {
    const [only] = super.buffers;
    return this.#passes.map((each) => (each ? only! : this.#unused));
  }

  /** Of its page `index`, KV head 0. */
  page(index: number): PagePlace {
    return this.place(index, 0, 0);
  }
}

/** Arenas for blocks `start` … `start + blocks − 1`, none of whose buffers exceeds `most` bytes where a block takes `blockBytes`. */
export function split<A>(
  { start, blocks, room, blockBytes, most }: Record<"start" | "blocks" | "room" | "blockBytes" | "most", number>,
  make: (place: { first: number; count: number; room: number }) => A,
): A[] {
  const each = Math.max(1, Math.min(blocks, Math.floor(most / blockBytes)));
  return Array.from({ length: Math.ceil(blocks / each) }, (_, i) => {
    const done = i * each;
    return make({ first: start + done, count: Math.min(each, blocks - done), room: Math.max(0, room - done) });
  });
}

/**
 * Stores that one projection fills lie together, at most `most` to a bundle; the others alone. Twins are a bundle whatever fills
 * them; `twins` [pairs]: the first store of each.
 */
export function bundlesOf({ fills, stores }: Layout, most: number, twins: readonly number[] = []): Bundle[] {
  const bundles: Bundle[] = [];
  const begins = new Set(fills.filter(({ count }) => count > 0).map(({ first }) => first));
  for (let store = 0; store < stores; store++) {
    const last = bundles.at(-1);
    if (twins.includes(store)) bundles.push({ first: store, count: 2, twins: true });
    else if (twins.includes(store - 1)) continue;
    else if (!last || last.twins || begins.has(store) || last.count === most) bundles.push({ first: store, count: 1 });
    else last.count++;
  }
  return bundles;
}

// Buffers that hold pages of one format. Attention runs once per arena: a table entry names the arena that its page is in.
import type { Gpu } from "../gpu/device.ts";
import type { PageFormat } from "./format.ts";
import type { Layout } from "./layout.ts";

/** Stores that lie in the same buffers: what one projection fills, so that it can write them in one dispatch. */
export interface Bundle {
  first: number;
  count: number;
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
}

/** Consecutive bytes of a buffer. */
export interface Stretch {
  buffer: GPUBuffer;
  offset: number;
  bytes: number;
}

/** Pages `pages[bundle]` to a buffer, one buffer per bundle. */
export class Arena {
  readonly number: number;
  readonly format: PageFormat;
  /** [bundles] */
  readonly buffers: readonly GPUBuffer[];
  readonly pageWords: number;

  constructor(gpu: Gpu, number: number, shape: PageShape, pages: readonly number[], label: string) {
    this.number = number;
    this.format = shape.format;
    this.pageWords = pageWords(shape);
    this.buffers = pages.map((count, bundle) =>
      gpu.buffer(`${label}, bundle ${bundle}`, count * this.pageWords * 4, "kv"),
    );
  }
}

/** An arena for blocks `first` … `first + count − 1`: the pages of a block and store lie side by side, by KV head. */
export class BlockArena extends Arena {
  readonly first: number;
  readonly count: number;
  readonly #kvHeads: number;
  readonly #bundles: readonly Bundle[];

  constructor(
    gpu: Gpu,
    number: number,
    shape: PageShape,
    { bundles, first, count }: { bundles: readonly Bundle[]; first: number; count: number },
  ) {
    const pages = bundles.map((bundle) => bundle.count * count * shape.kvHeads);
    super(gpu, number, shape, pages, `kv ${shape.format.name} blocks from ${first}`);
    this.first = first;
    this.count = count;
    this.#kvHeads = shape.kvHeads;
    this.#bundles = bundles;
  }

  holds(block: number): boolean {
    return block >= this.first && block < this.first + this.count;
  }

  /** Where the page of `block` for KV head 0 of `store` lies; the other heads' pages follow. */
  place(block: number, bundle: number, store: number): PagePlace {
    const before = (store - this.#bundles[bundle]!.first) * this.count + (block - this.first);
    return { arena: this.number, bundle, word: before * this.#kvHeads * this.pageWords };
  }
}

/** Stores that one projection fills lie together, at most `most` to a bundle; the others alone. */
export function bundlesOf({ fills }: Layout, most: number): Bundle[] {
  return fills.flatMap(({ first, count }) =>
    Array.from({ length: Math.ceil(count / most) }, (_, i) => ({
      first: first + i * most,
      count: Math.min(most, count - i * most),
    })),
  );
}

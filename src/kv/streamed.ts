// The buffers of a cache that streams prompts (streaming.ts), beside those of its blocks' own stores: what entered the
// boundary's layer, block by block; later blocks; and the arena through which a prompt's pages pass, store after store.
import { assert } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import {
  type Arena,
  BlockArena,
  type Bundle,
  type PageShape,
  PassingArena,
  pageWords,
  split,
  type Stretch,
} from "./arena.ts";
import { BLOCK_TOKENS, PASSING } from "./blocks.ts";
import type { Streaming } from "./later.ts";
import { ALL_SLOTS, type Entry } from "./lists.ts";

/** Of one cache. */
export interface StreamedShape extends Streaming {
  /** D */
  inputWidth: number;
  /** Later blocks, and how many there is room for at first. */
  blocks: number;
  room: number;
}

/** What else its buffers are made for. */
interface Surroundings {
  bundles: readonly Bundle[];
  pages: PageShape;
  /** Blocks, pages of the longest prompt, and how many of both there is room for. */
  blocks: number;
  maxPages: number;
  room: number;
  /** Most bytes of a buffer. */
  most: number;
  /** Number of the first of its arenas. */
  number: number;
}

/** Nothing that any row reads. */
const NO_ENTRY: Entry = [0, 0, 0xffffffff, 0];

export class StreamedBuffers {
  readonly shape: StreamedShape;
  /** In numbers of their own: no attention reads them. */
  readonly inputs: readonly BlockArena[];
  /** In the numbers of the cache's arenas: later ones, then passing ones. */
  readonly later: readonly BlockArena[];
  readonly passing: readonly PassingArena[];
  readonly #bundles: readonly Bundle[];
  #room: number;

  constructor(gpu: Gpu, shape: StreamedShape, around: Surroundings) {
    this.shape = shape;
    this.#room = shape.room;
    this.#bundles = around.bundles;
    this.inputs = makeInputs(gpu, shape, around);
    this.later = makeLater(gpu, shape, around);
    this.passing = makePassing(gpu, shape, around, around.number + this.later.length);
  }

  /** Later blocks that there is room for. */
  get room(): number {
    return this.#room;
  }

  /** Arenas that page lists lead to, by number. */
  get arenas(): readonly Arena[] {
    return [...this.later, ...this.passing];
  }

  isPassing(arena: number): boolean {
    return this.passing.some(({ number }) => number === arena);
  }

  /** Makes room for `blocks` blocks and pages of prompts, and for `later` later blocks. Errors as for an arena. */
  async grow(blocks: number, later: number): Promise<void> {
    for (const arena of [...this.inputs, ...this.passing]) await arena.grow(blocks - arena.first);
    for (const arena of this.later) await arena.grow(later - arena.first);
    this.#room = later;
  }

  /** Where a block's inputs lie. */
  inputStretch(block: number): Stretch {
    const arena = arenaOf(this.inputs, block);
    const { word } = arena.place(block, 0, 0);
    return { buffer: arena.buffers[0]!, offset: word * 4, bytes: arena.pageWords * 4 };
  }

  /** The entry for the inputs of `block`, page `index` of a sequence. */
  inputEntry(block: number, index: number): Entry {
    const arena = arenaOf(this.inputs, block);
    return [arena.place(block, 0, 0).word, ALL_SLOTS, arena.number, index * BLOCK_TOKENS];
  }

  /** The entry for a KV head of a later store; `later`: the page's later block, or that it passes. */
  laterEntry(later: number | undefined, store: number, head: number, index: number): Entry {
    if (later === undefined) return NO_ENTRY;
    const bundle = this.#bundles.findIndex(({ first, count }) => store >= first && store < first + count);
    const passing = later === PASSING;
    const arena = passing ? arenaOf(this.passing, index) : arenaOf(this.later, later);
    const { word } = passing ? (arena as PassingArena).page(index) : arena.place(later, bundle, store);
    return [word + head * arena.pageWords, ALL_SLOTS, arena.number, index * BLOCK_TOKENS];
  }

  /** The arena that a page's later stores lie in. */
  laterArena(later: number, index: number): number {
    return (later === PASSING ? arenaOf(this.passing, index) : arenaOf(this.later, later)).number;
  }
}

function arenaOf<A extends BlockArena>(arenas: readonly A[], block: number): A {
  const arena = arenas.find((each) => each.holds(block));
  assert(arena, `block ${block} lies in no arena`);
  return arena;
}

function makeInputs(
  gpu: Gpu,
  { inputs, inputWidth }: StreamedShape,
  { blocks, room, most }: Surroundings,
): BlockArena[] {
  const shape = { format: inputs, kvHeads: 1, headWidth: inputWidth };
  const bundles = [{ first: 0, count: 1 }];
  let number = 0;
  return split({ start: 0, blocks, room, most, blockBytes: pageWords(shape) * 4 }, (place) => {
    return new BlockArena(gpu, number++, shape, { ...place, bundles });
  });
}

/** [bundles] whose stores lie past the boundary. */
const beyond = ({ firstStore }: StreamedShape, bundles: readonly Bundle[]): boolean[] =>
  bundles.map(({ first }) => first >= firstStore);

const storeBytes = (pages: PageShape): number => pages.kvHeads * pageWords(pages) * 4;

function makeLater(
  gpu: Gpu,
  shape: StreamedShape,
  { bundles: all, pages, most, number: first }: Surroundings,
): BlockArena[] {
  const isLater = beyond(shape, all);
  const bundles = all.map((bundle, i) => (isLater[i] ? bundle : { ...bundle, count: 0 }));
  const blockBytes = storeBytes(pages) * Math.max(...bundles.map(({ count }) => count));
  let number = first;
  return split({ start: 0, blocks: shape.blocks, room: shape.room, most, blockBytes }, (place) => {
    return new BlockArena(gpu, number++, pages, { ...place, bundles });
  });
}

function makePassing(gpu: Gpu, shape: StreamedShape, around: Surroundings, first: number): PassingArena[] {
  const { bundles, pages, maxPages: blocks, room, most } = around;
  const passes = beyond(shape, bundles);
  let number = first;
  return split({ start: 0, blocks, room, most, blockBytes: storeBytes(pages) }, (place) => {
    return new PassingArena(gpu, number++, pages, passes, place);
  });
}

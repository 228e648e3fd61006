// The cache of a model on the GPU: arenas of pages, the lists through which attention finds them, and what is done to
// them between steps. Who holds which block is kept in blocks.ts and residence.ts, without a GPU.
import { assert } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Program } from "../gpu/program.ts";
import { Arena, BlockArena, type Bundle, bundlesOf, type PagePlace, pageWords, type Stretch } from "./arena.ts";
import { BLOCK_TOKENS, blocksFor } from "./blocks.ts";
import { type PageMove, Sealer } from "./edits.ts";
import { isSealed, type PageFormat, type WrittenFormat } from "./format.ts";
import type { Layout } from "./layout.ts";
import { ALL_SLOTS, type Entry, PageLists } from "./lists.ts";
import type { BlockMove } from "./blocks.ts";
import type { KeptPages, Tier } from "./residence.ts";

export interface CacheShape {
  layout: Layout;
  /** G */
  kvHeads: number;
  /** E, a multiple of 8 */
  headWidth: number;
  /** What blocks are stored in: the first is what projections write, a later one is made from it. */
  tiers: readonly Tier[];
  /** [stores] private pages of each store, for sequences that keep a part of their prompt; null: none do. */
  privatePages: readonly number[] | null;
  /** Sequences that can take part in a step at once. */
  sequences: number;
  /** Pages of the longest sequence. */
  maxPages: number;
  /** Blocks of each tier, and pages of a list, that there is room for at first. */
  room: number;
  /** Most bytes of one buffer; the adapter's limits hold besides. */
  arenaBytes: number;
  /** Row records that precede the page lists in their buffer. */
  records: number;
}

export class KvCache {
  readonly shape: CacheShape;
  readonly lists: PageLists;
  readonly bundles: readonly Bundle[];
  readonly arenas: readonly Arena[];
  readonly #blockArenas: readonly BlockArena[];
  /** Private pages of all sequences, where a recipe keeps parts of prompts. */
  readonly privateArena: Arena | null;
  readonly #gpu: Gpu;
  /** One block of one store, on its way to another one of the same format. */
  readonly #staging: GPUBuffer;
  readonly #sealer: Sealer | null;
  /** [sequences] arenas that the lists of a sequence lead to. */
  readonly #used: Set<number>[];
  /** [sequences, and those prepared] pages that the longest list has fewer than its tokens fill, and pages given up. */
  readonly #fewer: number[];
  readonly #givenUp: number[];
  #room: number;

  constructor(gpu: Gpu, shape: CacheShape) {
    this.#gpu = gpu;
    this.shape = shape;
    this.#room = shape.room;
    const most = Math.min(gpu.mostBytes, shape.arenaBytes);
    const largest = Math.max(...shape.tiers.map((tier) => tier.blocks * this.#blockBytes(tier.format)));
    this.bundles = bundlesOf(shape.layout, Math.max(1, Math.floor(most / largest)));
    this.#blockArenas = this.#makeBlockArenas(most);
    this.privateArena = this.#makePrivateArena(this.#blockArenas.length);
    this.arenas = this.privateArena ? [...this.#blockArenas, this.privateArena] : this.#blockArenas;
    const pages = Math.min(this.#room, shape.maxPages);
    this.lists = new PageLists(gpu, { ...shape, sequences: shape.sequences + 1, columns: this.columns, pages });
    this.#staging = gpu.buffer("block copy", this.#blockBytes(this.written), "scratch");
    const seals = shape.tiers.some(({ format }) => isSealed(format));
    const sealable = shape.tiers[0]!.blocks * this.columns;
    this.#sealer = seals ? new Sealer(gpu, this.arenas, shape.headWidth, sealable) : null;
    this.#used = Array.from({ length: shape.sequences }, () => new Set<number>());
    this.#fewer = Array.from({ length: shape.sequences + 1 }, () => 0);
    this.#givenUp = [...this.#fewer];
  }

  /** The format that projections write. */
  get written(): WrittenFormat {
    return this.shape.tiers[0]!.format as WrittenFormat;
  }

  /** Arenas that projections write: those of the first tier. */
  get writtenArenas(): readonly BlockArena[] {
    const [{ blocks }] = this.shape.tiers as [Tier];
    return this.#blockArenas.filter(({ first }) => first < blocks);
  }

  /** Lists of a sequence: stores · KV heads. */
  get columns(): number {
    return this.shape.layout.stores * this.shape.kvHeads;
  }

  /** The bundle that a store lies in. */
  bundleOf(store: number): number {
    return this.bundles.findIndex(({ first, count }) => store >= first && store < first + count);
  }

  /** Bundles of the stores from `first` on, `count` of them. */
  bundlesIn(first: number, count: number): (Bundle & { bundle: number })[] {
    return this.bundles
      .map((each, bundle) => ({ ...each, bundle }))
      .filter((each) => each.first >= first && each.first < first + count);
  }

  #blockBytes(format: PageFormat): number {
    const { kvHeads, headWidth } = this.shape;
    return kvHeads * pageWords({ format, kvHeads, headWidth }) * 4;
  }

  /** No buffer may exceed `most` bytes, so a tier of many blocks lies in several arenas. */
  #makeBlockArenas(most: number): BlockArena[] {
    const { tiers, kvHeads, headWidth } = this.shape;
    const arenas: BlockArena[] = [];
    let start = 0;
    for (const { format, blocks } of tiers) {
      const each = Math.max(1, Math.min(blocks, Math.floor(most / this.#blockBytes(format))));
      for (let done = 0; done < blocks; done += each) {
        const count = Math.min(each, blocks - done);
        const place = { bundles: this.bundles, first: start + done, count, room: Math.max(0, this.#room - done) };
        arenas.push(new BlockArena(this.#gpu, arenas.length, { format, kvHeads, headWidth }, place));
      }
      start += blocks;
    }
    return arenas;
  }

  #makePrivateArena(number: number): Arena | null {
    const { privatePages, kvHeads, headWidth } = this.shape;
    if (!privatePages) return null;
    const pages = this.bundles.map(({ first, count }) =>
      privatePages.slice(first, first + count).reduce((sum, own) => sum + own, 0),
    );
    return new Arena(this.#gpu, number, { format: this.written, kvHeads, headWidth }, pages, "kv private pages");
  }

  // ---- room ----

  /** Blocks of each tier, and pages of a list, that there is room for. */
  get room(): number {
    return this.#room;
  }

  /** Room that is needed for a block: as many as it and those before it in its tier. */
  roomFor(block: number): number {
    return block - this.#tierStart(block) + 1;
  }

  #tierStart(block: number): number {
    const [first] = this.shape.tiers as [Tier];
    return block < first.blocks ? 0 : first.blocks;
  }

  /**
   * Makes room for `blocks` blocks, and as many again as there are, so that what is copied is never more than what is used.
   * Programs that bind pages or lists must be built anew. Throws UnsupportedError where there is no memory; what is there
   * stays as it is.
   */
  async grow(blocks: number): Promise<void> {
    const most = Math.max(...this.shape.tiers.map((tier) => tier.blocks));
    const room = Math.min(most, Math.max(blocks, 2 * this.#room));
    for (const arena of this.#blockArenas) await arena.grow(room - (arena.first - this.#tierStart(arena.first)));
    await this.lists.grow(Math.min(room, this.shape.maxPages));
    this.#sealer?.forget();
    this.#room = room;
  }

  #arenaOf(block: number): BlockArena {
    const arena = this.#blockArenas.find((each) => each.holds(block));
    assert(arena, `block ${block} lies in no arena`);
    return arena;
  }

  /** Where the pages of a block lie, store by store (KV head 0 of each). */
  #places(block: number): { arena: BlockArena; places: PagePlace[] } {
    const arena = this.#arenaOf(block);
    const places = this.bundles.flatMap(({ first, count }, bundle) =>
      Array.from({ length: count }, (_, i) => arena.place(block, bundle, first + i)),
    );
    return { arena, places };
  }

  /** A sequence enters under this number: nothing kept, no page lost. */
  openSequence(sequence: number): void {
    this.#used[sequence]!.clear();
    this.#fewer[sequence] = this.#givenUp[sequence] = 0;
    this.lists.setHeaders(sequence, () => ({ kept: 0, liveFrom: 0, region: 0 }));
  }

  /** Makes `block` live page `index` of the sequence, in every list. */
  setPage(sequence: number, index: number, block: number): void {
    const { kvHeads } = this.shape;
    const { arena, places } = this.#places(block);
    this.#used[sequence]!.add(arena.number);
    this.lists.setEntries(sequence, index, (column) => {
      const word = places[Math.floor(column / kvHeads)]!.word + (column % kvHeads) * arena.pageWords;
      return [word, ALL_SLOTS, arena.number, index * BLOCK_TOKENS];
    });
  }

  /** The sequence has its first pages no longer, but private ones in each list. */
  setKept(sequence: number, kept: KeptPages): void {
    this.#used[sequence]?.add(this.privateArena!.number);
    const { liveFrom, region } = kept;
    this.lists.setHeaders(sequence, (column) => ({ kept: kept.pages[column]!.length, liveFrom, region }));
    const most = Math.max(...kept.pages.map(({ length }) => length));
    this.#fewer[sequence] = kept.liveFrom - most;
    this.#givenUp[sequence] = kept.liveFrom;
    for (let index = 0; index < most; index++) {
      this.lists.setEntries(sequence, index, (column) => this.#keptEntry(kept, column, index));
    }
  }

  /** Slots of the last page beyond the kept tokens hold nothing. Kept tokens lie before every later query: position 0 will do. */
  #keptEntry({ pages, tokens }: KeptPages, column: number, index: number): Entry {
    const arena = this.privateArena!;
    const page = pages[column]![index];
    if (page === undefined) return [0, 0, arena.number, 0];
    const left = tokens[column]! - index * BLOCK_TOKENS;
    const word = (this.#privateFirst(Math.floor(column / this.shape.kvHeads)) + page) * arena.pageWords;
    return [word, left >= BLOCK_TOKENS ? ALL_SLOTS : 2 ** left - 1, arena.number, 0];
  }

  /** Page 0 of a store's private pages, in its bundle. */
  #privateFirst(store: number): number {
    const { first } = this.bundles[this.bundleOf(store)]!;
    return this.shape.privatePages!.slice(first, store).reduce((sum, own) => sum + own, 0);
  }

  /** The number under which lists are prepared whose private pages are written in the coming step. */
  get preparedSequence(): number {
    return this.shape.sequences;
  }

  prepareKept(kept: KeptPages): void {
    this.setKept(this.preparedSequence, kept);
  }

  /** Where the pages of a block lie, store after store. */
  stretchesOfBlock(block: number): Stretch[] {
    const { arena, places } = this.#places(block);
    const bytes = this.shape.kvHeads * arena.pageWords * 4;
    return places.map(({ bundle, word }) => ({ buffer: arena.buffers[bundle]!, offset: word * 4, bytes }));
  }

  /** Where private pages lie, list after list. */
  stretchesOfKept(kept: KeptPages): Stretch[] {
    const { buffers, pageWords } = this.privateArena!;
    return kept.pages.flatMap((pages, column) => {
      const buffer = buffers[this.bundleOf(Math.floor(column / this.shape.kvHeads))]!;
      const offset = (index: number) => this.#keptEntry(kept, column, index)[0] * 4;
      return pages.map((_, index) => ({ buffer, offset: offset(index), bytes: pageWords * 4 }));
    });
  }

  /** Arenas that the lists of these sequences lead to, by number, in order. */
  usedArenas(sequences: Iterable<number>): number[] {
    const used = new Set<number>();
    for (const sequence of sequences) for (const arena of this.#used[sequence]!) used.add(arena);
    return [...used].sort((a, b) => a - b);
  }

  /** Pages of the longest list of a sequence that has so many tokens: those given up do not count, private ones do. */
  longestList(sequence: number, tokens: number): number {
    return blocksFor(tokens) - this.#fewer[sequence]!;
  }

  /** Pages that each list of a sequence has given up. */
  pagesGivenUp(sequence: number): number {
    return this.#givenUp[sequence]!;
  }

  /** The program, prepared, for the moves that change a block's format; null where none does. */
  async prepareSeals(moves: readonly BlockMove[]): Promise<Pick<Program<never>, "encode"> | null> {
    const placed = moves.map(({ from, to }) => [this.#places(from), this.#places(to)] as const);
    const seals = placed.filter(([from, to]) => from.arena.format !== to.arena.format);
    if (seals.length === 0) return null;
    assert(this.#sealer, "blocks change their format only where a recipe seals");
    return await this.#sealer.prepare(seals.flatMap(([from, to]) => this.#pageMoves(from, to)));
  }

  /** Encodes the moves within a format. */
  encodeCopies(encoder: GPUCommandEncoder, moves: readonly BlockMove[]): void {
    for (const { from, to } of moves) {
      const [source, target] = [this.#places(from), this.#places(to)];
      if (source.arena.format === target.arena.format) this.#copy(encoder, source, target);
    }
  }

  /** By way of a staging buffer: source and target may be one buffer. */
  #copy(encoder: GPUCommandEncoder, source: Placed, target: Placed): void {
    const bytes = this.#blockBytes(source.arena.format);
    for (const [i, from] of source.places.entries()) {
      const to = target.places[i]!;
      encoder.copyBufferToBuffer(source.arena.buffers[from.bundle]!, from.word * 4, this.#staging, 0, bytes);
      encoder.copyBufferToBuffer(this.#staging, 0, target.arena.buffers[to.bundle]!, to.word * 4, bytes);
    }
  }

  #pageMoves(source: Placed, target: Placed): PageMove[] {
    return source.places.flatMap((from, i) =>
      Array.from({ length: this.shape.kvHeads }, (_, head) => ({
        from: { ...from, word: from.word + head * source.arena.pageWords },
        to: { ...target.places[i]!, word: target.places[i]!.word + head * target.arena.pageWords },
      })),
    );
  }
}

interface Placed {
  arena: BlockArena;
  places: readonly PagePlace[];
}

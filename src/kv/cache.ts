// The cache of a model on the GPU: arenas of pages, the lists through which attention finds them, and what is done to
// them between steps. Who holds which block is kept in blocks.ts and residence.ts, without a GPU.
import { assert } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Program } from "../gpu/program.ts";
import {
  type Arena,
  BlockArena,
  type Bundle,
  bundlesOf,
  type PagePlace,
  pageWords,
  split,
  type Stretch,
} from "./arena.ts";
import { alignedBlocks, BLOCK_TOKENS, blocksFor } from "./blocks.ts";
import type { Choices } from "./choices.ts";
import type { Sealer } from "./edits.ts";
import { isSealed, type PageFormat, type WrittenFormat } from "./format.ts";
import type { Layout, StoreRange } from "./layout.ts";
import { ALL_SLOTS, PageLists } from "./lists.ts";
import type { BlockMove } from "./blocks.ts";
import type { Tier } from "./plan.ts";
import { type Growing, covers, grown, type Room } from "./room.ts";
import type { KeptPages } from "./kept.ts";
import type { Edits } from "./residence.ts";
import type { PrivateLists } from "./private.ts";
import type { StreamedBuffers, StreamedShape } from "./streamed.ts";

export interface CacheShape {
  layout: Layout;
  /** G */
  kvHeads: number;
  /** E, a multiple of 8 */
  headWidth: number;
  /** What blocks are stored in: the first is what projections write, a later one is made from it. */
  tiers: readonly Tier[];
  /** First stores of twins. Where there are any, only their pages are sealed, two into one. */
  twins: readonly number[];
  /** Format of private pages. */
  kept: PageFormat;
  /** [stores] private pages of each store, for sequences that keep a part of their prompt; null: none do. */
  privatePages: readonly number[] | null;
  /** Blocks of all regions of prompts at most, even; 0: a system keeps nothing there. */
  regions: number;
  /** Set where prompts are streamed. */
  streamed: StreamedShape | null;
  /** Words of what is chosen for a list at a prompt's end; 0: nothing is. */
  choiceWords: number;
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

/** What caches of recipes with systems are made of beside arenas (more.ts). */
export interface CacheParts {
  Sealer: typeof Sealer;
  StreamedBuffers: typeof StreamedBuffers;
  Choices: typeof Choices;
  PrivateLists: typeof PrivateLists;
}

export class KvCache {
  readonly shape: CacheShape;
  readonly lists: PageLists;
  readonly bundles: readonly Bundle[];
  readonly arenas: readonly Arena[];
  readonly #blockArenas: readonly BlockArena[];
  /** Private pages of all sequences, where a recipe keeps parts of prompts. */
  readonly privatePages: PrivateLists | null;
  readonly streamed: StreamedBuffers | null;
  readonly choices: Choices | null;
  readonly #gpu: Gpu;
  /** One block of one store, on its way to another one of the same format. */
  readonly #staging: GPUBuffer;
  readonly #sealer: Sealer | null;
  /** [sequences] arenas that the lists of a sequence lead to. */
  readonly #used: Set<number>[];
  /** [sequences, and those prepared] pages that the longest list has fewer than its tokens fill, and pages given up. */
  readonly #fewer: number[];
  readonly #givenUp: number[];
  readonly #growing: Growing[] = [];
  #room: Room;

  /** `parts`: null where a recipe is a format alone. */
  constructor(gpu: Gpu, shape: CacheShape, parts: CacheParts | null = null) {
    this.#gpu = gpu;
    this.shape = shape;
    const regions = Math.min(alignedBlocks(shape.room), shape.regions);
    const pages = Math.min(shape.room, shape.maxPages);
    this.#room = { blocks: shape.room, pages, later: shape.streamed?.room ?? 0, regions };
    const most = Math.min(gpu.mostBytes, shape.arenaBytes);
    const largest = Math.max(...shape.tiers.map((tier) => tier.blocks * this.#blockBytes(tier.format)));
    this.bundles = bundlesOf(shape.layout, Math.max(1, Math.floor(most / largest)), shape.twins);
    this.#blockArenas = this.#makeBlockArenas(most);
    this.streamed = this.#makeStreamed(most, parts);
    const whole = [...this.#blockArenas, ...(this.streamed?.arenas ?? [])];
    this.privatePages = shape.privatePages && new parts!.PrivateLists(gpu, whole.length, shape, this.bundles);
    this.arenas = this.privatePages ? [...whole, this.privatePages.arena] : whole;
    this.lists = new PageLists(gpu, { ...shape, sequences: shape.sequences + 1, columns: this.columns, pages });
    this.choices =
      shape.choiceWords === 0
        ? null
        : new parts!.Choices(gpu, { ...shape, columns: this.columns, words: shape.choiceWords });
    this.#staging = gpu.buffer("block copy", this.#stagedBytes(), "scratch");
    const seals = shape.tiers.some(({ format }) => isSealed(format));
    const sealable = shape.tiers[0]!.blocks * this.columns;
    this.#sealer = seals ? new parts!.Sealer(gpu, this, sealable) : null;
    this.#used = Array.from({ length: shape.sequences }, () => new Set<number>());
    this.#fewer = Array.from({ length: shape.sequences + 1 }, () => 0);
    this.#givenUp = [...this.#fewer];
  }

  /** The format that projections write. */
  get written(): WrittenFormat {
    return this.shape.tiers[0]!.format as WrittenFormat;
  }

  /** Arenas that lists of a store lead to. */
  arenasOf(store: number): readonly Arena[] {
    const bundle = this.bundleOf(store);
    return this.arenas.filter((arena) => arena.has(bundle));
  }

  /** Those that projections write: of the first tier, or where prompts are streamed, later and passing ones. */
  writtenArenasOf(store: number): readonly Arena[] {
    if (this.isLater(store)) return this.streamed!.arenas;
    const [{ blocks }] = this.shape.tiers as [Tier];
    return this.#blockArenas.filter(({ first }) => first < blocks);
  }

  /** Whether prompts are streamed and blocks hold nothing of the store. */
  isLater(store: number): boolean {
    return this.streamed !== null && store >= this.streamed.shape.firstStore;
  }

  /** Lists of a sequence: stores · KV heads, and where prompts are streamed, that of their inputs. */
  get columns(): number {
    return this.inputColumn + (this.shape.streamed ? 1 : 0);
  }

  /** The list of what enters the boundary's layer. */
  get inputColumn(): number {
    return this.shape.layout.stores * this.shape.kvHeads;
  }

  /** The bundle that a store lies in. */
  bundleOf(store: number): number {
    return this.bundles.findIndex(({ first, count }) => store >= first && store < first + count);
  }

  /** What bundles have of the stores from `first` on, `count` of them. */
  bundlesIn(first: number, count: number): (StoreRange & { bundle: number })[] {
    const ranges = this.bundles.map((each, bundle) => {
      const begin = Math.max(first, each.first);
      return { bundle, first: begin, count: Math.min(first + count, each.first + each.count) - begin };
    });
    return ranges.filter((range) => range.count > 0);
  }

  #blockBytes(format: PageFormat): number {
    const { kvHeads, headWidth } = this.shape;
    return kvHeads * pageWords({ format, kvHeads, headWidth }) * 4;
  }

  /** Of a block in the smallest buffer that has to hold some: of one store, or of twins. */
  #bundleBytes(format: PageFormat): number {
    const bytes = this.#blockBytes(format);
    return this.shape.twins.length > 0 ? Math.max(bytes, 2 * this.#blockBytes(this.written)) : bytes;
  }

  /** Of the largest stretch of a block that is copied. */
  #stagedBytes(): number {
    return Math.max(this.#blockBytes(this.written), this.streamed?.inputStretch(0).bytes ?? 0);
  }

  /** No buffer may exceed `most` bytes, so a tier of many blocks lies in several arenas. */
  #makeBlockArenas(most: number): BlockArena[] {
    const { tiers, kvHeads, headWidth, twins } = this.shape;
    const single = twins.length > 0 ? { single: this.written } : {};
    const bundles = this.bundles.map((bundle) =>
      this.shape.streamed && this.#beyond(bundle) ? { ...bundle, count: 0 } : bundle,
    );
    let [start, number] = [0, 0];
    return tiers.flatMap(({ format, blocks }) => {
      const size = { start, blocks, room: this.#room.blocks, blockBytes: this.#bundleBytes(format), most };
      start += blocks;
      return split(
        size,
        (place) =>
          new BlockArena(this.#gpu, number++, { format, kvHeads, headWidth }, { ...place, ...single, bundles }),
      );
    });
  }

  /** Whether blocks hold nothing of a bundle. */
  #beyond({ first }: Bundle): boolean {
    return first >= (this.shape.streamed?.firstStore ?? Infinity);
  }

  #makeStreamed(most: number, parts: CacheParts | null): StreamedBuffers | null {
    const { streamed, kvHeads, headWidth, tiers, maxPages } = this.shape;
    if (!streamed) return null;
    const pages = { format: this.written, kvHeads, headWidth };
    const [{ blocks }] = tiers as [Tier];
    const [room, number] = [this.#room.blocks, this.#blockArenas.length];
    return new parts!.StreamedBuffers(this.#gpu, streamed, {
      bundles: this.bundles,
      pages,
      blocks,
      maxPages,
      room,
      most,
      number,
    });
  }

  // ---- room ----

  get room(): Room {
    return this.#room;
  }

  hasRoom(wanted: Room): boolean {
    return covers(this.#room, wanted);
  }

  /** These grow with it from now on. */
  growsWith(part: Growing): void {
    this.#growing.push(part);
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
   * Makes room for `wanted`, and more (see `grown`). Throws UnsupportedError where there is no memory: what is in the cache stays as
   * it is. Either way, programs that bind pages, lists or what lies beside them must be built anew.
   */
  async grow(wanted: Room): Promise<void> {
    this.#sealer?.forget();
    const regions = alignedBlocks(wanted.regions);
    const room = grown(this.#room, { ...wanted, regions }, this.#mostRoom);
    await this.streamed?.grow(room.blocks, room.later);
    for (const arena of this.#blockArenas) await arena.grow(room.blocks - (arena.first - this.#tierStart(arena.first)));
    await this.lists.grow(room.pages);
    for (const each of this.#growing) await each.grow(room);
    this.#room = room;
  }

  get #mostRoom(): Room {
    const { tiers, streamed, regions, maxPages } = this.shape;
    const blocks = Math.max(...tiers.map((tier) => tier.blocks));
    return { blocks, pages: maxPages, later: streamed?.blocks ?? 0, regions };
  }

  #arenaOf(block: number): BlockArena {
    const arena = this.#blockArenas.find((each) => each.holds(block));
    assert(arena, `block ${block} lies in no arena`);
    return arena;
  }

  /** Where the pages of a block lie, store by store (KV head 0 of each). */
  placesOf(block: number): { arena: BlockArena; places: PagePlace[] } {
    const arena = this.#arenaOf(block);
    const places = this.bundles
      .filter((bundle) => !this.#beyond(bundle))
      .flatMap(({ first, count }, bundle) =>
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

  /** Makes `block` live page `index` of the sequence, in every list; where prompts are streamed, `later` in those of later stores. */
  setPage(sequence: number, { index, block, later }: Edits["pages"][number]): void {
    const { kvHeads } = this.shape;
    const { arena, places } = this.placesOf(block);
    const used = this.#used[sequence]!.add(arena.number);
    if (this.streamed && later !== undefined) used.add(this.streamed.laterArena(later, index));
    this.lists.setEntries(sequence, index, (column) => {
      if (this.streamed && column === this.inputColumn) return this.streamed.inputEntry(block, index);
      const [store, head] = [Math.floor(column / kvHeads), column % kvHeads];
      if (this.isLater(store)) return this.streamed!.laterEntry(later, store, head, index);
      const { word, twin, bundle } = places[store]!;
      return [word + head * arena.wordsOf(bundle) + twin, ALL_SLOTS, arena.number, index * BLOCK_TOKENS];
    });
  }

  /** The sequence has its first pages no longer, but private ones in each list. */
  setKept(sequence: number, kept: KeptPages): void {
    const used = this.#used[sequence];
    if (this.privatePages && kept.liveFrom > 0) used?.add(this.privatePages.arena.number);
    for (const arena of this.streamed?.passing ?? []) used?.delete(arena.number);
    const { liveFrom, region } = kept;
    this.lists.setHeaders(sequence, (column) => ({ kept: kept.pages[column]?.length ?? 0, liveFrom, region }));
    const most = Math.max(...kept.pages.map(({ length }) => length));
    this.#fewer[sequence] = kept.liveFrom - most;
    this.#givenUp[sequence] = kept.liveFrom;
    for (let index = 0; index < most; index++) {
      this.lists.setEntries(sequence, index, (column) => this.privatePages!.entry(kept, column, index));
    }
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
    const { arena, places } = this.placesOf(block);
    const own = places.filter(({ twin }) => twin === 0).map((place) => this.#stretch(arena, place));
    return this.streamed ? [...own, this.streamed.inputStretch(block)] : own;
  }

  #stretch(arena: BlockArena, { bundle, word }: PagePlace): Stretch {
    const bytes = this.shape.kvHeads * arena.wordsOf(bundle) * 4;
    return { buffer: arena.buffers[bundle]!, offset: word * 4, bytes };
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
    const seals = moves.filter(({ sequence }) => sequence !== undefined);
    if (seals.length === 0) return null;
    assert(this.#sealer, "blocks change their format only where a recipe seals");
    return await this.#sealer.prepare(seals);
  }

  /** Encodes what moves within a format: blocks, and pages beside those that are sealed. Before, these hold what they did. */
  encodeCopies(encoder: GPUCommandEncoder, moves: readonly BlockMove[]): void {
    for (const { from, to, sequence } of moves) if (sequence !== undefined) this.#copySingle(encoder, from, to);
    for (const { from, to, sequence } of moves) {
      if (sequence !== undefined) continue;
      const targets = this.stretchesOfBlock(to);
      for (const [i, source] of this.stretchesOfBlock(from).entries()) this.#copy(encoder, source, targets[i]!);
    }
  }

  /** Pages of a block that keep their format when it is sealed. */
  #copySingle(encoder: GPUCommandEncoder, from: number, to: number): void {
    const [source, target] = [this.placesOf(from), this.placesOf(to)];
    for (const [store, place] of target.places.entries()) {
      if (isSealed(target.arena.formatOf(place.bundle))) continue;
      const [{ buffer, offset }, into] = [this.#stretch(source.arena, source.places[store]!), this.#stretch(target.arena, place)]; // prettier-ignore
      encoder.copyBufferToBuffer(buffer, offset, into.buffer, into.offset, into.bytes);
    }
  }

  /** By way of a staging buffer: source and target may be one buffer. */
  #copy(encoder: GPUCommandEncoder, source: Stretch, target: Stretch): void {
    const { bytes } = source;
    encoder.copyBufferToBuffer(source.buffer, source.offset, this.#staging, 0, bytes);
    encoder.copyBufferToBuffer(this.#staging, 0, target.buffer, target.offset, bytes);
  }
}

// What one sequence holds in the cache: blocks of the tree, and in place of blocks it has given up, private pages of its
// own. Pure bookkeeping; what it asks of the GPU are edits, applied before the next step.
import { assert } from "../errors.ts";
import { BLOCK_TOKENS, type BlockMove, type BlockPool, blocksFor, commonLength, type Holder, ROOT } from "./blocks.ts";
import type { KeptPages, KeptPart, RetiringPage } from "./kept.ts";
import type { LaterBlocks, LaterPool, Made } from "./later.ts";
import type { PagePool } from "./pages.ts";
import type { CachePlan } from "./plan.ts";

/** Changes that must be on the GPU before the sequence's next row. */
export interface Edits {
  /** Page `index` is now `block`, and where prompts are streamed, `later` block: PASSING, or none yet. */
  pages: { index: number; block: number; later?: number | undefined }[];
  /** From now on the lists begin with these. */
  kept: KeptPages | null;
}

/** Stands in `blocks` for a released block. */
export const GONE = -1;

export class Residence implements Holder {
  readonly #pool: BlockPool;
  readonly #plan: CachePlan;
  readonly #privatePages: PagePool | null;
  /** Set where prompts are streamed. */
  readonly later: LaterBlocks | null;
  /** By page index; GONE before `liveFrom`. */
  readonly blocks: number[] = [];
  /** Slot i of the sequence holds, or held, token i. */
  readonly tokens: number[] = [];
  #published = 0;
  /** Tokens of a prompt whose blocks stay in the first tier until it has ended. */
  #pinnedUntil = 0;
  /** Blocks before this index lie in the last tier, or are gone. */
  #settled = 0;
  /** Null where all of every prompt stays. */
  readonly kept: KeptPart | null;
  readonly #changed = new Set<number>();
  #keptChanged = false;

  constructor(pool: BlockPool, plan: CachePlan, privatePages: PagePool | null, laterPool: LaterPool | null = null) {
    this.#pool = pool;
    this.#plan = plan;
    this.#privatePages = privatePages;
    this.kept = privatePages?.keptPart(plan) ?? null;
    this.later = laterPool && laterPool.blocks();
  }

  get length(): number {
    return this.tokens.length;
  }

  /** Blocks that it holds in the last tier, where they stay; with one tier all. */
  get settledBlocks(): number {
    return this.#pool.lastTier === 0 ? this.blocks.length : this.#settled;
  }

  // ---- the tree ----

  /** Whether only a part of this prompt stays, which is not chosen yet. */
  retains(prompt: readonly number[]): boolean {
    return !this.kept?.any && this.#plan.retain(prompt.length) !== null;
  }

  /** Tokens of this prompt that some are given up of, chunk after chunk; 0: none are before its end. */
  chunkedUntil(prompt: readonly number[]): number {
    return this.#plan.chunkTokens > 0 ? this.pagesGivenUp(prompt) * BLOCK_TOKENS : 0;
  }

  /** Tokens of its next such chunk; 0: none is left. */
  nextChunk(prompt: readonly number[]): number {
    return Math.max(0, Math.min(this.#plan.chunkTokens, this.chunkedUntil(prompt) - this.length));
  }

  /** Rows that repeat this prompt in a step, at most, before a part of it is chosen: there is room for them behind it. 0: none do. */
  repeatRows(prompt: readonly number[]): number {
    const { repeats, windowRows, context } = this.#plan;
    return repeats && this.retains(prompt) ? Math.min(windowRows, context - prompt.length) : 0;
  }

  /** Pages of this prompt that are given up at its end. */
  pagesGivenUp(prompt: readonly number[]): number {
    return this.#plan.retain(prompt.length)?.liveFrom ?? 0;
  }

  /**
   * Reuses what the tree holds of the beginning of `text`, which begins with `prompt`. Always left to compute: the last
   * token, whose logits are wanted, and for a prompt of which only a part is kept, the rows that decide which part and
   * all that follow. Returns the number of tokens already there; none without `reuse`. Only for an empty residence.
   */
  adopt(prompt: readonly number[], text: readonly number[] = prompt, reuse = true): number {
    assert(this.length === 0, "adopt into a residence that holds tokens");
    const retains = this.retains(prompt);
    const { repeats, windowRows } = this.#plan;
    this.#pinnedUntil = retains ? prompt.length : 0;
    const least = retains && !repeats ? Math.max(1, windowRows) : 1;
    const found = reuse && this.chunkedUntil(prompt) === 0 ? this.#find(retains ? prompt : text, least) : [];
    for (const { block, tokens } of found) {
      if (retains && this.#pool.tierOf(block) > 0) break; // nothing can be selected from sealed pages
      this.#pool.retain(block, this);
      this.#changed.add(this.blocks.push(block) - 1);
      this.tokens.push(...tokens);
    }
    this.#published = Math.floor(this.length / BLOCK_TOKENS);
    this.#settle();
    return this.length;
  }

  /** Whole blocks that `adopt(text)` would take over from sequences that hold them: no free block goes to those. */
  countShared(text: readonly number[]): number {
    let count = 0;
    for (const { block, tokens } of this.#find(text, 1)) {
      if (tokens.length < BLOCK_TOKENS || this.#pool.references(block) === 0) break;
      count++;
    }
    return count;
  }

  /** Blocks of the tree that begin like `text` without its last tokens, and what each has in common. */
  *#find(text: readonly number[], least: number): Generator<{ block: number; tokens: readonly number[] }> {
    const most = text.length - least;
    let parent = ROOT;
    for (let start = 0; start < most; start += BLOCK_TOKENS) {
      const wanted = text.slice(start, Math.min(start + BLOCK_TOKENS, most));
      const found = this.#pool.find(parent, wanted);
      // Only a block that projections write to can be continued in the middle.
      const usable = found && (found.shared === BLOCK_TOKENS || this.#pool.tierOf(found.block) === 0);
      if (usable) yield { block: found.block, tokens: wanted.slice(0, found.shared) };
      if (found?.shared !== BLOCK_TOKENS) return;
      parent = found.block;
    }
  }

  // ---- room ----

  /** Free blocks of the last tier, where blocks end up. */
  get free(): number {
    return this.#pool.free(this.#pool.lastTier);
  }

  /** Whether `reserve(count)`, and `complete(count)` where it is to follow, find enough free blocks. */
  fits(count: number, completes: boolean): boolean {
    const missing = completes ? (this.later?.missing(this.length + count, this.#passing(count)) ?? 0) : 0;
    return this.#needed(count) <= this.#pool.free(0) && missing <= (this.later?.free ?? 0);
  }

  /** Free blocks that `count` more tokens need: new ones, and one for the copy of a block that others hold too. */
  #needed(count: number): number {
    const more = Math.max(0, blocksFor(this.length + count) - this.blocks.length);
    return more + (this.#isShared(this.#openBlock(count)) ? 1 : 0);
  }

  #isShared(open: number | null): boolean {
    return open !== null && this.#pool.references(this.blocks[open]!) > 1;
  }

  /**
   * Makes room for `count` more tokens. Returns the copies that keep intact a block that others hold or, while there is
   * room, one in which an earlier prompt continued differently. The caller has checked `fits`.
   */
  reserve(count: number): BlockMove[] {
    assert(this.fits(count, false), `reserve ${count} tokens with ${this.#pool.free(0)} blocks free`);
    const want = blocksFor(this.length + count);
    const more = Math.max(0, want - this.blocks.length);
    const open = this.#openBlock(count);
    const copies: BlockMove[] = [];
    if (open !== null && (this.#isShared(open) || (this.#leadsOn(open) && this.#pool.free(0) > more))) {
      copies.push(this.#copy(open));
    } else if (open !== null) this.#pool.forget(this.blocks[open]!);
    while (this.blocks.length < want) this.#changed.add(this.blocks.push(this.#pool.take(this, 0)) - 1);
    return copies;
  }

  /** Index of the partly filled block that the next token goes to, or null. */
  #openBlock(count: number): number | null {
    return count > 0 && this.length % BLOCK_TOKENS > 0 ? Math.floor(this.length / BLOCK_TOKENS) : null;
  }

  #leadsOn(open: number): boolean {
    return this.#pool.leadsOn(this.blocks[open]!, this.length % BLOCK_TOKENS);
  }

  #copy(index: number): BlockMove {
    const from = this.blocks[index]!;
    const to = this.#pool.take(this, 0);
    this.#pool.release(from, this);
    this.blocks[index] = to;
    this.#changed.add(index);
    return { from, to };
  }

  /** Pages whose keys and values of later stores pass, where the prompt ends with `count` more tokens and a part of it is given up. */
  #passing(count: number): number {
    const end = this.length + count;
    return end === this.#pinnedUntil ? this.kept!.blocksGivenUp(end) : 0;
  }

  /**
   * With the step that appends `count` tokens to the reserved room, keys and values of all stores must be there for every
   * token: makes room for those of later stores. Returns the tokens for which they are to be made from what blocks hold;
   * null where blocks hold them all. Rows that decode write their own.
   */
  complete(count: number): Made | null {
    if (!this.later) return null;
    const { changed, made } = this.later.extend(this.length + count, this.#passing(count));
    for (const index of changed) this.#changed.add(index);
    return made;
  }

  /** Keys and values of `tokens` have been computed into the reserved room. Blocks they fill become findable. */
  append(tokens: readonly number[]): void {
    for (const token of tokens) this.tokens.push(token);
    assert(this.blocks.length * BLOCK_TOKENS >= this.length, "append without reserve");
    if (this.kept?.any) return; // rows computed after a part was dropped must not be reused
    while ((this.#published + 1) * BLOCK_TOKENS <= this.length) this.#publish(this.#published++);
  }

  #publish(index: number): void {
    const tokens = this.tokens.slice(index * BLOCK_TOKENS, (index + 1) * BLOCK_TOKENS);
    this.#pool.publish(this.blocks[index]!, this.blocks[index - 1] ?? ROOT, tokens);
  }

  // ---- the second tier ----

  /** Before the end of a prompt that will be selected from, and where it goes on in the middle of the block. */
  needsTierOf(block: number): boolean {
    const open = this.#openBlock(1);
    const isRepeated = this.#plan.repeats && this.length === this.#pinnedUntil && !this.kept?.any;
    return this.length < this.#pinnedUntil || isRepeated || (open !== null && this.blocks[open] === block);
  }

  /** Blocks that are due to change tier and may. */
  get dueBlocks(): number {
    if (this.#pool.lastTier === 0) return 0;
    const old = Math.floor((this.length - this.#plan.recent) / BLOCK_TOKENS);
    let due = 0;
    while (this.#settled + due < old && this.#mayChange(this.blocks[this.#settled + due]!)) due++;
    return due;
  }

  #mayChange(block: number): boolean {
    return this.#plan.sealsApart ? !this.needsTierOf(block) : this.#pool.canChange(block);
  }

  /** Moves the first `count` due blocks to the last tier, for all who hold them unless it seals apart. There is room. */
  seal(count: number): BlockMove[] {
    if (this.#plan.sealsApart) return this.#sealApart(count);
    return Array.from({ length: count }, () => {
      const from = this.blocks[this.#settled]!;
      const to = this.#pool.take(this, this.#pool.lastTier);
      this.#pool.replace(from, to);
      return { from, to };
    });
  }

  /** Returns the blocks to the tree, the last one first: the beginning of a text is what others look for. */
  #sealApart(count: number): BlockMove[] {
    const due = this.blocks.slice(this.#settled, this.#settled + count);
    const moves = due.map((from) => ({ from, to: this.#pool.take(this, this.#pool.lastTier) }));
    for (const { from, to } of moves.toReversed()) {
      this.#pool.release(from, this);
      this.replaced(from, to);
    }
    return moves;
  }

  replaced(from: number, to: number): void {
    const index = this.blocks.indexOf(from);
    this.blocks[index] = to;
    this.#changed.add(index);
    this.#settle();
  }

  #settle(): void {
    const { lastTier } = this.#pool;
    const isSettled = (block: number | undefined) =>
      block === GONE || (block !== undefined && this.#pool.tierOf(block) === lastTier && lastTier > 0);
    while (isSettled(this.blocks[this.#settled])) this.#settled++;
  }

  // ---- parts of a prompt ----

  /** At the end of the prompt, or of a chunk of it: see `KeptPart`. */
  keep(number: number, prompt: readonly number[] = this.tokens): KeptPages | null {
    if (this.#plan.chunkTokens === 0) return this.kept?.keep(this.tokens, number) ?? null;
    return this.length > this.chunkedUntil(prompt) ? null : this.kept!.keepSoFar(prompt.length, this.length);
  }

  /** Gives back the blocks of a chunk of which a part has been kept: the step that read them is launched. */
  passChunk(): void {
    if (this.#plan.chunkTokens > 0) this.#release(this.kept!.givenUpNext);
  }

  /** See `KeptPart`; `ending` is what `keep` gave. */
  decide(ending: KeptPages, tokens: readonly number[]): KeptPages {
    return this.kept!.decide(ending, tokens);
  }

  overdue(position: number): number {
    return this.kept?.overdue(position) ?? -1;
  }

  retire(position: number): RetiringPage | null {
    return this.kept?.retire(position) ?? null;
  }

  /**
   * What has changed since the last call, before the row at `position` where it has one. Blocks that are given up go with it: the
   * step that read them is launched.
   */
  takeEdits(position = 0): Edits {
    if (this.kept?.advance(position)) this.#giveUp(this.kept.now!.liveFrom);
    const kept = this.#keptChanged ? this.kept!.now : null;
    this.#keptChanged = false;
    const pages = [...this.#changed].map((index) => ({
      index,
      block: this.blocks[index]!,
      later: this.later?.at(index),
    }));
    this.#changed.clear();
    return { pages: pages.filter(({ block }) => block !== GONE), kept };
  }

  /** Pages before `liveFrom`. */
  #giveUp(liveFrom: number): void {
    this.#keptChanged = true;
    this.later?.giveUp(liveFrom);
    this.#release(liveFrom);
  }

  #release(liveFrom: number): void {
    for (let index = liveFrom - 1; index >= 0 && this.blocks[index] !== GONE; index--) {
      this.#pool.release(this.blocks[index]!, this, this.#plan.chunkTokens > 0);
      this.blocks[index] = GONE;
    }
    this.#settle();
  }

  // ---- going on later ----

  /** What is kept of a prompt, where that is for every text that begins so. */
  get keptForAll(): KeptPages | null {
    return this.#plan.repeats ? (this.kept?.now ?? null) : null;
  }

  /** Whether it holds what the tree has not, and can be left as it is, with so many rows in flight, to go on later. */
  canRest(inFlight: number): boolean {
    const isSettled = inFlight === 0 || this.#privatePages?.regions === null; // a row in flight chooses what the next one reads
    const isEnding = this.length < this.#pinnedUntil || this.kept?.ending;
    return isSettled && !isEnding && !this.later && (this.kept?.now ?? null) !== null;
  }

  /** Tokens of `text` that it can go on after, the last one left to compute; 0: none, for a page was given up where they end. */
  goesOn(text: readonly number[]): number {
    const shared = Math.min(commonLength(this.tokens, text), text.length - 1);
    const open = this.blocks[Math.floor(shared / BLOCK_TOKENS)];
    const isSealed = open !== undefined && open !== GONE && this.#pool.tierOf(open) > 0;
    const whole = isSealed ? shared - (shared % BLOCK_TOKENS) : shared;
    return whole < (this.kept?.now?.liveFrom ?? 0) * BLOCK_TOKENS ? 0 : whole;
  }

  /** Gives up what it holds after `length` tokens, as `goesOn` said. */
  cutTo(length: number): void {
    this.tokens.length = length;
    for (const block of this.blocks.splice(blocksFor(length))) this.#pool.release(block, this);
    this.#settled = Math.min(this.#settled, this.blocks.length);
  }

  /** Its lists are empty: all that it holds is to be put there with the next edits. */
  enterAgain(): void {
    for (const index of this.blocks.keys()) this.#changed.add(index);
    this.#keptChanged = (this.kept?.now ?? null) !== null;
  }

  /** It holds these besides (holdings.ts); what is whole becomes findable. */
  fill(tokens: readonly number[], blocks: readonly number[]): void {
    this.blocks.push(...blocks);
    this.enterAgain();
    this.#settle();
    this.append(tokens);
  }

  /**
   * The sequence is over: its blocks stay findable, a partly filled last one included, but they are free to be taken. What
   * stands for its prompt stays under `number`; without one it goes.
   */
  dispose(number: number | null = null): void {
    const kept = this.kept?.any;
    const open = this.#openBlock(1);
    if (!kept && open !== null && this.#pool.references(this.blocks[open]!) === 1) this.#publish(open);
    for (const block of this.blocks.splice(0).reverse()) if (block !== GONE) this.#pool.release(block, this);
    this.kept?.dispose(this.tokens, number);
    this.later?.dispose();
    this.tokens.length = 0;
    this.#published = this.#settled = this.#pinnedUntil = 0;
    this.#keptChanged = false;
    this.#changed.clear();
  }
}

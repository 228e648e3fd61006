// Which block of the cache holds which tokens, and for whom. Pure bookkeeping: no GPU, no text.
//
// A block is BLOCK_TOKENS consecutive cache slots of one sequence, in every store and KV head at once. Blocks form a
// tree: a block's parent is the block before it, so its place says which tokens it holds after which others. A new
// prompt walks down the tree and takes over what it shares with any earlier one (residence.ts).
//
// Blocks come in tiers: those of the first are what projections write to, those of a second hold the same tokens in
// another format. A block of the second tier takes the place of one of the first, in the tree and with all its holders.
import { assert, ceilDiv } from "../errors.ts";

/** Slots of a page, tokens of a block. */
export const BLOCK_TOKENS = 32;

/** Blocks that hold `tokens` tokens. */
export const blocksFor = (tokens: number): number => ceilDiv(tokens, BLOCK_TOKENS);

/** Regions of what stands for prompts (regions.ts) begin and end on a multiple of so many blocks. */
export const REGION_ALIGN = 2;

export const alignedBlocks = (blocks: number): number => REGION_ALIGN * ceilDiv(blocks, REGION_ALIGN);

/** Before the next step `to` gets what `from` holds: a copy within a tier, in another format from tier to tier. */
export interface BlockMove {
  from: number;
  to: number;
  /** The sequence that seals it; absent: a copy. */
  sequence?: number;
}

/** Who uses blocks: a residence. */
export interface Holder {
  /** Whether it minds that the block changes its tier. */
  needsTierOf(block: number): boolean;
  /** Block `from` is now `to`. */
  replaced(from: number, to: number): void;
}

/** The parent of a sequence's first block. */
export const ROOT = -1;

interface BlockState {
  tier: number;
  holders: Set<Holder>;
  /** Its parent in the tree; null while it cannot be found. */
  parent: number | null;
  /** What its slots hold, from slot 0 on. */
  tokens: readonly number[];
}

export const commonLength = (a: readonly number[], b: readonly number[]): number => {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
};

/** Stands for a later block (later.ts): the keys and values of this page pass. */
export const PASSING = -1;

export class BlockPool {
  readonly #states: BlockState[];
  /** By tier: blocks without a holder, least recently released first. They keep their contents until they are taken again. */
  #idle: Set<number>[];
  readonly #children = new Map<number, Set<number>>();
  readonly #counts: readonly number[];

  /** `tiers`: how many blocks each has. Numbers of blocks run through the tiers. */
  constructor(tiers: readonly number[]) {
    this.#counts = tiers;
    this.#states = tiers.flatMap((count, tier) =>
      Array.from({ length: count }, () => ({ tier, holders: new Set<Holder>(), parent: null, tokens: [] })),
    );
    this.#idle = this.#allIdle();
  }

  #allIdle(): Set<number>[] {
    const blocks = [...this.#states.keys()];
    return this.#counts.map((_, tier) => new Set(blocks.filter((block) => this.tierOf(block) === tier)));
  }

  get count(): number {
    return this.#states.length;
  }

  get lastTier(): number {
    return this.#idle.length - 1;
  }

  tierOf(block: number): number {
    return this.#states[block]!.tier;
  }

  /** Blocks of a tier that could be taken now. */
  free(tier: number): number {
    return this.#idle[tier]!.size;
  }

  /** [tiers] blocks that somebody holds. */
  get held(): number[] {
    return this.#counts.map((count, tier) => count - this.free(tier));
  }

  /** Blocks of all tiers that nobody holds. */
  get idle(): number {
    return this.#idle.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether a block that nobody holds can be found. */
  get keeps(): boolean {
    return this.#idle.some((blocks) => [...blocks].some((block) => this.#states[block]!.parent !== null));
  }

  references(block: number): number {
    return this.#states[block]!.holders.size;
  }

  /** An empty block of a tier, held by `holder` alone. The caller has checked `free`. */
  take(holder: Holder, tier: number): number {
    const [block] = this.#idle[tier]!;
    assert(block !== undefined, `take from tier ${tier}, which has no free block`);
    this.forget(block);
    this.retain(block, holder);
    return block;
  }

  retain(block: number, holder: Holder): void {
    const { tier, holders } = this.#states[block]!;
    assert(!holders.has(holder), `block ${block} retained twice by one holder`);
    holders.add(holder);
    this.#idle[tier]!.delete(block);
  }

  /** `first`: it is the first to be taken again, so that no other memory is used. */
  release(block: number, holder: Holder, first = false): void {
    const { tier, holders } = this.#states[block]!;
    assert(holders.delete(holder), `block ${block} released by somebody who does not hold it`);
    if (holders.size > 0) return;
    const idle = this.#idle[tier]!;
    this.#idle[tier] = first ? new Set([block, ...idle]) : idle.add(block);
  }

  /** Whether nobody who holds the block minds that it changes its tier. */
  canChange(block: number): boolean {
    for (const holder of this.#states[block]!.holders) if (holder.needsTierOf(block)) return false;
    return true;
  }

  /**
   * Gives all that `from` has, its place in the tree, what follows it and its holders, to `to`, which has just been taken.
   * Afterwards `from` has no holder, and its contents may be overwritten.
   */
  replace(from: number, to: number): void {
    const { parent, tokens, holders } = this.#states[from]!;
    const children = this.#children.get(from) ?? new Set();
    for (const child of children) this.#states[child]!.parent = to;
    this.#children.set(to, children);
    this.#children.delete(from);
    this.forget(from);
    if (parent !== null) this.#hang(to, parent, tokens);
    for (const holder of holders) {
      this.release(from, holder);
      if (!this.#states[to]!.holders.has(holder)) this.retain(to, holder);
      holder.replaced(from, to);
    }
  }

  /** Whether the tree offers more of the block than its first `slots`, or a block after it. */
  leadsOn(block: number, slots: number): boolean {
    return this.#states[block]!.tokens.length > slots || (this.#children.get(block)?.size ?? 0) > 0;
  }

  /** Makes the block findable: it holds `tokens` (1 to 32 of them) after the blocks up to `parent`. */
  publish(block: number, parent: number, tokens: readonly number[]): void {
    this.forget(block);
    this.#hang(block, parent, tokens);
  }

  #hang(block: number, parent: number, tokens: readonly number[]): void {
    Object.assign(this.#states[block]!, { parent, tokens: [...tokens] });
    const siblings = this.#children.get(parent);
    if (siblings) siblings.add(block);
    else this.#children.set(parent, new Set([block]));
  }

  /** The child of `parent` that shares most with the beginning of `tokens`. */
  find(parent: number, tokens: readonly number[]): { block: number; shared: number } | null {
    let best: { block: number; shared: number } | null = null;
    for (const block of this.#children.get(parent) ?? []) {
      const shared = commonLength(this.#states[block]!.tokens, tokens);
      if (shared > (best?.shared ?? 0)) best = { block, shared };
    }
    return best;
  }

  /** The cache has been overwritten: empties the tree. Only while no block has a holder. The lowest are taken first again. */
  forgetAll(): void {
    assert(this.idle === this.count, "forgetAll while blocks are held");
    for (const block of this.#states.keys()) this.forget(block);
    this.#idle = this.#allIdle();
  }

  /** Its contents are about to change: removes it, and what follows it, from the tree. */
  forget(block: number): void {
    const state = this.#states[block]!;
    if (state.parent === null) return;
    this.#children.get(state.parent)?.delete(block);
    Object.assign(state, { parent: null, tokens: [] });
    const children = this.#children.get(block) ?? [];
    this.#children.delete(block);
    for (const child of children) this.forget(child);
  }
}

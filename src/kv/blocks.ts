// Who owns which block of the cache. Pure bookkeeping: no GPU, no text.
//
// A block is BLOCK_TOKENS consecutive cache slots of one sequence, in every store and KV head at once. Blocks form a
// tree: a block's parent is the block before it, so its place says which tokens it holds after which others. A new
// prompt walks down the tree and takes over what it shares with any earlier one, the last block perhaps in part.
// A request holds its blocks while it runs; afterwards they stay in the tree until somebody needs the room, least
// recently used first. A block that several requests hold, or that an earlier prompt went on from otherwise, is copied
// before one of them writes to it; the latter only while there is room.
import { assert, ceilDiv } from "../errors.ts";

/** Slots of a page, tokens of a block. */
export const BLOCK_TOKENS = 32;

/** Blocks that hold `tokens` tokens. */
export const blocksFor = (tokens: number): number => ceilDiv(tokens, BLOCK_TOKENS);

/** The store must copy block `from` to block `to` before the next step. */
export interface BlockCopy {
  from: number;
  to: number;
}

/** The parent of a sequence's first block. */
const ROOT = -1;

interface Entry {
  references: number;
  /** Where it hangs in the tree; null while nobody can find it. */
  parent: number | null;
  /** What its slots hold, from slot 0 on. */
  tokens: readonly number[];
}

const commonLength = (a: readonly number[], b: readonly number[]): number => {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
};

export class BlockPool {
  readonly #entries: Entry[];
  /** Blocks nobody holds, least recently released first. They keep their contents until they are taken again. */
  readonly #idle: Set<number>;
  readonly #children = new Map<number, Set<number>>();

  constructor(count: number) {
    this.#entries = Array.from({ length: count }, () => ({ references: 0, parent: null, tokens: [] }));
    this.#idle = new Set(this.#entries.keys());
  }

  get count(): number {
    return this.#entries.length;
  }

  /** Blocks that could be taken now. */
  get free(): number {
    return this.#idle.size;
  }

  references(block: number): number {
    return this.#entries[block]!.references;
  }

  /** An empty block, held once. The caller has checked `free`. */
  take(): number {
    const [block] = this.#idle;
    assert(block !== undefined, "take from an empty pool");
    this.#idle.delete(block);
    this.forget(block);
    this.#entries[block]!.references = 1;
    return block;
  }

  retain(block: number): void {
    if (this.#entries[block]!.references++ === 0) this.#idle.delete(block);
  }

  release(block: number): void {
    const entry = this.#entries[block]!;
    assert(entry.references > 0, `block ${block} released twice`);
    if (--entry.references === 0) this.#idle.add(block);
  }

  /** Whether somebody could find more in the block than its first `slots`, or anything after it. */
  leadsOn(block: number, slots: number): boolean {
    return this.#entries[block]!.tokens.length > slots || (this.#children.get(block)?.size ?? 0) > 0;
  }

  /** Makes the block findable: it holds `tokens` (1 to 32 of them) after the blocks up to `parent`. */
  publish(block: number, parent: number, tokens: readonly number[]): void {
    this.forget(block);
    Object.assign(this.#entries[block]!, { parent, tokens: [...tokens] });
    const siblings = this.#children.get(parent);
    if (siblings) siblings.add(block);
    else this.#children.set(parent, new Set([block]));
  }

  /** The child of `parent` that shares most with the beginning of `tokens`. */
  find(parent: number, tokens: readonly number[]): { block: number; shared: number } | null {
    let best: { block: number; shared: number } | null = null;
    for (const block of this.#children.get(parent) ?? []) {
      const shared = commonLength(this.#entries[block]!.tokens, tokens);
      if (shared > (best?.shared ?? 0)) best = { block, shared };
    }
    return best;
  }

  /** Something else has written over the cache: nothing in it can be found any more. Only while nobody holds a block. */
  forgetAll(): void {
    assert(this.free === this.count, "forgetAll while blocks are held");
    for (const block of this.#entries.keys()) this.forget(block);
  }

  /** Its contents are about to change: nobody may find it, or what follows it, any more. */
  forget(block: number): void {
    const entry = this.#entries[block]!;
    if (entry.parent === null) return;
    this.#children.get(entry.parent)?.delete(block);
    Object.assign(entry, { parent: null, tokens: [] });
    const children = this.#children.get(block) ?? [];
    this.#children.delete(block);
    for (const child of children) this.forget(child);
  }
}

/** The blocks of one running request and the tokens whose keys and values they hold. */
export class BlockList {
  readonly #pool: BlockPool;
  readonly blocks: number[] = [];
  /** Slot i of the sequence holds token i. */
  readonly tokens: number[] = [];
  #published = 0;

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  get length(): number {
    return this.tokens.length;
  }

  /**
   * Takes over what the tree holds of the beginning of `prompt`, but leaves the last token to compute, because its
   * logits are wanted. Returns the number of tokens already there. Only for an empty list.
   */
  adopt(prompt: readonly number[]): number {
    assert(this.length === 0, "adopt into a list that holds tokens");
    for (const { block, tokens } of this.#find(prompt)) {
      this.#pool.retain(block);
      this.blocks.push(block);
      this.tokens.push(...tokens);
    }
    this.#published = Math.floor(this.length / BLOCK_TOKENS);
    return this.length;
  }

  /** Whole blocks that `adopt(prompt)` would take over from requests that hold them: no free block goes to those. */
  countShared(prompt: readonly number[]): number {
    let count = 0;
    for (const { block, tokens } of this.#find(prompt)) {
      if (tokens.length < BLOCK_TOKENS || this.#pool.references(block) === 0) break;
      count++;
    }
    return count;
  }

  /** The blocks of the tree that begin like `prompt` without its last token, and the tokens that each has in common. */
  *#find(prompt: readonly number[]): Generator<{ block: number; tokens: readonly number[] }> {
    const most = prompt.length - 1;
    let parent = ROOT;
    for (let start = 0; start < most; start += BLOCK_TOKENS) {
      const wanted = prompt.slice(start, Math.min(start + BLOCK_TOKENS, most));
      const found = this.#pool.find(parent, wanted);
      if (found) yield { block: found.block, tokens: wanted.slice(0, found.shared) };
      if (found?.shared !== BLOCK_TOKENS) return;
      parent = found.block;
    }
  }

  /** Blocks that could be taken now, by anybody. */
  get free(): number {
    return this.#pool.free;
  }

  /** Whether `reserve(count)` finds enough free blocks. */
  fits(count: number): boolean {
    return this.#needed(count) <= this.#pool.free;
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
   * Makes room for `count` more tokens. Returns the list indices whose block changed and the copies that keep intact
   * a block that others hold or, while there is room, one in which an earlier prompt went on otherwise. The caller has
   * asked whether it fits.
   */
  reserve(count: number): { fresh: number[]; copies: BlockCopy[] } {
    assert(this.fits(count), `reserve ${count} tokens with ${this.#pool.free} blocks free`);
    const want = blocksFor(this.length + count);
    const more = Math.max(0, want - this.blocks.length);
    const open = this.#openBlock(count);
    const fresh: number[] = [];
    const copies: BlockCopy[] = [];
    if (open !== null && (this.#isShared(open) || (this.#leadsOn(open) && this.#pool.free > more))) {
      copies.push(this.#copy(open));
      fresh.push(open);
    } else if (open !== null) this.#pool.forget(this.blocks[open]!);
    while (this.blocks.length < want) fresh.push(this.blocks.push(this.#pool.take()) - 1);
    return { fresh, copies };
  }

  /** Index of the partly filled block that the next token goes to, or null. */
  #openBlock(count: number): number | null {
    return count > 0 && this.length % BLOCK_TOKENS > 0 ? Math.floor(this.length / BLOCK_TOKENS) : null;
  }

  #leadsOn(open: number): boolean {
    return this.#pool.leadsOn(this.blocks[open]!, this.length % BLOCK_TOKENS);
  }

  #copy(index: number): BlockCopy {
    const from = this.blocks[index]!;
    const to = this.#pool.take();
    this.#pool.release(from);
    this.blocks[index] = to;
    return { from, to };
  }

  /** Keys and values of `tokens` have been computed into the reserved room. Blocks they fill become findable. */
  append(tokens: readonly number[]): void {
    for (const token of tokens) this.tokens.push(token);
    assert(this.blocks.length * BLOCK_TOKENS >= this.length, "append without reserve");
    while ((this.#published + 1) * BLOCK_TOKENS <= this.length) this.#publish(this.#published++);
  }

  #publish(index: number): void {
    const tokens = this.tokens.slice(index * BLOCK_TOKENS, (index + 1) * BLOCK_TOKENS);
    this.#pool.publish(this.blocks[index]!, this.blocks[index - 1] ?? ROOT, tokens);
  }

  /** The request is over: its blocks stay findable, a partly filled last one included, but anybody may take them. */
  dispose(): void {
    const open = this.#openBlock(1);
    if (open !== null && this.#pool.references(this.blocks[open]!) === 1) this.#publish(open);
    for (const block of this.blocks.splice(0).reverse()) this.#pool.release(block);
    this.tokens.length = 0;
    this.#published = 0;
  }
}

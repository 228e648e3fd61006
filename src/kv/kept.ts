// What one sequence keeps of its prompt in private pages, with the region of what stands for the rest; and which pages of
// its reply follow. Pure bookkeeping.
import { assert } from "../errors.ts";
import { BLOCK_TOKENS, blocksFor, commonLength } from "./blocks.ts";
import type { Parked } from "./parked.ts";
import { type CachePlan, type Retention, retainedOf } from "./plan.ts";
import type { Regions } from "./regions.ts";
import type { Left, Standing } from "./standing.ts";

/** A retention with its private pages. */
export interface KeptPages extends Retention {
  /** [columns][⌈tokens / 32⌉] page numbers among those of the list's store. */
  pages: readonly (readonly number[])[];
  /** First block of the region in which a system's state stands for the pages given up; 0 where no system has one. */
  region: number;
  /** Blocks of it that were made for an earlier prompt. */
  standing: number;
}

/** A page of a reply that goes once it is time: what stands for it is made in this step. */
export interface RetiringPage {
  index: number;
  region: number;
}

/** How far a reply has come that follows such a prompt. */
export interface ReplyPages {
  /** Pages given up at the prompt's end. */
  promptPages: number;
  /** The row before which the next page goes, where what stands for it has been made. */
  goesAt: number | null;
}

/** Blocks of its region in which something stands. */
export const blocksStanding = ({ liveFrom }: KeptPages, { goesAt }: ReplyPages): number =>
  liveFrom + (goesAt === null ? 0 : 1);

/** Where its pages and regions come from: pages.ts. */
interface Pool {
  readonly regions: Regions | null;
  readonly standing: Standing | null;
  readonly parked: Parked;
  take(counts: readonly number[]): number[][];
  release(pages: KeptPages["pages"]): void;
}

export class KeptPart {
  readonly #plan: CachePlan;
  readonly #pool: Pool;
  #now: KeptPages | null = null;
  /** Kept, but lists and blocks change with the next edits only: the step that selects still reads them. */
  #next: KeptPages | null = null;
  /** Blocks given up at the prompt's end: what stands for them may serve a later prompt, as rows of a reply may not. */
  #madeFor = 0;
  /** What stands for the first live page has been made; it goes with the edits before the row at this position. */
  #retiring: { goesAt: number } | null = null;

  constructor(plan: CachePlan, pool: Pool) {
    this.#plan = plan;
    this.#pool = pool;
  }

  /** As lists say; null: nothing has been given up. */
  get now(): KeptPages | null {
    return this.#now;
  }

  /** Whether a part is kept, or will be with the next edits. */
  get any(): boolean {
    return (this.#now ?? this.#next) !== null;
  }

  /** A prompt is ending: the next edits make the change. */
  get ending(): boolean {
    return this.#next !== null;
  }

  /** Blocks that a prompt of so many tokens gives up; none where there is no region for what stands for them. */
  blocksGivenUp(tokens: number): number {
    const blocks = this.#plan.retain(tokens)?.liveFrom ?? 0;
    return (this.#pool.regions?.fits(blocks) ?? true) ? blocks : 0;
  }

  /**
   * At the end of `prompt`, of the sequence with this number: takes private pages for what stays of it. Returns null where all
   * of it stays, also for want of a region for what stands for the rest, and where a part of an earlier one's stays.
   */
  keep(prompt: readonly number[], number: number): KeptPages | null {
    const retention = this.#plan.retain(prompt.length);
    if (!retention || (this.any && this.#plan.repeats)) return null;
    assert(!this.any, "a part of a prompt is kept once, in private pages");
    const place = this.#takeRegion(prompt, number, retention.liveFrom);
    if (!place) return null;
    const { most, ...plain } = retention;
    const tokens = most ?? plain.tokens;
    this.#next = { ...plain, tokens, ...place, pages: this.#pool.take(tokens.map(blocksFor)) };
    this.#madeFor = retention.liveFrom;
    return this.#next;
  }

  /** The same after so many of a prompt's tokens, whole pages, where some go chunk by chunk: each list has what it kept before, and takes pages for more. */
  keepSoFar(prompt: number, tokens: number): KeptPages {
    const now = retainedOf(this.#plan.retain(prompt)!, tokens);
    const pages = this.#now?.pages ?? now.tokens.map(() => []);
    const more = this.#pool.take(now.tokens.map((count, column) => blocksFor(count) - pages[column]!.length));
    const grown = pages.map((own, column) => [...own, ...more[column]!]);
    this.#next = { ...now, pages: grown, region: 0, standing: 0 };
    this.#madeFor = now.liveFrom;
    return this.#next;
  }

  /** Pages before this one are read no more once the step that was planned last is launched. */
  get givenUpNext(): number {
    return this.#next?.liveFrom ?? 0;
  }

  /** What each list of `ending` keeps is known: pages beyond that go back, unless the sequence is over. */
  decide(ending: KeptPages, tokens: readonly number[]): KeptPages {
    const needed = (column: number) => blocksFor(tokens[column]!);
    const kept = { ...ending, tokens, pages: ending.pages.map((own, column) => own.slice(0, needed(column))) };
    if (this.#next !== ending) return kept;
    this.#pool.release(ending.pages.map((own, column) => own.slice(needed(column))));
    this.#next = kept;
    return kept;
  }

  #takeRegion(
    prompt: readonly number[],
    number: number,
    blocks: number,
  ): Pick<KeptPages, "region" | "standing"> | null {
    const { regions, standing } = this.#pool!;
    if (!regions || !standing) return { region: 0, standing: 0 };
    const left = standing.take(number);
    const stands = left ? this.#standsFor(left, prompt, blocks) : 0;
    if (left && stands > 0 && this.#resize(left.region, blocks)) return { region: left.region, standing: stands };
    if (left) regions.release(left.region);
    // What stands for replies that are over gives way to the room that this one may need.
    let region = regions.take(blocks);
    while (region === null && standing.dropOldest()) region = regions.take(blocks);
    region ??= regions.squeeze(blocks);
    while (region === null && this.#pool.parked.dropOldest()) region = regions.squeeze(blocks);
    return region === null ? null : { region, standing: 0 };
  }

  /** What stands for a prompt whose reply is over goes if it is in the way. */
  #resize(region: number, blocks: number): boolean {
    const { regions, standing } = this.#pool;
    while (!regions!.resize(region, blocks)) if (!standing!.giveWay(region)) return false;
    return true;
  }

  /** Blocks of this prompt, of those that it gives up, that an earlier one's state stands for as its own would. */
  #standsFor({ tokens }: Left, prompt: readonly number[], blocks: number): number {
    const base = this.#plan.baseBlocks(blocks);
    if (this.#plan.baseBlocks(tokens.length / BLOCK_TOKENS) !== base) return 0;
    const shared = Math.floor(commonLength(tokens, prompt) / BLOCK_TOKENS);
    return shared < base ? 0 : Math.min(shared, blocks);
  }

  /** How long ago, at the row at `position`, what stands for the next page of the reply should have been made; below 0: not yet. */
  overdue(position: number): number {
    const { retiring } = this.#plan;
    if (!retiring || !this.#now || this.#retiring) return -1;
    return position - (this.#now.liveFrom + 1) * BLOCK_TOKENS - retiring.after;
  }

  /** The next page, which goes once it is time: in the step of `position` what stands for it is made. Null where there is no room. */
  retire(position: number): RetiringPage | null {
    const { liveFrom: index, region } = this.#now!;
    const due = position - this.overdue(position);
    if (!this.#pool.regions!.isFilled(region, index) || !this.#resize(region, index + 1)) return null;
    this.#retiring = { goesAt: Math.max(position + 1, due + this.#plan.retiring!.within) };
    return { index, region };
  }

  /** Whether lists change before the row at `position`: then `now` says how they begin. */
  advance(position: number): boolean {
    const retires = this.#retiring && this.#retiring.goesAt <= position;
    if (!this.#next && !retires) return false;
    this.#now = this.#next ?? { ...this.#now!, liveFrom: this.#now!.liveFrom + 1 };
    this.#next = this.#retiring = null;
    return true;
  }

  get reply(): ReplyPages | null {
    return this.#now && { promptPages: this.#madeFor, goesAt: this.#retiring?.goesAt ?? null };
  }

  /** What is kept from now on; its pages are the caller's. */
  set(kept: KeptPages | null, reply: ReplyPages | null): void {
    this.#now = kept;
    this.#madeFor = reply?.promptPages ?? 0;
    this.#retiring = reply && reply.goesAt !== null ? { goesAt: reply.goesAt } : null;
  }

  /** Whether there is room for what another cache of the same plan held, once nothing rests any more. */
  fits(kept: KeptPages, reply: ReplyPages): boolean {
    return this.#pool.regions?.fits(blocksStanding(kept, reply)) ?? true;
  }

  /** Takes private pages and a region as another cache of the same plan held them. There is room. */
  restore(kept: KeptPages, reply: ReplyPages): KeptPages {
    const { regions } = this.#pool;
    const blocks = blocksStanding(kept, reply);
    const region = regions?.take(blocks) ?? regions?.squeeze(blocks) ?? 0;
    return { ...kept, region, pages: this.#pool.take(kept.tokens.map(blocksFor)) };
  }

  /** The sequence is over. What stands for its prompt, which began with `tokens`, stays under `number`; without one it goes. */
  dispose(tokens: readonly number[], number: number | null): void {
    const kept = this.#next ?? this.#now;
    if (kept) this.#pool.release(kept.pages);
    if (kept) this.#leaveRegion(kept.region, tokens, number);
    this.#now = this.#next = this.#retiring = null;
  }

  #leaveRegion(region: number, tokens: readonly number[], number: number | null): void {
    const { regions, standing } = this.#pool!;
    if (number === null) regions?.release(region);
    else standing?.put(number, { region, tokens: tokens.slice(0, this.#madeFor * BLOCK_TOKENS) });
  }
}

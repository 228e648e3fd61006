// A resolved recipe: the tiers, private pages and plan of a cache for one model, and what they cost.
import type { KvModel } from "../api.ts";
import { alignUp } from "../errors.ts";
import { alignedBlocks, BLOCK_TOKENS, blocksFor } from "./blocks.ts";
import { isSealed, keptFormat, type PageFormat, type WrittenFormat } from "./format.ts";
import type { Layout } from "./layout.ts";
import type { StreamedPlan, Streaming } from "./later.ts";
import type { CachePlan, Retention, Tier } from "./plan.ts";
import type { Choosing, KvBounds, KvSystem, Retaining, SealedPages, StateBytes } from "./system.ts";

/** What a cache is built from, for one model. */
export interface ResolvedCache {
  model: KvModel;
  written: WrittenFormat;
  systems: readonly KvSystem[];
  layout: Layout;
  sealed: SealedPages | null;
  /** First stores of twins. */
  twins: readonly number[];
  choosing: Choosing | null;
  retaining: Retaining | null;
  /** Format of private pages. */
  kept: PageFormat;
  streaming: Streaming | null;
  /** Why prompts are streamed or not; null where there is nothing to stream. */
  streamingReason: string | null;
}

export function resolve(
  model: KvModel,
  written: WrittenFormat,
  layout: Layout,
  systems: readonly KvSystem[],
): ResolvedCache {
  const choosing = systems.find((system) => system.choosing)?.choosing ?? null;
  const sealed = systems.find((system) => system.sealed)?.sealed!(written) ?? null;
  const parts = {
    written,
    layout,
    sealed: choosing ? choosing.seal(written, sealed) : sealed,
    choosing,
    retaining: systems.find(({ retaining }) => retaining)?.retaining ?? null,
  };
  const twins = parts.sealed?.twins?.(parts.layout) ?? [];
  if (parts.sealed?.twins && twins.length === 0) parts.sealed = null;
  const { streaming, why } = parts.retaining?.streams?.(model, parts) ?? { streaming: null, why: null };
  const kept =
    parts.retaining?.merging?.format(written) ??
    keptFormat(written, parts.sealed?.format ?? written, choosing !== null);
  return { model, systems, ...parts, twins, kept, streaming, streamingReason: why };
}

/** The same layout and format, and nothing else. */
export const withoutSystems = (cache: ResolvedCache): ResolvedCache => ({
  ...cache,
  systems: [],
  sealed: null,
  twins: [],
  retaining: null,
  streaming: null,
});

/** Blocks of the first tier where older ones leave it: two chunks, and the recent tokens of each sequence. */
const firstTierBlocks = ({ rows, sequences }: KvBounds, recent: number): number =>
  2 * blocksFor(rows) + 1 + sequences * (blocksFor(recent) + 2);

/** Tiers of a cache. Where something is decided at the end of prompts, the first one holds them whole. */
export function tiersOf({ written, sealed, retaining, choosing }: ResolvedCache, bounds: KvBounds): Tier[] {
  const blocks = blocksFor(bounds.context);
  if (!sealed) return [{ format: written, blocks }];
  const first = retaining || choosing ? blocks : Math.min(blocks, firstTierBlocks(bounds, sealed.recent));
  return [
    { format: written, blocks: first },
    { format: sealed.format, blocks },
  ];
}

/** [stores] private pages that all sequences can need at once; none keeps more than the context. */
export function privatePagesOf({ model, retaining }: ResolvedCache, { sequences, context }: KvBounds): number[] | null {
  const pages = (most: number) => sequences * model.kvHeads * blocksFor(Math.min(most, context));
  return retaining && retaining.most.map(pages);
}

/** Private pages of all sequences, to be shared out: none are where something is chosen from and all of it stays. */
function sharedPages(resolved: ResolvedCache, bounds: KvBounds): number[] | null {
  const none = resolved.choosing && Array.from({ length: resolved.layout.stores }, () => 0);
  return privatePagesOf(resolved, bounds) ?? none;
}

/** Rows at the end of a prompt that decide something, of these systems together. */
export const windowRowsOf = (systems: readonly KvSystem[]): number =>
  Math.max(
    0,
    ...systems.flatMap(({ retaining, choosing }) => [retaining, choosing]).map((part) => part?.windowRows ?? 0),
  );

/** All of a prompt stays in its blocks, of a sequence that goes on by itself from there. */
const wholeOf = ({ layout, model }: ResolvedCache): Retention => ({
  tokens: Array.from({ length: layout.stores * model.kvHeads }, () => 0),
  liveFrom: 0,
});

/** Blocks of prompts that a state has room for: as many as the cache; null where there is none. */
export const stateBlocksOf = ({ retaining }: ResolvedCache, { context }: KvBounds): number | null =>
  retaining?.recalls ? alignedBlocks(blocksFor(context)) : null;

export function planOf(resolved: ResolvedCache, bounds: KvBounds): CachePlan {
  const { sealed, retaining, choosing, model } = resolved;
  const stores = sharedPages(resolved, bounds);
  const whole = choosing && wholeOf(resolved);
  const tiers = tiersOf(resolved, bounds);
  return {
    context: alignUp(bounds.context, BLOCK_TOKENS),
    tiers: tiers.map(({ blocks }) => blocks),
    blockBytes: tiers.map(({ format }) => BLOCK_TOKENS * blockTokenBytes(resolved, format)),
    pageBytes: BLOCK_TOKENS * tokenBytes(resolved.kept, model),
    stateBytes: stateBytesOf(resolved.systems),
    streamed: streamedPlanOf(resolved, bounds),
    recent: sealed?.recent ?? Infinity,
    sealsApart: choosing !== null,
    windowRows: windowRowsOf(resolved.systems),
    repeats: retaining?.repeats ?? false,
    chunkTokens: retaining?.chunkTokens ?? 0,
    privatePages: stores && { stores, kvHeads: model.kvHeads, stateBlocks: stateBlocksOf(resolved, bounds) },
    retain: (tokens) => retaining?.retain(tokens) ?? whole,
    baseBlocks: (given) => retaining?.basePages?.(given) ?? given,
    retiring: retaining?.retiring ? { after: retaining.retiring.after, within: bounds.sequences } : null,
  };
}

/** Bytes of a token in a block: of all stores, or where prompts are streamed, of those before the boundary and of what enters it. */
function blockTokenBytes(resolved: ResolvedCache, format: PageFormat): number {
  const { streaming } = resolved;
  const all = listsBytes(resolved, format);
  return streaming ? all - streaming.bytes.later + streaming.bytes.input : all;
}

/** As many later blocks as blocks: a reply alone may be as long as the context. */
function streamedPlanOf({ streaming }: ResolvedCache, { context }: KvBounds): StreamedPlan | null {
  if (!streaming) return null;
  const { later, one } = streaming.bytes;
  return { blocks: blocksFor(context), blockBytes: BLOCK_TOKENS * later, passingBytes: BLOCK_TOKENS * one };
}

/** Of all systems together. */
const stateBytesOf = (systems: readonly KvSystem[]): StateBytes =>
  systems.reduce(
    (sum, { stateBytes = { block: 0, prompt: 0 } }) => ({
      block: sum.block + stateBytes.block,
      prompt: sum.prompt + stateBytes.prompt,
    }),
    { block: 0, prompt: 0 },
  );

/** Bytes of a token in all lists; sealed ones of twins are one, and the others as they were written. */
function listsBytes({ model, layout, twins, written }: ResolvedCache, format: PageFormat): number {
  const single = twins.length > 0 && isSealed(format) ? written : format;
  const joined = isSealed(format) ? twins.length : 0;
  const lists = (layout.stores - 2 * joined) * tokenBytes(single, model) + joined * tokenBytes(format, model);
  return model.kvHeads * lists;
}

/** Bytes of one token in one list. */
const tokenBytes = (format: PageFormat, { headWidth }: KvModel): number => (format.words(headWidth) * 4) / BLOCK_TOKENS;

/** Bytes of keys and values after a prompt of `tokens` tokens: what is kept of it, `retention`, and of that what has changed format. */
export function bytesOf(resolved: ResolvedCache, tokens: number, retention: Retention | null): number {
  const { model, written, sealed, systems, streaming } = resolved;
  const inputs = streaming?.bytes.input ?? 0;
  const gone = (retention?.liveFrom ?? 0) * BLOCK_TOKENS;
  const older = sealed ? Math.max(0, Math.floor((tokens - sealed.recent) / BLOCK_TOKENS) * BLOCK_TOKENS - gone) : 0;
  const exact = tokens - gone - older;
  const live = exact * listsBytes(resolved, written) + (sealed ? older * listsBytes(resolved, sealed.format) : 0);
  const { block, prompt } = stateBytesOf(systems);
  const state = retention ? retention.liveFrom * block + prompt : 0;
  return live + exact * inputs + keptTokens(retention) * tokenBytes(resolved.kept, model) + state;
}

/** Most bytes that a reply alone holds, at the end of a prompt of `tokens` tokens: its blocks, beside what is kept of them. */
export function peakOf(resolved: ResolvedCache, tokens: number): number {
  const { retaining, sealed } = resolved;
  const bounds = { context: tokens, rows: tokens, sequences: 1 };
  const { blockBytes, pageBytes, stateBytes, streamed } = planOf(resolved, bounds);
  const retention = retaining?.retain(tokens) ?? null;
  const liveFrom = retention?.liveFrom ?? 0;
  const settled = sealed && !retention ? Math.max(0, Math.floor((tokens - sealed.recent) / BLOCK_TOKENS)) : 0;
  const held =
    retaining?.chunkTokens && retention ? blocksAtOnce(tokens, liveFrom, retaining.chunkTokens) : blocksFor(tokens);
  const blocks = (held - settled) * blockBytes[0]! + settled * (blockBytes[1] ?? 0);
  const pages = (retention?.tokens ?? []).reduce((sum, kept) => sum + blocksFor(kept), 0) * pageBytes;
  const state = retention ? alignedBlocks(liveFrom) * stateBytes.block + stateBytes.prompt : 0;
  const passing = streamed ? liveFrom * streamed.passingBytes : 0;
  const later = streamed ? (blocksFor(tokens) - liveFrom) * streamed.blockBytes : 0;
  return blocks + pages + state + passing + later;
}

/** Blocks of a prompt that gives some up chunk by chunk: of a chunk, or of its last pages. */
const blocksAtOnce = (tokens: number, liveFrom: number, chunkTokens: number): number =>
  Math.max(Math.min(liveFrom, blocksFor(chunkTokens)), blocksFor(tokens) - liveFrom);

/** Tokens of a prompt of which this is kept that no later token sees: the mean over the lists. */
export function evictedOf({ model, retaining, layout, systems }: ResolvedCache, retention: Retention | null): number {
  if (!retention || retaining?.recalls || retaining?.merging || systems.some(({ absorb }) => absorb)) return 0;
  return retention.liveFrom * BLOCK_TOKENS - keptTokens(retention) / (layout.stores * model.kvHeads);
}

/** Tokens of the longest prompt of which all stays, of prompts of up to `most` tokens; null: of each all stays. */
export function wholeUpTo({ retaining }: ResolvedCache, most: number): number | null {
  const stays = (tokens: number) => !retaining?.retain(tokens);
  if (stays(most)) return null;
  let [whole, parted] = [0, most];
  while (parted - whole > 1) {
    const middle = Math.floor((whole + parted) / 2);
    if (stays(middle)) whole = middle;
    else parted = middle;
  }
  return whole;
}

/** In all lists together. */
const keptTokens = (retention: Retention | null): number =>
  (retention?.tokens ?? []).reduce((sum, tokens) => sum + tokens, 0);

// A resolved recipe: the tiers, private pages and plan of a cache for one model, and what they cost.
import type { KvModel } from "../api.ts";
import { alignUp } from "../errors.ts";
import { BLOCK_TOKENS, blocksFor } from "./blocks.ts";
import type { PageFormat, WrittenFormat } from "./format.ts";
import { type Layout, ordinaryLayout } from "./layout.ts";
import { alignedBlocks } from "./regions.ts";
import type { CachePlan, Retention, Tier } from "./residence.ts";
import type { KvBounds, KvSystem, Retaining, StateBytes } from "./system.ts";

/** What a cache is built from, for one model. */
export interface ResolvedCache {
  model: KvModel;
  written: WrittenFormat;
  systems: readonly KvSystem[];
  layout: Layout;
  sealed: NonNullable<KvSystem["sealed"]> | null;
  retaining: Retaining | null;
}

export function resolve(model: KvModel, written: WrittenFormat, systems: readonly KvSystem[]): ResolvedCache {
  return {
    model,
    written,
    systems,
    layout: systems.find(({ layout }) => layout)?.layout ?? ordinaryLayout(model.layers),
    sealed: systems.find(({ sealed }) => sealed)?.sealed ?? null,
    retaining: systems.find(({ retaining }) => retaining)?.retaining ?? null,
  };
}

/** Blocks of the first tier where older ones leave it: two chunks, and the recent tokens of each sequence. */
const firstTierBlocks = ({ rows, sequences }: KvBounds, recent: number): number =>
  2 * blocksFor(rows) + 1 + sequences * (blocksFor(recent) + 2);

/** Tiers of a cache. Where something is selected from whole prompts, the first one holds them. */
export function tiersOf({ written, sealed, retaining }: ResolvedCache, bounds: KvBounds): Tier[] {
  const blocks = blocksFor(bounds.context);
  if (!sealed) return [{ format: written, blocks }];
  const first = retaining ? blocks : Math.min(blocks, firstTierBlocks(bounds, sealed.recent));
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

/** Blocks of prompts that a state has room for: as many as the cache; null where there is none. */
const stateBlocksOf = ({ retaining }: ResolvedCache, { context }: KvBounds): number | null =>
  retaining?.recalls ? alignedBlocks(blocksFor(context)) : null;

export function planOf(resolved: ResolvedCache, bounds: KvBounds): CachePlan {
  const { sealed, retaining, model, layout, written } = resolved;
  const stores = privatePagesOf(resolved, bounds);
  const tiers = tiersOf(resolved, bounds);
  const columns = layout.stores * model.kvHeads;
  return {
    context: alignUp(bounds.context, BLOCK_TOKENS),
    tiers: tiers.map(({ blocks }) => blocks),
    blockBytes: tiers.map(({ format }) => columns * BLOCK_TOKENS * tokenBytes(format, model)),
    pageBytes: BLOCK_TOKENS * tokenBytes(written, model),
    stateBytes: stateBytesOf(resolved.systems),
    recent: sealed?.recent ?? Infinity,
    windowRows: retaining?.windowRows ?? 0,
    privatePages: stores && { stores, kvHeads: model.kvHeads, stateBlocks: stateBlocksOf(resolved, bounds) },
    retain: (tokens) => retaining?.retain(tokens) ?? null,
  };
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

/** Bytes of one token in one list. */
const tokenBytes = (format: PageFormat, { headWidth }: KvModel): number => (format.words(headWidth) * 4) / BLOCK_TOKENS;

/** Bytes of keys and values after a prompt of `tokens` tokens: what is kept of it, and of that what has changed format. */
export function bytesOf(resolved: ResolvedCache, tokens: number): number {
  const { model, written, sealed, retaining, layout, systems } = resolved;
  const columns = layout.stores * model.kvHeads;
  const retention = retaining?.retain(tokens) ?? null;
  const gone = (retention?.liveFrom ?? 0) * BLOCK_TOKENS;
  const older = sealed ? Math.max(0, Math.floor((tokens - sealed.recent) / BLOCK_TOKENS) * BLOCK_TOKENS - gone) : 0;
  const exact = tokens - gone - older;
  const live = exact * tokenBytes(written, model) + (sealed ? older * tokenBytes(sealed.format, model) : 0);
  const { block, prompt } = stateBytesOf(systems);
  const state = retention ? retention.liveFrom * block + prompt : 0;
  return columns * live + keptTokens(retention) * tokenBytes(written, model) + state;
}

/** Tokens of a prompt of `tokens` tokens that no later token sees: the mean over the lists. */
export function evictedOf({ model, retaining, layout }: ResolvedCache, tokens: number): number {
  const retention = retaining?.retain(tokens) ?? null;
  if (!retention || retaining?.recalls) return 0;
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

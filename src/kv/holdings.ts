// What a residence holds, in numbers: enough to read its pages, and to write them into another one.
import { assert } from "../errors.ts";
import { BLOCK_TOKENS, type BlockPool } from "./blocks.ts";
import type { KeptPages, ReplyPages } from "./kept.ts";
import { GONE, type Residence } from "./residence.ts";

export interface Holdings {
  tokens: readonly number[];
  /** By page index; GONE where private pages have taken the block's place. */
  blocks: readonly number[];
  /** By page index: the tier of the block. */
  tiers: readonly number[];
  kept: KeptPages | null;
  /** Set where a part is kept. */
  reply: ReplyPages | null;
}

export function holdingsOf({ blocks, tokens, kept }: Residence, pool: BlockPool): Holdings {
  const tiers = blocks.map((block) => (block === GONE ? GONE : pool.tierOf(block)));
  return { tokens: [...tokens], blocks: [...blocks], tiers, kept: kept?.now ?? null, reply: kept?.reply ?? null };
}

/** Whether there is room to restore what another cache of the same plan held, beside the whole blocks that this one has of it. */
export function fitsHoldings(residence: Residence, pool: BlockPool, { tiers, kept, reply }: Holdings): boolean {
  const missing = tiers.slice(residence.blocks.length);
  const wanted = (tier: number) => missing.filter((each) => each === tier).length;
  if (kept && !residence.kept!.fits(kept, reply!)) return false;
  return [...new Set(missing)].every((tier) => tier === GONE || wanted(tier) <= pool.free(tier));
}

/**
 * Takes blocks and private pages for what another cache of the same plan held, beside the whole blocks that this one has of it,
 * and says which: their pages are to be written before the next step. The caller has asked whether it fits.
 */
export function restoreHoldings(residence: Residence, pool: BlockPool, holdings: Holdings): Holdings {
  const there = residence.blocks.length;
  assert(residence.length === there * BLOCK_TOKENS, "restore into a residence that holds a part of a block");
  const { tiers, tokens, kept, reply } = holdings;
  const blocks = tiers.slice(there).map((tier) => (tier === GONE ? GONE : pool.take(residence, tier)));
  residence.kept?.set(kept && residence.kept.restore(kept, reply!), reply);
  residence.fill(tokens.slice(residence.length), blocks);
  const all = holdingsOf(residence, pool);
  return { ...all, blocks: all.blocks.map((block, index) => (index < there ? GONE : block)) };
}

/** What its pages hold is not what its tokens say: nobody finds them. */
export function discard(residence: Residence, pool: BlockPool): void {
  const blocks = residence.blocks.filter((block) => block !== GONE);
  residence.dispose();
  for (const block of blocks) pool.forget(block);
}

// What grows with the tokens in use: the cache, its lists, and the rotations of their positions.
import type { Gpu } from "../gpu/device.ts";
import { BLOCK_TOKENS, blocksFor } from "../kv/blocks.ts";
import { KvCache } from "../kv/cache.ts";
import { privatePagesOf, type ResolvedCache, tiersOf } from "../kv/shape.ts";
import type { KvBounds } from "../kv/system.ts";
import type { ModelConfig } from "./config.ts";
import type { ModelContext } from "./context.ts";
import type { Batch } from "./model.ts";
import { queryTurnsOf, ropeTable } from "./ops/rope.ts";

export interface CacheOptions extends KvBounds {
  /** How keys and values are kept. */
  kv: ResolvedCache;
  /** Most bytes of one buffer of the cache. */
  arenaBytes: number;
  /** Tokens that there is room for at first; null: what suits the kind of adapter. */
  reserve: number | null;
}

/** `records`: of a step's rows, before the lists. */
export function makeCache(gpu: Gpu, config: ModelConfig, options: CacheOptions, records: number): KvCache {
  const { kv, sequences, context, arenaBytes, reserve } = options;
  const { kvHeads, headWidth } = config;
  const maxPages = blocksFor(context);
  return new KvCache(gpu, {
    layout: kv.layout,
    kvHeads,
    headWidth,
    tiers: tiersOf(kv, options),
    privatePages: privatePagesOf(kv, options),
    sequences,
    maxPages,
    room: Math.min(maxPages, blocksFor(reserve ?? gpu.profile.reservedTokens)),
    arenaBytes,
    records,
  });
}

/** By rotation, for the positions that there is room for. */
export const makeRopes = (gpu: Gpu, config: ModelConfig, { room }: KvCache, context: number): ModelContext["ropes"] =>
  config.rotations.map((rotation) => {
    const positions = room * BLOCK_TOKENS;
    const queryTurns = queryTurnsOf(rotation, positions);
    const table = gpu.buffer("rope table", (positions + queryTurns) * config.headWidth * 4, "scratch");
    if (!gpu.isPaper) gpu.write(table, 0, ropeTable(rotation, config, { room: positions, context }));
    return { table, queryTurns };
  });

/** Room that a step's pages need: in the tiers of their blocks, and in lists. */
export const roomOf = ({ lists, moves }: Batch, cache: KvCache): number =>
  Math.max(
    0,
    ...lists.flatMap(({ pages }) => pages.map(({ index, block }) => Math.max(index + 1, cache.roomFor(block)))),
    ...moves.map(({ to }) => cache.roomFor(to)),
  );

// What grows with the tokens in use: the cache, its lists, and the rotations of their positions.
import type { Gpu } from "../gpu/device.ts";
import { BLOCK_TOKENS, blocksFor } from "../kv/blocks.ts";
import { KvCache } from "../kv/cache.ts";
import { PASSING } from "../kv/blocks.ts";
import { privatePagesOf, type ResolvedCache, tiersOf } from "../kv/shape.ts";
import { optional } from "../kv/optional.ts";
import type { StreamedShape } from "../kv/streamed.ts";
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
  const room = Math.min(maxPages, blocksFor(reserve ?? gpu.profile.reservedTokens));
  const shape = {
    layout: kv.layout,
    kvHeads,
    headWidth,
    tiers: tiersOf(kv, options),
    privatePages: privatePagesOf(kv, options),
    streamed: streamedShape(kv, config, room, maxPages),
    sequences,
    maxPages,
    room,
    arenaBytes,
    records,
  };
  return new KvCache(gpu, shape, kv.sealed || kv.streaming ? optional.now : null);
}

/** Later blocks beyond the longest prompt that stays whole that there is room for at first: of its reply. */
const REPLY_BLOCKS = 4;

/** Later blocks hold what is not given up of prompts, and replies; more of them come as they are needed. */
function streamedShape(
  { streaming, retaining }: ResolvedCache,
  { hiddenSize }: ModelConfig,
  room: number,
  blocks: number,
): StreamedShape | null {
  if (!streaming) return null;
  const whole = blocksFor(Math.max(...retaining!.most)) + REPLY_BLOCKS;
  return { ...streaming, inputWidth: hiddenSize, blocks, room: Math.min(room, whole) };
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

/** Room that a step's pages need of later blocks. */
export const laterRoomOf = ({ lists }: Batch): number =>
  Math.max(0, ...lists.flatMap(({ pages }) => pages.map(({ later = PASSING }) => (later === PASSING ? 0 : later + 1))));

/** Room that a step's pages need: in the tiers of their blocks, and in lists. */
export const roomOf = ({ lists, moves }: Batch, cache: KvCache): number =>
  Math.max(
    0,
    ...lists.flatMap(({ pages }) => pages.map(({ index, block }) => Math.max(index + 1, cache.roomFor(block)))),
    ...moves.map(({ to }) => cache.roomFor(to)),
  );

// What grows with the tokens in use: the cache, its lists, and the rotations of their positions.
import { UnsupportedError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { BLOCK_TOKENS, blocksFor, PASSING } from "../kv/blocks.ts";
import { KvCache } from "../kv/cache.ts";
import { privatePagesOf, type ResolvedCache, stateBlocksOf, tiersOf } from "../kv/shape.ts";
import { optional } from "../kv/optional.ts";
import type { StreamedShape } from "../kv/streamed.ts";
import type { Room } from "../kv/room.ts";
import type { KvBounds } from "../kv/system.ts";
import type { ModelConfig } from "./config.ts";
import type { ModelContext } from "./context.ts";
import { type Batch, NoRoomError } from "./model.ts";
import type { RoundedProducts } from "./ops/rounded.ts";
import type { PictureRows } from "./vision/pictures.ts";
import { queryTurnsOf, ropeTable } from "./ops/rope.ts";
import type { Rotation } from "./rotation.ts";

export interface CacheOptions extends KvBounds {
  /** How keys and values are kept. */
  kv: ResolvedCache;
  /** Most bytes of one buffer of the cache. */
  arenaBytes: number;
  /** Tokens that there is room for at first; null: what suits the kind of adapter. */
  reserve: number | null;
  /** Null where the model sees no pictures. */
  pictures: PictureRows | null;
  /** Null where all products are of f32. */
  rounded: RoundedProducts | null;
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
    twins: kv.twins,
    kept: kv.kept,
    privatePages: privatePagesOf(kv, options),
    regions: stateBlocksOf(kv, options) ?? 0,
    choiceWords: kv.choosing?.words(headWidth) ?? 0,
    streamed: streamedShape(kv, config, room, maxPages),
    sequences,
    maxPages,
    room,
    arenaBytes,
    records,
  };
  return new KvCache(gpu, shape, kv.sealed || kv.retaining ? optional.now : null);
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

/** A table of rotations to be made, for the positions that there is room for. */
interface Rope {
  rotation: Rotation;
  positions: number;
  queryTurns: number;
  bytes: number;
}

const ropesOf = ({ rotations, headWidth }: ModelConfig, { pages }: Room): Rope[] =>
  rotations.map((rotation) => {
    const positions = pages * BLOCK_TOKENS;
    const queryTurns = queryTurnsOf(rotation, positions);
    return { rotation, positions, queryTurns, bytes: (positions + queryTurns) * headWidth * 4 };
  });

const tableFor = (gpu: Gpu, { bytes }: Rope): GPUBuffer => gpu.buffer("rope table", bytes, "scratch");

const filled = (
  gpu: Gpu,
  config: ModelConfig,
  context: number,
  { rotation, positions: room, queryTurns }: Rope,
  table: GPUBuffer,
): ModelContext["ropes"][number] => {
  if (!gpu.isPaper) gpu.write(table, 0, ropeTable(rotation, config, { room, context }));
  return { table, queryTurns };
};

/** By rotation. */
export const makeRopes = (gpu: Gpu, config: ModelConfig, cache: KvCache, context: number): ModelContext["ropes"] =>
  ropesOf(config, cache.room).map((rope) => filled(gpu, config, context, rope, tableFor(gpu, rope)));

/** Other ones as the cache grows. Throws UnsupportedError where there is no memory; nothing has changed then. */
export async function growRopes({ gpu, config, ropes }: ModelContext, room: Room, context: number): Promise<void> {
  const wanted = ropesOf(config, room);
  if (ropes.every(({ table }, i) => table.size >= wanted[i]!.bytes)) return;
  const tables = await gpu.allocateAll(wanted.map((rope) => () => tableFor(gpu, rope)));
  for (const { table } of ropes) gpu.release(table);
  ropes.splice(0, ropes.length, ...wanted.map((rope, i) => filled(gpu, config, context, rope, tables[i]!)));
}

/** What a step's lists, moves and regions need. */
export const roomOf = (batch: Batch, cache: KvCache): Room => ({
  blocks: Math.max(
    0,
    ...batch.lists.flatMap(({ pages }) => pages.map(({ block }) => cache.roomFor(block))),
    ...batch.moves.map(({ to }) => cache.roomFor(to)),
  ),
  pages: Math.max(0, ...batch.lists.flatMap(({ pages }) => pages.map(({ index }) => index + 1))),
  later: Math.max(
    0,
    ...batch.lists.flatMap(({ pages }) => pages.map(({ later = PASSING }) => (later === PASSING ? 0 : later + 1))),
  ),
  regions: cache.shape.regions === 0 ? 0 : regionsOf(batch),
});

/** Throws a NoRoomError, of a step for which there was no memory, or another error as it is. */
export const noRoom =
  (batch: Batch, cache: KvCache) =>
  (error: unknown): never => {
    if (!(error instanceof UnsupportedError)) throw error;
    const sequences = batch.lists.map(({ sequence }) => sequence);
    const lacking = sequences.filter((number) => !cache.hasRoom(roomOf(partOf(batch, number), cache)));
    throw new NoRoomError(error, lacking);
  };

/** What a step does for one sequence. Where moves lead to is in its lists. */
function partOf(batch: Batch, number: number): Batch {
  const isOwn = ({ sequence }: { sequence: number }) => sequence === number;
  const { lists, promptEnd, retiring } = batch;
  return {
    ...batch,
    lists: lists.filter(isOwn),
    moves: [],
    promptEnd: promptEnd && isOwn(promptEnd) ? promptEnd : null,
    retiring: retiring && isOwn(retiring) ? retiring : null,
  };
}

/** One more than the last block of a region that the step reads or fills. */
const regionsOf = ({ lists, promptEnd, retiring }: Batch): number =>
  Math.max(
    0,
    ...[...lists, ...(promptEnd ? [promptEnd] : [])].map(({ kept }) => (kept ? kept.region + kept.liveFrom : 0)),
    retiring ? retiring.region + retiring.index + 1 : 0,
  );

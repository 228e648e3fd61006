// What is made of a prompt once a store's last layer has read it: factors of its keys, landmarks, values in few bits, the
// chunks that stay and those that its last query wants. docs/shadowkv.md.
import { ceilDiv } from "../../../errors.ts";
import {
  gemm_regs,
  shadow_keep,
  shadow_maps,
  shadow_orthogonal,
  top_slots,
  transpose,
} from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch, type Grid, onlyIf, type Pause } from "../../../gpu/program.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { PromptEndSizes, StepSizes, SystemContext } from "../../system.ts";
import { chooseChunks } from "./decode.ts";
import { listsOf, threadsOf } from "./rows.ts";
import { basePages, chunksOf, keptTokens, pagesGivenUp, type ShadowShape } from "./shape.ts";
import { serverOf } from "./serve.ts";
import { stateOf } from "./state.ts";
import { type Job, keepValues, keysOf, knownMap, landmarksOf, project, type Range } from "./tokens.ts";

/** Rounds of subspace iteration. */
const ROUNDS = 4;

/** Consecutive tokens of a prompt. */
interface Tile {
  first: number;
  most: number;
}

const tokensOf = ({ promptEnd }: StepSizes): number => promptEnd?.tokens ?? 0;
const sequenceOf = ({ promptEnd }: StepSizes): number => promptEnd?.sequence ?? 0;
/** Tokens whose keys say what the map is: the first ones. */
const baseOf = (s: StepSizes, shape: ShadowShape): number => BLOCK_TOKENS * basePages(pagesGivenUp(tokensOf(s), shape));
/** Tokens for which it is all there already, but outliers and landmarks. */
const standingOf = ({ promptEnd }: StepSizes): number => promptEnd?.standing ?? 0;
const inTile = ({ first, most }: Tile, tokens: number): number => Math.max(0, Math.min(most, tokens - first));

/** The prompt's tokens from `begin` on, before `end`. */
const rangeOf = (s: StepSizes, begin: number, end: number): Range => ({
  sequence: sequenceOf(s),
  begin,
  tokens: Math.max(0, end - begin),
  first: (s.promptEnd?.region ?? 0) * BLOCK_TOKENS + begin,
});

export function takePrompt(context: SystemContext, shape: ShadowShape, store: number): AnyDispatch<StepSizes>[] {
  const job = { context, shape, store };
  const tiles = tilesOf(job);
  const stands = (s: StepSizes) => standingOf(s) > 0;
  return [
    ...onlyIf((s) => !stands(s), newMap(job, tiles)),
    ...onlyIf(stands, [knownMap(job, sequenceOf)]),
    ...tiles.flatMap((tile) => factors(job, tile)),
    ...keepValues(job, (s) => rangeOf(s, standingOf(s), givenUp(shape, s))),
    ...landmarksOf(job, (s) => rangeOf(s, 0, givenUp(shape, s))),
    chooseOutliers(job),
    ...chooseFirst(job),
    passes(job) ? { ...listKept(job), awaits: valuesGo(job) } : listKept(job),
  ];
}

/** Whether its values go to JavaScript's memory and its pages of the prompt are there in this step only. */
const passes = ({ context, shape, store }: Job): boolean => shape.host !== null && context.cache.isLater(store);

const valuesGo = ({ context, shape, store }: Job): Pause<StepSizes> => ({
  when: ({ promptEnd }) => promptEnd !== null,
  work: ({ promptEnd }) => serverOf(context, shape).keepPassing(promptEnd!, store),
});

function tilesOf({ context, shape }: Job): Tile[] {
  const { tile: most } = stateOf(context, shape).scratch;
  return Array.from({ length: ceilDiv(context.cache.room.regions * BLOCK_TOKENS, most) }, (_, i) => ({
    first: i * most,
    most,
  }));
}

/** Of the keys of the prompt's base, less that of its last token. */
function newMap(job: Job, tiles: readonly Tile[]): AnyDispatch<StepSizes>[] {
  const base = (s: StepSizes) => baseOf(s, job.shape);
  const last = (s: StepSizes) => rangeOf(s, Math.max(0, base(s) - 1), base(s));
  return [
    ...keysOf(job, "pivot", last),
    ...tiles.flatMap((tile, i) => [
      ...keysOf(job, "keys", (s) => rangeOf(s, tile.first, tile.first + inTile(tile, base(s)))),
      turn(job, tile),
      addGram(job, tile, i > 0),
    ]),
    ...basis(job),
    maps(job),
  ];
}

function factors(job: Job, tile: Tile): AnyDispatch<StepSizes>[] {
  const range = (s: StepSizes) => {
    const end = tile.first + inTile(tile, givenUp(job.shape, s));
    return rangeOf(s, Math.min(end, Math.max(tile.first, standingOf(s))), end);
  };
  return [...keysOf(job, "keys", range), project(job, range)];
}

/** keys → their transpose and ones. */
function turn({ context, shape, store }: Job, tile: Tile): AnyDispatch<StepSizes> {
  const { scratch } = stateOf(context, shape);
  const { width: depth } = shape;
  const WG = 64;
  const rows = (s: StepSizes) => inTile(tile, baseOf(s, shape));
  return dispatch({
    kernel: transpose,
    constants: { WG },
    label: `store ${store} keys turned`,
    buffers: { x: scratch.keys, xt: scratch.turned },
    params: (s: StepSizes) => ({ rows: rows(s), depth }),
    grid: (s) => [ceilDiv(rows(s), WG), rows(s) > 0 ? depth / 4 + 1 : 0, 1],
    bytes: (s) => 8 * rows(s) * depth,
    flops: () => 0,
  });
}

/** Threads of gemm_regs, 8 rows and 8 columns each. */
const GEMM_THREADS = 8;

const gemmGrid = (rows: number, columns: number): Grid => [ceilDiv(columns, 8 * GEMM_THREADS), ceilDiv(rows, 8), 1];

/** gram (+)= [keys; 1]ᵀ · keys */
function addGram({ context, shape, store }: Job, tile: Tile, adds: boolean): AnyDispatch<StepSizes> {
  const { scratch } = stateOf(context, shape);
  const { width } = shape;
  const depth = (s: StepSizes) => inTile(tile, baseOf(s, shape));
  return dispatch({
    kernel: gemm_regs,
    constants: { EPILOGUE: Number(adds), BIAS: 0, WG: GEMM_THREADS },
    label: `store ${store} gram`,
    buffers: { a: scratch.turned, b: scratch.keys, bias: context.gpu.unused, c: scratch.gram },
    params: (s: StepSizes) => ({
      rows: width + 1,
      depth: depth(s),
      columns: width,
      cStride: width,
      cOffset: 0,
      aStride: depth(s),
      aOffset: 0,
      bStride: width,
      bOffset: 0,
    }),
    grid: (s) => (depth(s) > 0 ? gemmGrid(width + 1, width) : [0, 0, 0]),
    bytes: (s) => 8 * depth(s) * width,
    flops: (s) => 2 * depth(s) * width * (width + 1),
  });
}

/** The directions in which keys vary most. Where all are kept they are the channels themselves, as `state.ts` has put there. */
function basis({ context, shape, store }: Job): AnyDispatch<StepSizes>[] {
  if (shape.rank >= shape.width) return [];
  const { scratch } = stateOf(context, shape);
  return Array.from({ length: ROUNDS }, (_, round) => round).flatMap((round) => [
    multiply({ context, shape, store }, round === 0 ? scratch.start : scratch.basis),
    orthogonal({ context, shape, store }),
  ]);
}

function multiply({ context, shape, store }: Job, columns: GPUBuffer): AnyDispatch<StepSizes> {
  const { scratch } = stateOf(context, shape);
  const { width } = shape;
  const count = scratch.columns;
  return dispatch({
    kernel: gemm_regs,
    constants: { EPILOGUE: 0, BIAS: 0, WG: GEMM_THREADS },
    label: `store ${store} gram times basis`,
    buffers: { a: scratch.gram, b: columns, bias: context.gpu.unused, c: scratch.product },
    params: () => ({
      rows: width + 1,
      depth: width,
      columns: count,
      cStride: count,
      cOffset: 0,
      aStride: width,
      aOffset: 0,
      bStride: count,
      bOffset: 0,
    }),
    grid: () => gemmGrid(width + 1, count),
    bytes: () => 4 * (width + 1) * (width + 2 * count),
    flops: () => 2 * (width + 1) * width * count,
  });
}

function orthogonal({ context, shape, store }: Job): AnyDispatch<StepSizes> {
  const { gram, product: y, basis: q, sigma, columns: M } = stateOf(context, shape).scratch;
  const { width: D } = shape;
  return dispatch({
    kernel: shadow_orthogonal,
    constants: { WG: threadsOf(context).together, D, M },
    label: `store ${store} basis`,
    buffers: { gram, y, q, sigma },
    params: (s: StepSizes) => ({ tokens: baseOf(s, shape) }),
    grid: () => [1, 1, 1],
    bytes: () => 4 * D * M * M,
    flops: () => 4 * D * M * M,
  });
}

function maps({ context, shape, store }: Job): AnyDispatch<StepSizes> {
  const { stores, scratch } = stateOf(context, shape);
  const { gram, pivot, basis: q, sigma, down, shift, columns: M } = scratch;
  const { width: D, rank: RANK } = shape;
  return dispatch({
    kernel: shadow_maps,
    constants: { WG: threadsOf(context).together, D, M, RANK },
    label: `store ${store} maps`,
    buffers: { gram, pivot, q, sigma, down, shift, up: stores[store]!.up },
    params: (s: StepSizes) => ({ tokens: baseOf(s, shape), sequence: sequenceOf(s) }),
    grid: () => [RANK + 1, 1, 1],
    bytes: () => 12 * D * RANK,
    flops: () => 4 * D * RANK,
  });
}

/** Tokens of the pages given up. */
const givenUp = (shape: ShadowShape, s: StepSizes): number => chunksOf(tokensOf(s), shape) * shape.chunk;

function chooseOutliers({ context, shape, store }: Job): AnyDispatch<StepSizes> {
  const { kvHeads: G } = context.model;
  const { stores, scratch } = stateOf(context, shape);
  const { outliers } = shape;
  const chunks = (s: StepSizes) => chunksOf(tokensOf(s), shape);
  return dispatch({
    kernel: top_slots,
    constants: { WG: threadsOf(context).together },
    label: `store ${store} outliers`,
    buffers: { scores: scratch.unlike, keep: stores[store]!.outliers },
    params: (s: StepSizes) => ({
      first: 0,
      stride: scratch.chunks,
      slots: chunks(s),
      count: Math.min(outliers, chunks(s)),
      column: sequenceOf(s) * G,
      keepStride: outliers,
    }),
    grid: () => [G, 1, 1],
    bytes: (s) => 4 * G * (6 * chunks(s) + outliers),
    flops: () => 0,
  });
}

/** The chunks that the prompt's last query wants. */
function chooseFirst({ context, shape, store }: Job): AnyDispatch<StepSizes>[] {
  const end = (s: StepSizes): PromptEndSizes | null => s.promptEnd;
  const rows = {
    firstRow: (s: StepSizes) => end(s)?.windowAt ?? 0,
    count: (s: StepSizes) => (end(s) ? 1 : 0),
    chunks: (s: StepSizes) => chunksOf(tokensOf(s), shape),
    region: (s: StepSizes) => end(s)?.region ?? 0,
    span: (s: StepSizes) => chunksOf(tokensOf(s), shape),
  };
  const { kvHeads: G } = context.model;
  const { resident } = stateOf(context, shape).stores[store]!;
  return chooseChunks(context, shape, store, rows, { buffer: resident, list: (s) => sequenceOf(s) * G });
}

function listKept({ context, shape, store }: Job): AnyDispatch<StepSizes> {
  const { model, keep, keepStride } = context;
  const { kvHeads: G } = model;
  const { outliers, resident } = stateOf(context, shape).stores[store]!;
  const { outliers: OUTLIERS, selected: SELECTED, chunk: CHUNK } = shape;
  const WG = 64;
  return dispatch({
    kernel: shadow_keep,
    constants: { WG, OUTLIERS, SELECTED, CHUNK },
    label: `store ${store} chunks that stay`,
    buffers: { outliers, resident, keep },
    params: (s: StepSizes) => ({ list: sequenceOf(s) * G, column: listsOf(context, store).column, keepStride }),
    grid: () => [ceilDiv(keptTokens(shape), WG), G, 1],
    bytes: () => 4 * G * keptTokens(shape),
    flops: () => 0,
  });
}

// What is made of a prompt once a store's last layer has read it: factors of its keys, landmarks, values in few bits, the
// chunks that stay and those that its last query wants. docs/shadowkv.md.
import { ceilDiv } from "../../../errors.ts";
import {
  gemm_regs,
  shadow_keep,
  shadow_keys,
  shadow_landmarks,
  shadow_maps,
  shadow_orthogonal,
  shadow_project,
  top_slots,
  transpose,
} from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch, type Grid } from "../../../gpu/program.ts";
import type { Arena } from "../../arena.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { PromptEndSizes, StepSizes, SystemContext } from "../../system.ts";
import { chooseChunks } from "./decode.ts";
import { listsOf, threadsOf } from "./rows.ts";
import { chunksOf, factorWords, keptTokens, type ShadowShape } from "./shape.ts";
import { stateOf } from "./state.ts";
import { copyValues } from "./values.ts";

/** Rounds of subspace iteration. */
const ROUNDS = 4;

/** What dispatches of a store need. */
interface Job {
  context: SystemContext;
  shape: ShadowShape;
  store: number;
}

/** Consecutive tokens of a prompt. */
interface Tile {
  first: number;
  most: number;
}

const tokensOf = ({ promptEnd }: StepSizes): number => promptEnd?.tokens ?? 0;
/** First token of the prompt's region. */
const regionOf = ({ promptEnd }: StepSizes): number => (promptEnd?.region ?? 0) * BLOCK_TOKENS;
const sequenceOf = ({ promptEnd }: StepSizes): number => promptEnd?.sequence ?? 0;
const inTile = ({ first, most }: Tile, tokens: number): number => Math.max(0, Math.min(most, tokens - first));

export function takePrompt(context: SystemContext, shape: ShadowShape, store: number): AnyDispatch<StepSizes>[] {
  const job = { context, shape, store };
  const tiles = tilesOf(job);
  const again = tiles.length > 1; // else the keys are still there
  return [
    ...pivotKey(job),
    ...tiles.flatMap((tile, i) => [...tileKeys(job, tile), turn(job, tile), addGram(job, tile, i > 0)]),
    ...basis(job),
    maps(job),
    ...tiles.flatMap((tile) => [...(again ? tileKeys(job, tile) : []), project(job, tile)]),
    ...keepValues(job),
    ...landmarks(job),
    chooseOutliers(job),
    ...chooseFirst(job),
    listKept(job),
  ];
}

function tilesOf({ context, shape }: Job): Tile[] {
  const { capacity, scratch } = stateOf(context, shape);
  const { tile: most } = scratch;
  return Array.from({ length: ceilDiv(capacity, most) }, (_, i) => ({ first: i * most, most }));
}

/** The last token's key, of whatever arena it lies in. */
const pivotKey = (job: Job): AnyDispatch<StepSizes>[] =>
  job.context.cache.writtenArenasOf(job.store).map((arena) =>
    keysOf(job, arena, {
      label: "pivot",
      first: (s) => Math.max(0, tokensOf(s) - 1),
      tokens: (s) => Math.min(1, tokensOf(s)),
      pivot: false,
    }),
  );

const tileKeys = (job: Job, tile: Tile): AnyDispatch<StepSizes>[] =>
  job.context.cache.writtenArenasOf(job.store).map((arena) =>
    keysOf(job, arena, {
      label: "keys",
      first: () => tile.first,
      tokens: (s) => inTile(tile, tokensOf(s)),
      pivot: true,
    }),
  );

interface KeyRange {
  label: string;
  first: (sizes: StepSizes) => number;
  tokens: (sizes: StepSizes) => number;
  /** Less the pivot, into `keys`; else it is the pivot. */
  pivot: boolean;
}

function keysOf({ context, shape, store }: Job, arena: Arena, range: KeyRange): AnyDispatch<StepSizes> {
  const { cache, model, gpu } = context;
  const { kvHeads: G, headWidth: E } = model;
  const { scratch } = stateOf(context, shape);
  const WG = threadsOf(context).alone;
  return dispatch({
    kernel: shadow_keys,
    constants: { WG, E, G, KV_BITS: cache.written.bits, PIVOT: Number(range.pivot) },
    label: `store ${store} ${range.label}`,
    buffers: {
      table: cache.lists.table,
      kv: arena.buffers[cache.bundleOf(store)]!,
      rope: context.ropeOf(store),
      pivot: range.pivot ? scratch.pivot : gpu.unused,
      x: range.pivot ? scratch.keys : scratch.pivot,
    },
    params: (s: StepSizes) => ({
      ...listsOf(context, store),
      row: sequenceOf(s),
      arena: arena.number,
      first: range.first(s),
      tokens: range.tokens(s),
    }),
    grid: (s) => [ceilDiv(range.tokens(s), WG), (G * E) / 8, 1],
    bytes: (s) => range.tokens(s) * G * E * (cache.written.bits / 8 + 4),
    flops: (s) => 4 * range.tokens(s) * G * E,
  });
}

/** keys → their transpose and ones. */
function turn({ context, shape, store }: Job, tile: Tile): AnyDispatch<StepSizes> {
  const { scratch } = stateOf(context, shape);
  const { width: depth } = shape;
  const WG = 64;
  const rows = (s: StepSizes) => inTile(tile, tokensOf(s));
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
  const depth = (s: StepSizes) => inTile(tile, tokensOf(s));
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
    params: (s: StepSizes) => ({ tokens: tokensOf(s) }),
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
    params: (s: StepSizes) => ({ tokens: tokensOf(s), sequence: sequenceOf(s) }),
    grid: () => [RANK + 1, 1, 1],
    bytes: () => 12 * D * RANK,
    flops: () => 4 * D * RANK,
  });
}

/** Tokens of the pages given up. */
const givenUp = (shape: ShadowShape, s: StepSizes): number => chunksOf(tokensOf(s), shape) * shape.chunk;

function project({ context, shape, store }: Job, tile: Tile): AnyDispatch<StepSizes> {
  const { stores, scratch } = stateOf(context, shape);
  const { keys: x, down, shift } = scratch;
  const { width: D, rank: RANK, keyBits: BITS } = shape;
  const WG = 16;
  const tokens = (s: StepSizes) => inTile(tile, givenUp(shape, s));
  return dispatch({
    kernel: shadow_project,
    constants: { WG, D, RANK, BITS },
    label: `store ${store} factors`,
    buffers: { x, down, shift, factors: stores[store]!.factors },
    params: (s: StepSizes) => ({ first: regionOf(s) + tile.first, tokens: tokens(s) }),
    grid: (s) => [ceilDiv(RANK / 4, WG), ceilDiv(tokens(s), 8), 1],
    bytes: (s) => tokens(s) * (4 * D + 4 * factorWords(shape)),
    flops: (s) => 2 * tokens(s) * D * RANK,
  });
}

/** Values that the CPU keeps are read once the step is over. */
function keepValues({ context, shape, store }: Job): AnyDispatch<StepSizes>[] {
  const { stores, capacity } = stateOf(context, shape);
  const { values } = stores[store]!;
  if (!values) return [];
  return copyValues(context, shape, store, {
    buffer: values,
    capacity: () => capacity,
    range: (s: StepSizes) => ({ sequence: sequenceOf(s), begin: 0, tokens: givenUp(shape, s), first: regionOf(s) }),
  });
}

function landmarks({ context, shape, store }: Job): AnyDispatch<StepSizes>[] {
  const { cache, model } = context;
  const { kvHeads: G, headWidth: E } = model;
  const { stores, scratch, chunks: stride } = stateOf(context, shape);
  const WG = threadsOf(context).alone;
  const chunks = (s: StepSizes) => chunksOf(tokensOf(s), shape);
  return cache.writtenArenasOf(store).map((arena) =>
    dispatch({
      kernel: shadow_landmarks,
      constants: { WG, E, G, KV_BITS: cache.written.bits, BITS: shape.keyBits, CHUNK: shape.chunk },
      label: `store ${store} landmarks`,
      buffers: {
        table: cache.lists.table,
        kv: arena.buffers[cache.bundleOf(store)]!,
        landmarks: stores[store]!.landmarks,
        unlike: scratch.unlike,
      },
      params: (s: StepSizes) => ({
        ...listsOf(context, store),
        row: sequenceOf(s),
        arena: arena.number,
        chunks: chunks(s),
        first: regionOf(s) / shape.chunk,
        stride,
      }),
      grid: (s) => [ceilDiv(chunks(s), WG), G, 1],
      bytes: (s) => (givenUp(shape, s) * G * E * cache.written.bits) / 8,
      flops: (s) => 5 * givenUp(shape, s) * G * E,
    }),
  );
}

function chooseOutliers({ context, shape, store }: Job): AnyDispatch<StepSizes> {
  const { kvHeads: G } = context.model;
  const { stores, scratch, chunks: stride } = stateOf(context, shape);
  const { outliers } = shape;
  const chunks = (s: StepSizes) => chunksOf(tokensOf(s), shape);
  return dispatch({
    kernel: top_slots,
    constants: { WG: threadsOf(context).together },
    label: `store ${store} outliers`,
    buffers: { scores: scratch.unlike, keep: stores[store]!.outliers },
    params: (s: StepSizes) => ({
      first: 0,
      stride,
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

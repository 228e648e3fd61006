// Cases of the qkv_* kernels in float64: a projection of normalised rows, the heads' own norm and rotation, the query
// buffer and the cache pages. Narrow and packed kernels open packed weights, wide ones get them as f32 with gamma multiplied in.
import { pageWords } from "./attn_case.ts";
import { groupsOf, randomMatrix, unitsOf } from "./matrix.ts";
import { judgePages, type PageWrite } from "./pages.ts";
import { floats, pick, random } from "./spec.ts";

type Uniform = () => number;

/** Distinct sets of constants: pipelines are what costs time, so cases share them. */
export const QKV_VARIANTS = 24;

/**
 * The seed of a case, so that the first `cases` have the variants `quick`, what compiles fast first as mutants meet it,
 * and those beyond have the variants `more`.
 */
export function qkvSeed(at: number, cases: number, quick: readonly number[], more: readonly number[] = []): number {
  const [variants, i] = at < cases ? [quick, at] : [more, at - cases];
  return variants[i % variants.length]! + QKV_VARIANTS * Math.floor(i / variants.length);
}

/** Query heads; key (and value) heads of an owner; owners. */
const HEADS = [[9, 3, 1], [3, 1, 1], [0, 2, 3], [4, 4, 1], [0, 1, 5], [1, 1, 1], [2, 1, 2], [2, 2, 2]] as const; // prettier-ignore
const WIDTHS = [64, 8, 32, 128, 16, 48, 80, 96, 24] as const;
const POSITIONS = 50;
const UNWRITTEN = 0x7fc0dead; // a NaN, also as two f16

/** What both forms of kernel have as constants. Four formats of pages meet every width and every weight format. */
function shapeOf(variant: number, tiny: boolean) {
  const E = tiny ? 8 : WIDTHS[(variant + Math.floor(variant / 4)) % WIDTHS.length]!;
  const HEAD_NORM = (variant + Math.floor(variant / 4)) % 2;
  const BIAS = (variant + Math.floor(variant / 8)) % 2;
  return { E, KV_BITS: [32, 8, 16, 4][variant % 4]!, BIAS, HEAD_NORM };
}

/** Weight format and rows of a narrow kernel. */
function narrowShape(variant: number, tiny: boolean) {
  const fixed = random(variant + 100);
  const BITS = tiny ? 4 : [4, 8, 16, 32, 4, 8][Math.floor(variant / 4)]!;
  const GROUP = pick(fixed, groupsOf(BITS));
  return { BITS, GROUP, UNIT: pick(fixed, unitsOf(BITS, GROUP)), ROWS: tiny ? 2 : pick(fixed, [1, 2, 4, 8]) };
}

/** Joins small vectors at offsets that are multiples of 4; what lies between is NaN. */
function packVectors(uniform: Uniform) {
  const all: number[] = [];
  const put = (values: Float32Array): number => {
    all.push(...Array.from<number>({ length: 4 * pick(uniform, [0, 1, 3]) }).fill(Number.NaN));
    const at = all.length;
    all.push(...values, ...Array.from<number>({ length: 3 - ((values.length + 3) % 4) }).fill(Number.NaN));
    return at;
  };
  return { put, floats: () => Float32Array.from(all.length > 0 ? all : [0, 0, 0, 0]) };
}

/** The weights [N, K] in float64 with what a wide kernel reads them from. Columns outside the slice and beyond N are NaN. */
function wideWeights(uniform: Uniform, columns: number, depth: number, first: number) {
  const stride = columns - first + pick(uniform, [0, 4, 12]);
  const b = new Float32Array(depth * stride).fill(Number.NaN);
  const values = new Float64Array(columns * depth).fill(Number.NaN);
  for (let k = 0; k < depth; k++) {
    const row = floats(uniform, columns - first);
    b.set(row, k * stride);
    for (const [i, value] of row.entries()) values[(first + i) * depth + k] = value;
  }
  const clear = (from: number, count: number) => clearColumns(b, stride, from, count);
  return { buffers: { b }, values, stride, clear };
}

function narrowWeights(uniform: Uniform, columns: number, depth: number, bits: number, group: number) {
  const { words, scales, values, stride } = randomMatrix(uniform, { bits, group, columns, depth });
  const clear = (from: number, count: number): void => {
    clearColumns(words, 4 * stride, 4 * from, 4 * count); // four words of a column lie side by side
    clearColumns(scales, stride, from, count);
  };
  return { buffers: { words, scales }, values, stride, clear };
}

/** Record of each row and page table, in one buffer. Two sequences; pages lie in a random order and in two arenas. */
export function makeRows(uniform: Uniform, rows: number, lists: { column: number; used: number }, words: number) {
  const start = pick(uniform, [0, 20, 28, 31]);
  const pagesEach = Math.ceil((start + rows) / 32) + pick(uniform, [0, 1]);
  const listLength = 1 + pagesEach;
  const [arena, elsewhere] = [pick(uniform, [0, 1]), pick(uniform, [0, 0.3, 0.3, 1])];
  const columns = lists.column + lists.used + pick(uniform, [0, 2]);
  const [rowAt, gap] = [pick(uniform, [0, 1, 5]), pick(uniform, [0, 2])];
  const tableAt = rowAt + rows + gap;
  const buffer = new Uint32Array((tableAt + 2 * listLength * columns) * 4).fill(0xfffffff0);
  const pages = 2 * pagesEach * lists.used;
  const order = Array.from({ length: pages + 1 }, (_, i) => ({ i, key: uniform() })).sort((a, b) => a.key - b.key);
  for (let i = 0; i < pages; i++) {
    const page = Math.floor(i / lists.used);
    const index = Math.floor(page / pagesEach) * listLength + 1 + (page % pagesEach);
    const at = tableAt + index * columns + lists.column + (i % lists.used);
    buffer.set([order[i]!.i * words, 0xffffffff, uniform() < elsewhere ? 1 - arena : arena, 7], at * 4);
  }
  for (let t = 0; t < rows; t++) {
    const position = Math.floor(uniform() * POSITIONS);
    buffer.set([position, start + t, (t + Math.floor(t / 5)) % 2, 9], (rowAt + t) * 4);
  }
  const kv = new Uint32Array((pages + 1) * words).fill(UNWRITTEN);
  return { buffer, kv, params: { rows, rowAt, tableAt, listLength, arena, columns, column: lists.column } };
}

/** One head's values, how far f32 may be off in each, and how often a sum's own rounding counts. */
export interface Head {
  values: Float64Array;
  error: number;
}

const largest = (values: Float64Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** y·inverseSqrt(mean(y²) + eps)·weight. The factor's error is the mean one of y, and meets the largest y. */
function normHead({ values, error }: Head, weight: Float32Array, eps: number, unit: number): Head {
  const factor = 1 / Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length + eps);
  const weighed = values.map((value, e) => value * factor * weight[e]!);
  const most = largest(Float64Array.from(weight));
  return {
    values: weighed,
    error: error * factor * most * (1 + largest(values) * factor) + unit * largest(weighed),
  };
}

export function rotate({ values, error }: Head, turns: Float32Array): Head {
  const half = values.length / 2;
  const rotated = values.map((value, e) => {
    const [cos, sin] = [turns[2 * (e % half)]!, turns[2 * (e % half) + 1]!];
    return e < half ? value * cos - values[e + half]! * sin : value * cos + values[e - half]! * sin;
  });
  return { values: rotated, error: 1.5 * error + 2 ** -22 * largest(values) };
}

/** The heads of a matrix and those that a dispatch covers. */
function drawHeads(uniform: Uniform, seed: number, tiny: boolean) {
  const cycle = seed + 3 * Math.floor(seed / QKV_VARIANTS);
  const [queries, ownerHeads, owners] = tiny ? [1, 1, 1] : HEADS[cycle % HEADS.length]!;
  const total = queries + 2 * ownerHeads * owners;
  const firstHead = pick(uniform, [0, 0, Math.floor(uniform() * total)]);
  const rest = total - firstHead;
  const heads = pick(uniform, [rest, rest, 1 + Math.floor(uniform() * rest)]);
  return { queries, ownerHeads, owners, total, firstHead, heads, bHead: pick(uniform, [0, firstHead]) };
}

/** (cos, sin) of arbitrary angles: of keys, then of queries where they have their own. */
export function drawRope(uniform: Uniform, E: number): Float32Array {
  const rope = new Float32Array(2 * POSITIONS * E);
  for (let i = 0; i < rope.length; i += 2) {
    const angle = 7 * uniform();
    rope.set([Math.cos(angle), Math.sin(angle)], i);
  }
  return rope;
}

/** Zeros columns from … from + count of every word row. */
function clearColumns(array: Float32Array | Uint32Array, stride: number, from: number, count: number) {
  for (let at = from; at - from + stride <= array.length; at += stride) array.fill(0, at, at + count);
}

/** What the reference computes from. */
interface Inputs {
  E: number;
  BIAS: number;
  HEAD_NORM: number;
  queries: number;
  ownerHeads: number;
  depth: number;
  eps: number;
  headEps: number;
  queryTurns: number;
  x: Float32Array;
  /** [N, K] */
  weights: Float64Array;
  /** Of query heads, and of keys and values; null where it is in the weights. */
  gammas: readonly [Float32Array, Float32Array] | null;
  bias: Float32Array;
  queryNorm: Float32Array;
  keyNorm: Float32Array;
  rope: Float32Array;
  records: Uint32Array;
  params: {
    rows: number;
    rowAt: number;
    tableAt: number;
    listLength: number;
    arena: number;
    columns: number;
    column: number;
  };
  /** Of a head: how much larger than |w| the parts |scale·q| + |minimum| of a weight may be, which cancel. */
  slack: (m: number) => number;
}

/** Relative error of a sum of `terms` products and an inverseSqrt in f32. */
export const relativeError = (terms: number): number => (8 * Math.sqrt(terms) + 16) * 2 ** -24;

/** Head m of row t before norm and rotation. */
function project(
  { E, BIAS, queries, depth, eps, x, weights, gammas, bias, slack }: Inputs,
  t: number,
  m: number,
): Head {
  const row = Float64Array.from(x.subarray(t * depth, (t + 1) * depth));
  const factor = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / depth + eps);
  const gamma = gammas?.[m < queries ? 0 : 1];
  const inputs = row.map((value, k) => value * factor * (gamma?.[k] ?? 1));
  const values = new Float64Array(E);
  let size = 0;
  for (let e = 0; e < E; e++) {
    const n = m * E + e;
    values[e] = BIAS * bias[n]!;
    let own = Math.abs(values[e]!);
    for (let k = 0; k < depth; k++) {
      const weight = weights[n * depth + k]!;
      values[e]! += inputs[k]! * weight;
      own += Math.abs(inputs[k]!) * (Math.abs(weight) + slack(m));
    }
    size = Math.max(size, own);
  }
  return { values, error: relativeError(depth) * size };
}

/** What head m of the matrix is. */
export function roleOf({ queries, ownerHeads }: Pick<Inputs, "queries" | "ownerHeads">, m: number) {
  const i = m - queries;
  const owner = Math.floor(i / (2 * ownerHeads));
  const r = i % (2 * ownerHeads);
  return { isQuery: i < 0, isValue: i >= 0 && r >= ownerHeads, owner, column: owner * ownerHeads + (r % ownerHeads) };
}

/** Head m of row t as it is stored. */
function finish(inputs: Inputs, t: number, m: number): Head {
  const { E, HEAD_NORM, queryNorm, keyNorm, headEps, queryTurns, rope, records, params } = inputs;
  const { isQuery, isValue, owner } = roleOf(inputs, m);
  const head = project(inputs, t, m);
  if (isValue) return head;
  const weight = isQuery ? queryNorm : keyNorm.subarray(owner * E, (owner + 1) * E);
  const position = records[(params.rowAt + t) * 4]! + (isQuery ? queryTurns : 0);
  const normed = HEAD_NORM ? normHead(head, weight, headEps, relativeError(E)) : head;
  return rotate(normed, rope.subarray(position * E, (position + 1) * E));
}

/** Where head m of row t lies in the cache; null if that is another arena's. */
export function slotOf(
  inputs: Pick<Inputs, "records" | "params" | "queries" | "ownerHeads">,
  t: number,
  m: number,
): Pick<PageWrite, "page" | "slot" | "kind"> | null {
  const { records, params } = inputs;
  const { isValue, column } = roleOf(inputs, m);
  const [, cacheIndex, slot] = records.subarray((params.rowAt + t) * 4) as unknown as [number, number, number];
  const list = slot * params.listLength + 1 + Math.floor(cacheIndex / 32);
  const entry = params.tableAt + list * params.columns + params.column + column;
  const [page, , arena] = records.subarray(entry * 4) as unknown as [number, number, number];
  return arena === params.arena ? { page, slot: cacheIndex % 32, kind: isValue ? "v" : "k" } : null;
}

/** Contents of q (NaN: untouched), what goes into pages, and the largest error of q. */
function expected(inputs: Inputs, firstHead: number, endHead: number) {
  const { E, queries, params } = inputs;
  const q = new Float64Array(params.rows * queries * E).fill(Number.NaN);
  const writes: PageWrite[] = [];
  let worst = 0;
  for (let t = 0; t < params.rows; t++) {
    for (let m = firstHead; m < endHead; m++) {
      const { isQuery } = roleOf(inputs, m);
      const slot = isQuery ? null : slotOf(inputs, t, m);
      if (!isQuery && !slot) continue;
      const head = finish(inputs, t, m);
      if (slot) writes.push({ ...slot, ...head });
      else q.set(head.values, (t * queries + m) * E);
      if (!slot) worst = Math.max(worst, head.error);
    }
  }
  return { q, writes, worst };
}

/**
 * Everything of a kernel case but the grid, and the number of heads that the grid covers. Constants come from `seed`
 * modulo QKV_VARIANTS, the rest from `seed`. `rowTile`: rows of a workgroup of a kernel for many rows, a wide or packed one.
 */
export function qkvCase(
  seed: number,
  form: "narrow" | "wide" | "packed",
  rowTile = 1,
  tiny = false,
  fixed: { HEAD_NORM?: number } = {},
) {
  const uniform = random(seed);
  const shape = { ...shapeOf(seed % QKV_VARIANTS, tiny), ...fixed };
  const opening = narrowShape(seed % QKV_VARIANTS, tiny);
  const { E, KV_BITS, BIAS, HEAD_NORM } = shape;
  const { BITS, GROUP, UNIT, ROWS } = opening;
  const isWide = form === "wide";
  const edges = [1, 2, rowTile - 1, rowTile, rowTile + 1, 2 * rowTile + 3].filter((count) => count > 0);
  const rows = tiny ? 2 : form !== "narrow" ? pick(uniform, edges) : 1 + Math.floor(uniform() * ROWS);
  const { queries, ownerHeads, owners, total, firstHead, heads, bHead } = drawHeads(uniform, seed, tiny);
  const depths = tiny ? [32] : !isWide || seed % 2 ? [32, 64, 96, 160, 192] : [4, 12, 20, 36, 68, 132];
  const depthUnit = isWide ? 4 : BITS <= 8 ? GROUP : form === "packed" ? 4 : UNIT;
  const filledUp = !isWide && BITS === 16 && (UNIT === 8 || form === "packed") ? [36, 100] : []; // the last four words
  const depth = pick(uniform, [...depths.filter((length) => length % depthUnit === 0), ...filledUp]);
  const eps = Math.fround(pick(uniform, [1e-5, 0.5]));
  const headEps = Math.fround(pick(uniform, [2e-5, 0.3]));
  const queryTurns = pick(uniform, [0, 0, POSITIONS]);

  const bAt = isWide ? bHead * E : 0;
  const weights = isWide
    ? wideWeights(uniform, total * E, depth, bAt)
    : narrowWeights(uniform, total * E, depth, BITS, GROUP);
  const x = new Float32Array((rows + 1) * depth).fill(Number.NaN); // the row beyond must not be read
  x.set(floats(uniform, rows * depth, 10 ** pick(uniform, [-2, 0, 1])));
  const gammas = [floats(uniform, depth, 2), floats(uniform, depth, 2)] as const;
  const bias = floats(uniform, total * E);
  const [queryNorm, keyNorm] = [floats(uniform, E, 2), floats(uniform, owners * E, 2)];
  // A value head of equal values: its scale is zero.
  const flat = uniform() < 0.5 && (queries + ownerHeads) * E >= bAt ? queries + ownerHeads : -1;
  if (flat >= 0) {
    bias.fill(bias[flat * E]!, flat * E, (flat + 1) * E);
    weights.values.fill(0, flat * E * depth, (flat + 1) * E * depth);
    weights.clear(flat * E - bAt, E);
  }
  const rope = drawRope(uniform, E);
  const lists = { column: pick(uniform, [0, ownerHeads * owners, 3]), used: ownerHeads * owners };
  const { buffer: records, kv, params } = makeRows(uniform, rows, lists, pageWords(shape));
  const slack = (m: number): number => (!isWide && BITS <= 8 && m !== flat ? 4 : 0); // |minimum| < 2
  const inputs = { ...shape, queries, ownerHeads, depth, eps, headEps, queryTurns, x, weights: weights.values, gammas: isWide ? null : gammas, bias, queryNorm, keyNorm, rope, records, params, slack }; // prettier-ignore
  const { q: wantQ, writes, worst } = expected(inputs, firstHead, firstHead + heads);

  const vectors = packVectors(uniform);
  const offsets = {
    gammaQ: isWide ? 0 : vectors.put(gammas[0]),
    gammaKv: isWide ? 0 : vectors.put(gammas[1]),
    biasAt: BIAS ? vectors.put(bias) : 0,
    queryNormAt: HEAD_NORM ? vectors.put(queryNorm) : 0,
    keyNormAt: HEAD_NORM ? vectors.put(keyNorm) : 0,
  };
  const { stride } = weights;
  const own = isWide ? `bHead ${bHead}` : `bits ${BITS} group ${GROUP} unit ${UNIT}/${ROWS}`;
  const q = new Float32Array(Math.max(1, wantQ.length)).fill(7);
  return {
    label: `T ${rows} heads ${firstHead}+${heads} of ${queries}+${owners}·2·${ownerHeads} E ${E} K ${depth} kv ${KV_BITS} bias ${BIAS} norm ${HEAD_NORM} flat ${flat} ${own}`,
    heads,
    rows,
    /** Of both forms. */
    constants: shape,
    /** Of narrow kernels. */
    opening,
    params: { ...params, ...offsets, depth, stride, firstHead, bHead, queries, ownerHeads, eps, headEps, queryTurns },
    buffers: { x, ...weights.buffers, vectors: vectors.floats(), rows: records, rope, q, kv },
    want: { q: wantQ, kv: (words: Uint32Array) => judgePages(shape, writes, kv, words) },
    terms: depth,
    ulps: 16,
    magnitude: worst / relativeError(depth), // so that the tolerance of q is that of its worst head
  };
}

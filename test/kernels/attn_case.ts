// Caches and references that the attention kernels' tests share: paged K/V with holes, private pages in place of evicted
// ones, several arenas and NaN wherever nothing was written; softmax attention in float64.
import { halfOf } from "./matrix.ts";
import { floats, pick } from "./spec.ts";

/** Query heads, key/value heads, head width, bits of a cached number. */
export interface Shape {
  H: number;
  G: number;
  E: number;
  KV_BITS: number;
}

/** What the layout of a page depends on. */
export type PageShape = Pick<Shape, "E" | "KV_BITS">;

export interface Cache {
  shape: Shape;
  /** Table entries of a list: its head (kept, liveFrom, …), then pages. */
  listLength: number;
  /** Lists of a sequence; `column` is that of key/value head 0. */
  columns: number;
  column: number;
  /** Of the pages' arenas, the one under test. */
  arena: number;
  window: number;
  /** Most pages of a list. */
  longest: number;
  /** [tableRows, listLength, columns] of vec4u. */
  table: Uint32Array;
  /** The arena under test. */
  kv: Uint32Array;
  /** What a slot's scores rise by; absent: nothing. */
  bias?: (page: number, slot: number) => number;
  /** Newest (position, cacheIndex) of each sequence; the rows before it count down from there. */
  ends: { position: number; cacheIndex: number }[];
}

/** The f16 nearest to `value`, as bits; 0 where that would be subnormal. */
export function halfBits(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  const rounded = (bits & 0x7fffffff) + 0xfff + ((bits >>> 13) & 1);
  const magnitude = Math.abs(value) < 2 ** -14 ? 0 : (rounded >>> 13) - (112 << 10);
  return ((bits >>> 16) & 0x8000) | magnitude;
}

/** What fills slots that nobody wrote; 8 and 4: also the bits of a NaN scale and minimum. */
const NAN = { 4: 0x7fff7fff, 8: 0x7fff7fff, 16: 0x7e007e00, 32: 0x7fc00000 } as Record<number, number>;

/** Words of one page of one KV head. */
export const pageWords = ({ E, KV_BITS }: PageShape): number => E * KV_BITS * 2 + (KV_BITS <= 8 ? 64 : 0);

/** Word of value e of a slot's K or V, from the page's start, and the lowest bit of the value in it. */
export function place(
  { E, KV_BITS }: PageShape,
  kind: "k" | "v",
  slot: number,
  e: number,
): { word: number; shift: number } {
  const perWord = 32 / KV_BITS;
  const row = Math.floor(e / perWord);
  const words = E / perWord;
  const word = kind === "k" ? (Math.floor(slot / 8) * words + row) * 8 + (slot % 8) : words * 32 + slot * words + row;
  return { word, shift: (e % perWord) * KV_BITS };
}

/** Nearest integer, ties to even. */
export const toEven = (value: number): number => {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
};

const f32Bits = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;
const f32Of = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0]!;

/** The greatest number of an f32's upper half that is not above `value`, an f32. */
const below = (value: number): number => f32Of((f32Bits(value) + (value < 0 ? 0xffff : 0)) & 0xffff0000);
/** The least of them that is not below `value` ≥ 0, an f32. */
export const above = (value: number): number => f32Of((f32Bits(value) + 0xffff) & 0xffff0000);

/** (scale, minimum) of values from `least` to `most` in units of 0 to `top`, as pages keep them. */
export function affineOf(least: number, most: number, top: number): { scale: number; minimum: number } {
  const minimum = below(least);
  return { scale: above(Math.fround(Math.fround(Math.fround(most) - minimum) / top)), minimum };
}

/** What the word of such a pair holds. */
export const pairOf = (word: number): { scale: number; minimum: number } => ({
  scale: f32Of(word << 16),
  minimum: f32Of(word & 0xffff0000),
});

/** A head of one slot in `bits` (8 or 4) bits: value ≈ minimum + scale·unit. */
export function quantise(values: ArrayLike<number>, bits: number): { scale: number; minimum: number; units: number[] } {
  const list = Array.from(values);
  const [least, most, units] = [Math.min(...list), Math.max(...list), 2 ** bits - 1];
  const { scale, minimum } = affineOf(least, most, units);
  const unit = (value: number) => Math.max(0, Math.min(units, toEven((value - minimum) / (scale || 1))));
  return { scale, minimum, units: list.map(unit) };
}

/** Word of a slot's scale (low half) and minimum, from the page's start; KV_BITS 8 and 4 only. */
export const pairAt = ({ E, KV_BITS }: PageShape, kind: "k" | "v", slot: number): number =>
  2 * E * KV_BITS + (kind === "k" ? 0 : 32) + slot;

/** Writes the E values of one slot's K or V. */
export function put(
  { shape, kv }: { shape: PageShape; kv: Uint32Array },
  page: number,
  kind: "k" | "v",
  slot: number,
  values: ArrayLike<number>,
): void {
  const { E, KV_BITS } = shape;
  const insert = (at: number, shift: number, value: number): void => {
    const mask = (2 ** KV_BITS - 1) * 2 ** shift;
    kv[at] = (kv[at]! & ~mask) | (value << shift);
  };
  const quantised = KV_BITS <= 8 ? quantise(values, KV_BITS) : null;
  if (quantised) {
    const { scale, minimum } = quantised;
    kv[page + pairAt(shape, kind, slot)] = (f32Bits(scale) >>> 16) | f32Bits(minimum);
  }
  for (let e = 0; e < E; e++) {
    const { word, shift } = place(shape, kind, slot, e);
    if (KV_BITS === 32) new Float32Array(kv.buffer)[page + word] = values[e]!;
    else insert(page + word, shift, quantised?.units[e] ?? halfBits(values[e]!));
  }
}

/** Value e of one slot's K or V. */
export function get(
  { shape, kv }: { shape: PageShape; kv: Uint32Array },
  page: number,
  kind: "k" | "v",
  slot: number,
  e: number,
): number {
  const { KV_BITS } = shape;
  const { word, shift } = place(shape, kind, slot, e);
  if (KV_BITS === 32) return new Float32Array(kv.buffer)[page + word]!;
  const bits = (kv[page + word]! >>> shift) & (2 ** KV_BITS - 1);
  if (KV_BITS === 16) return halfOf(bits);
  const { scale, minimum } = pairOf(kv[page + pairAt(shape, kind, slot)]!);
  return minimum + scale * bits;
}

/**
 * A cache of one sequence per entry of `slots` (written slots, the newest row's own included). The last `fresh` rows of
 * each sequence are never holes, and their slots are consecutive. Some sequences have lost their oldest pages: each head
 * then keeps other private pages instead, from position 0 on.
 */
export function makeCache(uniform: () => number, shape: Shape, slots: readonly number[], fresh = 1): Cache {
  const { G, E, KV_BITS } = shape;
  const words = pageWords(shape);
  const arenas = pick(uniform, [1, 1, 2, 3]);
  const column = G * pick(uniform, [0, 1]);
  const columns = column + G + pick(uniform, [0, 2]);
  const listLength = 1 + Math.max(...slots.map((count) => Math.ceil(count / 32))) + pick(uniform, [0, 1, 3]);
  const table = new Uint32Array(slots.length * listLength * columns * 4).fill(0xfffffff0);
  const pages = slots.reduce((sum, count) => sum + Math.ceil(count / 32) * G, 0);
  const order = Array.from({ length: pages + 1 }, (_, i) => ({ i, key: uniform() })).sort((a, b) => a.key - b.key);
  const kv = new Uint32Array((pages + 1) * words).fill(NAN[KV_BITS]!);
  const cache: Cache = {
    shape,
    listLength,
    columns,
    column,
    table,
    kv,
    arena: Math.floor(uniform() * arenas),
    longest: 0,
    window: pick(uniform, [0, 0, 1, 5, 32, 40, 100]),
    ends: [],
  };
  let next = 0;
  for (const [row, count] of slots.entries()) {
    // Bases jump where pages were evicted; they never go back, and the fresh rows' pages follow each other.
    let base = pick(uniform, [0, 0, 64, 7]);
    const firstFresh = Math.floor((count - fresh) / 32);
    const pageCount = Math.ceil(count / 32);
    const liveFrom = Math.floor(pick(uniform, [0, 0, uniform()]) * (firstFresh + 1));
    const kept = Array.from({ length: G }, () => Math.floor(uniform() * (liveFrom + 1)));
    for (const [head, pages] of kept.entries()) setEntry(cache, row, head, 0, [pages, liveFrom, 0, 0]);
    cache.longest = Math.max(cache.longest, pageCount - liveFrom + Math.max(...kept));
    for (let list = 0; list < pageCount; list++) {
      const arena = pick(uniform, [0, 1, 2]) % arenas;
      for (let head = 0; head < G; head++) {
        const offset = order[next++]!.i * words;
        const gone = list < liveFrom;
        if (gone && list >= kept[head]!) continue;
        const written = gone ? 32 : Math.min(32, count - list * 32);
        let mask = pick(uniform, [0xffffffff, 0xffffffff, 0, Math.floor(uniform() * 2 ** 32)]);
        if (list >= firstFresh) mask = list > firstFresh ? 0xffffffff : (mask | (-1 << ((count - fresh) % 32))) >>> 0;
        setEntry(cache, row, head, 1 + list, [offset, mask, arena, gone ? 0 : base]);
        for (let slot = 0; slot < written && arena === cache.arena; slot++) {
          if (((mask >>> slot) & 1) === 0) continue;
          put(cache, offset, "k", slot, floats(uniform, E, 2));
          put(cache, offset, "v", slot, floats(uniform, E, 1));
        }
      }
      if (list === pageCount - 1) cache.ends.push({ position: base + ((count - 1) % 32), cacheIndex: count - 1 });
      base += 32 + (list < firstFresh ? pick(uniform, [0, 0, 0, 32, 50]) : 0);
    }
  }
  return cache;
}

function setEntry(
  { table, listLength, columns, column }: Cache,
  row: number,
  head: number,
  at: number,
  entry: number[],
) {
  table.set(entry, ((row * listLength + at) * columns + column + head) * 4);
}

/** Entry `at` of a list, 0 its head. */
function entryOf({ table, listLength, columns, column }: Cache, row: number, head: number, at: number) {
  const from = ((row * listLength + at) * columns + column + head) * 4;
  return table.subarray(from, from + 4) as unknown as [number, number, number, number];
}

export interface Partial {
  acc: Float64Array;
  max: number;
  sum: number;
}

/** A key that a query sees: its score, its page's index in the list, and where it lies. */
interface SeenKey {
  score: number;
  index: number;
  page: number;
  slot: number;
}

/** Keys that one head's query sees of the pages firstPage .. endPage−1 of its list, as far as they lie in the arena under test. */
export function seenKeys(
  cache: Cache,
  query: Float32Array,
  row: Uint32Array,
  head: number,
  firstPage: number,
  endPage: number,
): SeenKey[] {
  const { H, G, E } = cache.shape;
  const [position, cacheIndex, tableRow] = row as unknown as [number, number, number];
  const group = Math.floor(head / (H / G));
  const seen: SeenKey[] = [];
  const [kept, liveFrom] = entryOf(cache, tableRow, group, 0);
  const listed = kept + Math.floor(cacheIndex / 32) + 1 - liveFrom;
  for (let index = firstPage; index < Math.min(endPage, listed); index++) {
    const at = 1 + (index < kept ? index : index - kept + liveFrom);
    const [page, mask, arena, base] = entryOf(cache, tableRow, group, at);
    for (let slot = 0; slot < 32 && arena === cache.arena; slot++) {
      const old = cache.window > 0 && base + slot <= position - cache.window;
      if (((mask >>> slot) & 1) === 0 || base + slot > position || old) continue;
      let score = 0;
      for (let e = 0; e < E; e++) score += query[e]! * get(cache, page, "k", slot, e);
      seen.push({ score: score / Math.sqrt(E) + (cache.bias?.(page, slot) ?? 0), index, page, slot });
    }
  }
  return seen;
}

/** Attention of one head's query over the pages firstPage .. endPage−1 of its list, as far as they lie in the arena under test. */
export function attend(
  cache: Cache,
  query: Float32Array,
  row: Uint32Array,
  head: number,
  firstPage: number,
  endPage: number,
): Partial {
  const { E } = cache.shape;
  const seen = seenKeys(cache, query, row, head, firstPage, endPage);
  const acc = new Float64Array(E);
  if (seen.length === 0) return { acc, max: Math.fround(-3e38), sum: 0 };
  const max = Math.max(...seen.map((key) => key.score));
  let sum = 0;
  for (const { score, page, slot } of seen) {
    const weight = Math.exp(score - max);
    sum += weight;
    for (let e = 0; e < E; e++) acc[e]! += weight * get(cache, page, "v", slot, e);
  }
  return { acc, max, sum };
}

/** Which partials of a row and head a dispatch writes: one per split from `entry` on, of `entries`. */
export interface Places {
  splits: number;
  pagesPerSplit: number;
  entries: number;
  entry: number;
}

/** Places for so many splits, among those of up to two other dispatches. */
export function drawPlaces(uniform: () => number, splits: number, pagesPerSplit: number): Places {
  const [before, after] = [pick(uniform, [0, 0, 1]), pick(uniform, [0, 0, 1])];
  return { splits, pagesPerSplit, entries: before + splits + after, entry: before };
}

/** Fills `out` [T, H, E] or, where the result is partial, `partials` [rows, H, entries, E+2]; entries of others stay untouched. */
export function expectAttention(
  cache: Cache,
  q: Float32Array,
  rows: Uint32Array,
  firstRow: number,
  count: number,
  { splits, pagesPerSplit, entries, entry }: Places,
): { out: Float64Array; partials: Float64Array; largestSum: number } {
  const { H, E } = cache.shape;
  const out = new Float64Array(q.length).fill(Number.NaN);
  const partials = new Float64Array(entries === 1 ? 1 : count * H * entries * (E + 2)).fill(Number.NaN);
  let largestSum = 1;
  for (let m = 0; m < count; m++) {
    const row = rows.subarray((firstRow + m) * 4, (firstRow + m + 1) * 4);
    for (let h = 0; h < H; h++) {
      const at = ((firstRow + m) * H + h) * E;
      for (let split = 0; split < splits; split++) {
        const query = q.subarray(at, at + E);
        const { acc, max, sum } = attend(cache, query, row, h, split * pagesPerSplit, (split + 1) * pagesPerSplit);
        largestSum = Math.max(largestSum, sum, Math.abs(max) < 1e30 ? Math.abs(max) : 0);
        if (entries === 1)
          out.set(
            acc.map((value) => (sum > 0 ? value / sum : 0)),
            at,
          );
        else partials.set([...acc, max, sum], ((m * H + h) * entries + entry + split) * (E + 2));
      }
    }
  }
  return { out, partials, largestSum: entries === 1 ? 1 : largestSum };
}

/**
 * [H, G, E, KV_BITS]. Each compiles for seconds on a software adapter, int4 with many heads longest, so every run takes
 * few: each storage, groups of 1, 2, 3 and 8 query heads, widths that are no multiple of 16, a real model's shape.
 */
const SHAPES = [
  [4, 4, 8, 32],
  [8, 1, 8, 16],
  [3, 1, 24, 8],
  [4, 2, 24, 4],
  [9, 3, 64, 16],
] as const;

/** What the full run adds: the other widths of real models, with each storage; groups of 7. */
const MORE_SHAPES = [
  [14, 2, 16, 16],
  [3, 1, 64, 32],
  [4, 2, 80, 16],
  [5, 1, 48, 32],
  [8, 1, 32, 16],
  [2, 1, 96, 32],
  [2, 1, 128, 16],
  [9, 3, 64, 8],
  [2, 1, 72, 8],
  [2, 1, 128, 8],
  [9, 3, 64, 4],
  [8, 1, 8, 4],
  [4, 2, 72, 4],
  [2, 1, 128, 4],
] as const;

/** Cases of the attention kernels: eight of each shape, then five of each other shape. */
export const ATTENTION_CASES = { cases: 8 * SHAPES.length, allCases: 8 * SHAPES.length + 5 * MORE_SHAPES.length };

/** The shape of a case. */
export function shapeOf(seed: number) {
  const { cases } = ATTENTION_CASES;
  return seed < cases ? SHAPES[seed % SHAPES.length]! : MORE_SHAPES[(seed - cases) % MORE_SHAPES.length]!;
}

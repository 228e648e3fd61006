import { kvmerger_merge } from "../../../src/gpu/kernels.gen.ts";
import { get, pageWords, place, pairAt, pairOf, put } from "../attn_case.ts";
import { attendBiased, goldenSets, mergedSet, setsOf } from "../merged_sets.ts";
import { floats, pick, random, spec } from "../spec.ts";

const SHAPES = [
  [64, 16],
  [24, 32],
  [80, 8],
  [32, 4],
  [256, 16],
] as const;

type Shape = { E: number; KV_BITS: number };
const KINDS = ["k", "v"] as const;

const floatOf = (word: number): number => new Float32Array(Uint32Array.of(word).buffer)[0]!;

/** Words that a slot takes of a private page: key, value, pairs, bias. */
function wordsOf(shape: Shape, slot: number): number[] {
  const perWord = 32 / shape.KV_BITS;
  const words = KINDS.flatMap((kind) => Array.from({ length: shape.E / perWord }, (_, w) => place(shape, kind, slot, w * perWord).word)); // prettier-ignore
  const pairs = shape.KV_BITS <= 8 ? KINDS.map((kind) => pairAt(shape, kind, slot)) : [];
  return [...words, ...pairs, pageWords(shape) + slot];
}

interface Target {
  page: number;
  slot: number;
  size: number;
  want: { key: ArrayLike<number>; value: ArrayLike<number>; bias: number };
}

/** What is wrong with a set in its slot, or null. One of a single token is as it was. */
function judgeSet(shape: Shape, kv: Uint32Array, { page, slot, size, want }: Target): string | null {
  const bias = floatOf(kv[page + pageWords(shape) + slot]!);
  if (Math.abs(bias - want.bias) > 2 ** -20) return `scores rise by ${bias}, want ${want.bias}`;
  for (const [kind, row] of [
    ["k", want.key],
    ["v", want.value],
  ] as const) {
    const largest = Math.max(...Array.from(row, Math.abs), 1e-3);
    const step = shape.KV_BITS <= 8 ? pairOf(kv[page + pairAt(shape, kind, slot)]!).scale : 0;
    // exp of −x is 3 + 2·x units off, so members that are far weigh a little more or less.
    const rounding = shape.KV_BITS <= 8 ? 0.51 * step : shape.KV_BITS === 16 ? largest * 2 ** -10 : 0;
    const allowed = size === 1 ? 0 : rounding + largest * 2 ** -14;
    for (let e = 0; e < shape.E; e++) {
      const got = get({ shape, kv }, page, kind, slot, e);
      if (!(Math.abs(got - row[e]!) <= allowed)) return `${kind}[${e}] is ${got}, want ${row[e]} ± ${allowed}`;
    }
  }
  return null;
}

/** Where sets begin: at slot 0, where the buffer changes, and here and there. */
function drawStarts(uniform: () => number, own: readonly number[]): number[] {
  const often = pick(uniform, [0.03, 0.3, 0.7]);
  return Array.from({ length: 32 * own.length }, (_, s) => s).filter(
    (s) => s === 0 || (s % 32 === 0 && own[s / 32] !== own[s / 32 - 1]) || uniform() < often,
  );
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const upTo = (most: number) => Math.floor(uniform() * most);
  const [E, KV_BITS] = tiny ? ([8, 32] as const) : SHAPES[seed % SHAPES.length]!;
  const shape = { E, KV_BITS };
  const [G, pages] = tiny ? [1, 1] : [1 + upTo(2), 1 + upTo(3)];
  const [row, preparedRow, column, arena] = [upTo(2), 2, pick(uniform, [0, 2]), upTo(2)];
  const [columns, listLength] = [column + G + upTo(2), 1 + pages + upTo(2)];
  const [first, stride] = [pick(uniform, [0, 3]), 32 * pages + upTo(9)];
  const spread = pick(uniform, [1 / 50, 1 / (2 * E), 2]);
  const [words, privateWords] = [pageWords(shape), pageWords(shape) + 32];
  const table = new Uint32Array(3 * listLength * columns * 4).fill(0xfffffff0);
  const source = new Uint32Array((G * pages + 1) * words).fill(0x7fc0dead);
  const kv = new Uint32Array((G * pages + 1) * privateWords).fill(0xdeadbeef);
  const scores = floats(uniform, (first + G) * stride).map((x) => Math.round(8 * x)); // with ties
  // One length for all lists.
  const arenas = Array.from({ length: pages }, () => (uniform() < 0.8 ? arena : 1 - arena));
  const starts = drawStarts(uniform, arenas);
  const keepStride = starts.length + upTo(4);
  const keep = new Uint32Array(columns * keepStride);
  const targets: Target[] = [];
  for (let g = 0; g < G; g++) {
    const entry = (line: number, at: number, value: number[]) =>
      table.set(value, ((line * listLength + at) * columns + column + g) * 4);
    entry(row, 0, [0, 0, 0, 0]);
    entry(preparedRow, 0, [Math.ceil(starts.length / 32), pages, 0, 0]);
    for (const [i, own] of arenas.entries()) entry(row, 1 + i, [(g * pages + i) * words, 0xffffffff, own, 32 * i]);
    for (let i = 0; 32 * i < starts.length; i++) entry(preparedRow, 1 + i, [(g * pages + i) * privateWords, 0xffffffff, 7, 0]); // prettier-ignore
    keep.set(starts, (column + g) * keepStride);
    const rows = KINDS.map((kind) =>
      Array.from({ length: 32 * pages }, (_, s) => {
        const page = (g * pages + Math.floor(s / 32)) * words;
        put({ shape, kv: source }, page, kind, s % 32, floats(uniform, E, pick(uniform, [0.1, 1])));
        return Array.from({ length: E }, (_, e) => get({ shape, kv: source }, page, kind, s % 32, e));
      }),
    );
    const own = scores.subarray((first + g) * stride);
    for (const [j, set] of setsOf(starts, 32 * pages).entries()) {
      if (arenas[Math.floor(set[0] / 32)] !== arena) continue;
      const want = mergedSet({ keys: rows[0]!, values: rows[1]! }, set, { scores: own, spread });
      targets.push({
        page: (g * pages + Math.floor(j / 32)) * privateWords,
        slot: j % 32,
        size: set[1] - set[0],
        want,
      });
    }
  }
  const judge = (got: Uint32Array): string | null => {
    const untouched = kv.slice();
    for (const target of targets) {
      const wrong = judgeSet(shape, got, target);
      if (wrong) return ` slot ${target.slot} of page ${target.page}, ${target.size} tokens: ${wrong}`;
      for (const word of wordsOf(shape, target.slot)) untouched[target.page + word] = got[target.page + word]!;
    }
    const at = untouched.findIndex((word, i) => got[i] !== word);
    return at < 0 ? null : `[${at}] was written, want untouched`;
  };
  return {
    label: `E ${E} bits ${KV_BITS} G ${G} pages ${pages} sets ${starts.length} spread ${spread}`,
    constants: shape,
    params: { listLength, columns, column, row, preparedRow, arena, keepStride, count: starts.length, slots: 32 * pages, first, stride, spread }, // prettier-ignore
    grid: [G, 32, Math.ceil(starts.length / 32)] as const,
    buffers: { table, keep, source, scores, kv },
    want: { kv: judge },
    terms: 1,
  };
}

/** Part F: with σ = 5, what a query then reads of the merged tokens is 0.11472 from what it read of all. */
function golden() {
  const { keys, values, query, scores, starts } = goldenSets();
  const shape = { E: 8, KV_BITS: 32 };
  const source = new Uint32Array(pageWords(shape));
  for (const [s, key] of keys.entries()) put({ shape, kv: source }, 0, "k", s, key);
  for (const [s, value] of values.entries()) put({ shape, kv: source }, 0, "v", s, value);
  const full = attendBiased(query, keys, values, new Float64Array(12));
  const judge = (got: Uint32Array): string | null => {
    const rows = (kind: "k" | "v") => starts.map((_, j) => Array.from({ length: 8 }, (_, e) => get({ shape, kv: got }, 0, kind, j, e))); // prettier-ignore
    const biases = starts.map((_, j) => floatOf(got[pageWords(shape) + j]!));
    const read = attendBiased(query, rows("k"), rows("v"), biases);
    const off = Math.hypot(...read.map((x, e) => x - full[e]!));
    return Math.abs(off - 0.11472) < 1e-5 ? null : `: ${off} from attention over all, want 0.11472`;
  };
  return {
    label: "golden error",
    constants: shape,
    params: { listLength: 2, columns: 1, column: 0, row: 0, preparedRow: 1, arena: 0, keepStride: 6, count: 6, slots: 12, first: 0, stride: 12, spread: 1 / 50 }, // prettier-ignore
    grid: [1, 32, 1] as const,
    buffers: {
      table: Uint32Array.of(0, 0, 0, 0, 0, 0xffffffff, 0, 0, 1, 1, 0, 0, 0, 63, 1, 0),
      keep: Uint32Array.from(starts),
      source,
      scores: Float32Array.from(scores),
      kv: new Uint32Array(pageWords(shape) + 32),
    },
    want: { kv: judge },
    terms: 1,
  };
}

export default spec({
  kernel: kvmerger_merge,
  cases: 40,
  make: (seed) => (seed === 0 ? golden() : make(seed)),
  race: () => make(1, true),
  mutants: [
    ["the first member is the pivot", "if (score > best)", "if (score > 1e30)"],
    ["plain means", "exp(-square * params.spread)", "1.0", 1],
    ["no rise of scores", "bitcast<u32>(log(f32(end - begin)))", "0u"],
    ["of equal scores the last", "if (score > best)", "if (score >= best)", 1],
    ["values by the keys' sums", "merged[E + e] = sums[e / LANES].y", "merged[E + e] = sums[e / LANES].x", 1],
  ],
});

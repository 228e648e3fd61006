import { less_absorb } from "../../../src/gpu/kernels.gen.ts";
import { get, pageWords, put } from "../attn_case.ts";
import { type FeatureMap, featureSizes, featuresOf, goldenTokens, stateOf, widened } from "../less_maps.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** [E, KV_BITS, HIDDEN, G, WG]: those of every run, the small one that most mutants are tried on first; then the others. */
const SHAPES = [
  [24, 16, 32, 2, 128],
  [8, 32, 8, 1, 32],
  [40, 8, 12, 2, 64],
] as const;
const MORE_SHAPES = [
  [136, 4, 8, 1, 96],
  [64, 16, 32, 3, 128],
] as const;
const CASES = 41;

/** `bare`: without the constants of a key's map. */
export function drawMaps(uniform: () => number, heads: number, E: number, hidden: number, bare = false) {
  const normal = (count: number, from: number) => floats(uniform, count, Math.sqrt(6 / from));
  const maps = Array.from({ length: heads }, (): FeatureMap => {
    const made = { in: normal(E * hidden, E), out: normal(hidden * 8, hidden) };
    return bare ? made : { ...made, mix: floats(uniform, 64, 1), gain: floats(uniform, 8, 2), shift: floats(uniform, 8, 1) }; // prettier-ignore
  });
  return { maps, data: joinMaps(maps) };
}

/** As the kernel reads them: part after part, of all heads. */
export function joinMaps(maps: readonly FeatureMap[]): Float32Array {
  const parts = (["in", "out", "mix", "gain", "shift"] as const).flatMap((part) => maps.map((map) => map[part] ?? []));
  return Float32Array.from(parts.flatMap((part) => Array.from(part)));
}

/** Which of `slots` slots stay, ascending. */
function drawKept(uniform: () => number, slots: number): number[] {
  const share = pick(uniform, [0, 0.1, 0.5, 1]);
  return Array.from({ length: slots }, (_, s) => s).filter(() => uniform() < share);
}

const shapeOf = (seed: number) =>
  seed < CASES ? SHAPES[seed % SHAPES.length]! : MORE_SHAPES[seed % MORE_SHAPES.length]!;

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const upTo = (most: number) => Math.floor(uniform() * most);
  const [E, KV_BITS, HIDDEN, G, WG] = tiny ? ([8, 32, 4, 1, 32] as const) : shapeOf(seed);
  const shape = { E, KV_BITS };
  const [pages, more] = tiny ? [1, 0] : [pick(uniform, [1, 2, 3, 5]), upTo(2)];
  const pagesPerSplit = pick(uniform, [1, 2, 5]);
  const splits = Math.ceil(pages / pagesPerSplit);
  const [before, after] = [pick(uniform, [0, 2]), pick(uniform, [0, 1])];
  const entries = before + splits + after;
  const [row, column, arena] = [upTo(2), pick(uniform, [0, 2]), upTo(2)];
  const [columns, listLength] = [column + G + upTo(2), 1 + pages + more];
  const table = new Uint32Array(3 * listLength * columns * 4).fill(0xfffffff0);
  const source = new Uint32Array((G * (pages + more) + 1) * pageWords(shape)).fill(0x7fc0dead);
  const keepStride = 32 * pages + upTo(3);
  const keep = new Uint32Array(columns * keepStride).fill(5);
  const { maps, data } = drawMaps(uniform, G, E, HIDDEN);
  const want = new Float64Array(G * entries * 8 * (E + 1)).fill(Number.NaN);
  let magnitude = 0;
  for (let g = 0; g < G; g++) {
    const entry = (line: number, at: number, value: number[]) =>
      table.set(value, ((line * listLength + at) * columns + column + g) * 4);
    entry(row, 0, [0, 0, 0, 0]);
    const kept = drawKept(uniform, 32 * pages);
    keep.set(kept, (column + g) * keepStride);
    const keptPages = Math.ceil(kept.length / 32);
    entry(2, 0, [keptPages, pages, 0, 0]);
    for (let i = 0; i < keptPages; i++) {
      const left = kept.length - 32 * i;
      entry(2, 1 + i, [0, left >= 32 ? 0xffffffff : 2 ** left - 1, 7, 0]);
    }
    const tokens: { keys: Float64Array[]; values: Float64Array[] }[] = [];
    for (let i = 0; i < pages + more; i++) {
      const [page, own] = [(g * (pages + more) + i) * pageWords(shape), uniform() < 0.8 ? arena : 1 - arena];
      entry(row, 1 + i, [page, 0xffffffff, own, 32 * i]);
      const here = { keys: [] as Float64Array[], values: [] as Float64Array[] };
      tokens.push(here);
      if (own !== arena) continue;
      for (let s = 0; s < 32; s++) {
        put({ shape, kv: source }, page, "k", s, floats(uniform, E, pick(uniform, [1, 3])));
        put({ shape, kv: source }, page, "v", s, floats(uniform, E, 1));
        const read = (kind: "k" | "v") => Float64Array.from({ length: E }, (_, e) => get({ shape, kv: source }, page, kind, s, e)); // prettier-ignore
        if (i >= pages || kept.includes(32 * i + s)) continue;
        here.keys.push(read("k"));
        here.values.push(read("v"));
      }
    }
    for (let split = 0; split < splits; split++) {
      const some = tokens.slice(split * pagesPerSplit, Math.min(pages, (split + 1) * pagesPerSplit));
      const [keys, values] = [some.flatMap((page) => page.keys), some.flatMap((page) => page.values)];
      const sums = new Float64Array(8 * (E + 1));
      sums.set(stateOf(keys, values, (key) => featuresOf(key, maps[g]!)));
      want.set(sums, (g * entries + before + split) * sums.length);
      const sizes = stateOf(keys, values.map((value) => value.map(Math.abs)), (key) => featureSizes(key, maps[g]!)); // prettier-ignore
      for (const size of sizes) magnitude = Math.max(magnitude, size);
    }
  }
  return {
    label: `E ${E} bits ${KV_BITS} G ${G} hidden ${HIDDEN} pages ${pages} splits ${splits}×${pagesPerSplit} WG ${WG}`,
    constants: { WG, E, KV_BITS, G, HIDDEN },
    params: { listLength, columns, column, row, preparedRow: 2, arena, keepStride, pages, pagesPerSplit, entries, entry: before }, // prettier-ignore
    grid: [G, splits, 1] as const,
    buffers: { table, keep, source, maps: data, sums: new Float32Array(want.length).fill(7) },
    want: { sums: want },
    terms: E + HIDDEN + 8 + 32 * pages,
    ulps: 16, // two polynomials and exponentials
    magnitude,
  };
}

/** The state of part G. */
function golden() {
  const { keys, values, keyMap, kept } = goldenTokens();
  const shape = { E: 8, KV_BITS: 32 };
  const source = new Uint32Array(pageWords(shape));
  for (let s = 0; s < 32; s++) {
    put({ shape, kv: source }, 0, "k", s, keys[s] ?? new Float64Array(8));
    put({ shape, kv: source }, 0, "v", s, values[s] ?? new Float64Array(8));
  }
  const gone = [...keys.keys()].filter((s) => !kept.includes(s));
  const map = widened(keyMap, 8, 6, 4);
  const want = stateOf(gone.map((s) => keys[s]!), gone.map((s) => values[s]!), (key) => featuresOf(key, map)); // prettier-ignore
  const keep = Uint32Array.from([...kept, 24, 25, 26, 27, 28, 29, 30, 31]);
  return {
    label: "golden tokens",
    constants: { WG: 32, ...shape, G: 1, HIDDEN: 8 },
    params: { listLength: 2, columns: 1, column: 0, row: 0, preparedRow: 1, arena: 0, keepStride: keep.length, pages: 1, pagesPerSplit: 1, entries: 1, entry: 0 }, // prettier-ignore
    grid: [1, 1, 1] as const,
    buffers: {
      table: Uint32Array.of(0, 0, 0, 0, 0, 0xffffffff, 0, 0, 1, 1, 0, 0, 0, 2 ** keep.length - 1, 7, 0),
      keep,
      source,
      maps: joinMaps([map]),
      sums: new Float32Array(want.length),
    },
    want: { sums: want },
    terms: 48,
  };
}

export default spec({
  kernel: less_absorb,
  cases: CASES,
  allCases: CASES + 20,
  make: (seed) => (seed === 40 ? golden() : make(seed)),
  race: () => make(1, true),
  mutants: [
    ["tokens that stay, too", "if (stays(column, count, PAGE * page + local))", "if (false)", 1],
    ["pages of another arena", "if (entry.z != params.arena) { continue; }", "", 1],
    ["one lane of a slot", "lane < LANES; lane++", "lane < 1u; lane++", 2],
    ["no mix", "abs(low + mixed *", "abs(low + 0.0 * mixed *", 1],
    [
      "pages that stay",
      "min((wg.y + 1u) * params.pagesPerSplit, params.pages)",
      "(wg.y + 1u) * params.pagesPerSplit",
      1,
    ],
    ["a coarser GELU", "0.254829592", "0.2547", 1],
  ],
});

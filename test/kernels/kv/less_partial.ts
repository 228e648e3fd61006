import { less_partial } from "../../../src/gpu/kernels.gen.ts";
import { featureSizes, featuresOf, goldenTokens, partOf, stateOf, widened } from "../less_maps.ts";
import { floats, pick, random, spec } from "../spec.ts";
import { drawMaps, joinMaps } from "./less_absorb.ts";

/** [H, G, E, HIDDEN, WG]: those of every run, the small one that most mutants are tried on first; then the others. */
const SHAPES = [
  [9, 3, 24, 32, 128],
  [4, 2, 8, 8, 8],
  [7, 1, 40, 12, 96],
] as const;
const MORE_SHAPES = [
  [9, 3, 64, 32, 8],
  [4, 2, 136, 32, 128],
] as const;
const CASES = 41;

const shapeOf = (seed: number) =>
  seed < CASES ? SHAPES[seed % SHAPES.length]! : MORE_SHAPES[seed % MORE_SHAPES.length]!;

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [H, G, E, HIDDEN, WG] = tiny ? ([2, 1, 8, 8, 8] as const) : shapeOf(seed);
  const [count, firstRow, sequences] = [tiny ? 1 : pick(uniform, [1, 2, 5]), pick(uniform, [0, 2]), 3];
  const [entries, first] = [pick(uniform, [1, 2, 4]), pick(uniform, [0, 3])];
  const entry = Math.floor(uniform() * entries);
  const [column, listLength] = [pick(uniform, [0, 2]), 3];
  const columns = column + G;
  const table = new Uint32Array(sequences * listLength * columns * 4).fill(0xfffffff0);
  const { maps, data } = drawMaps(uniform, H, E, HIDDEN, true);
  const NUMBERS = 8 * (E + 1);
  const state = new Float32Array((first + sequences * G) * NUMBERS).fill(Number.NaN);
  const there = Array.from({ length: sequences * G }, (_, i) => {
    const kind = pick(uniform, ["there", "there", "there", "empty", "none"]); // empty: no token was absorbed
    table.set([pick(uniform, [0, 2]), kind === "none" ? 0 : 5, 0, 0], (Math.floor(i / G) * listLength * columns + column + (i % G)) * 4); // prettier-ignore
    const numbers = floats(uniform, NUMBERS, pick(uniform, [1, 1e-4, 1e4]));
    for (let r = 0; r < 8; r++) numbers[r * (E + 1) + E] = Math.abs(numbers[r * (E + 1) + E]!);
    state.set(kind === "empty" ? numbers.fill(0) : numbers, (first + i) * NUMBERS); // none: an earlier sequence's
    return kind === "there";
  });
  const q = floats(uniform, (firstRow + count) * H * E, pick(uniform, [1, 6]));
  const rows = new Uint32Array((firstRow + count) * 4).fill(0xffffff00);
  const want = new Float64Array(count * H * entries * (E + 2)).fill(Number.NaN);
  let magnitude = 1;
  for (let m = 0; m < count; m++) {
    const sequence = Math.floor(uniform() * sequences);
    rows[(firstRow + m) * 4 + 2] = sequence;
    for (let h = 0; h < H; h++) {
      const list = sequence * G + Math.floor(h / (H / G));
      const at = ((firstRow + m) * H + h) * E;
      const query = q.subarray(at, at + E);
      const numbers = Float64Array.from(state.subarray((first + list) * NUMBERS, (first + list + 1) * NUMBERS));
      const part = there[list] ? partOf(featuresOf(query, maps[h]!), numbers) : null;
      const to = ((m * H + h) * entries + entry) * (E + 2);
      want.set(part ? [...part.acc, part.max, 1] : [...new Float64Array(E), Math.fround(-3e38), 0], to);
      if (part) magnitude = Math.max(magnitude, sizeOf(featureSizes(query, maps[h]!), numbers, part.max));
    }
  }
  return {
    label: `${H}/${G}×${E}, ${count} rows, hidden ${HIDDEN}, WG ${WG}`,
    constants: { WG, E, H, G, HIDDEN },
    params: { firstRow, listLength, columns, column, first, entries, entry },
    grid: [H, count, 1] as const,
    buffers: { q, rows, table, maps: data, state, partials: new Float32Array(want.length).fill(7) },
    want: { partials: want },
    terms: E + HIDDEN + 8,
    ulps: 32, // two polynomials and exponentials, a division, a logarithm
    magnitude,
  };
}

/** By how much errors of features enlarge a number of the partial: of acc and of its divisor, whose logarithm is max. */
function sizeOf(sizes: Float64Array, state: Float64Array, max: number): number {
  const width = state.length / 8;
  const sums = Array.from({ length: width }, (_, c) => sizes.reduce((sum, size, r) => sum + size * Math.abs(state[r * width + c]!), 0)); // prettier-ignore
  const of = sums.map((sum) => sum / Math.exp(max));
  const values = Math.max(...of.slice(0, -1));
  return Math.max(Math.abs(max), values + of.at(-1)! * Math.max(1, values));
}

/** The partial of part G, from the state that float64 gives. */
function golden() {
  const { keys, values, query, queryMap, keyMap, kept } = goldenTokens();
  const gone = [...keys.keys()].filter((s) => !kept.includes(s));
  const map = widened(queryMap, 8, 6, 4);
  const keyed = widened(keyMap, 8, 6, 4);
  const state = stateOf(gone.map((s) => keys[s]!), gone.map((s) => values[s]!), (key) => featuresOf(key, keyed)); // prettier-ignore
  const { acc, max } = partOf(featuresOf(query, map), state)!;
  return {
    label: "golden query",
    constants: { WG: 32, E: 8, H: 1, G: 1, HIDDEN: 8 },
    params: { firstRow: 0, listLength: 1, columns: 1, column: 0, first: 0, entries: 1, entry: 0 },
    grid: [1, 1, 1] as const,
    buffers: {
      q: Float32Array.from(query),
      rows: new Uint32Array(4),
      table: Uint32Array.of(1, 1, 0, 0),
      maps: joinMaps([map]),
      state: Float32Array.from(state),
      partials: new Float32Array(10),
    },
    want: { partials: Float64Array.of(...acc, max, 1) },
    terms: 24,
    ulps: 32,
  };
}

export default spec({
  kernel: less_partial,
  cases: CASES,
  allCases: CASES + 20,
  make: (seed) => (seed === 40 ? golden() : make(seed)),
  race: () => make(1, true),
  mutants: [
    ["a list that has given up nothing", "if (head.y == 0u) {", "if (false) {", 1],
    ["an empty state weighs", "select(0.0, 1.0, weight > 0.0)", "1.0", 1],
    ["the state of another sequence", "sequence * G + group", "group", 1],
    ["the state of another head", "sequence * G + group", "sequence * G", 1],
    ["a slice of the channels", "slice < SLICES; slice++", "slice < 1u; slice++", 1],
    ["half of the features", "r < 8u; r++", "r < 4u; r++", 1],
    ["another entry", "params.entries + params.entry)", "params.entries)", 1],
    ["the map of the first head", "(wg.x * HIDDEN + j)", "j", 1],
    ["not divided", "weighed(at, c) / weight", "weighed(at, c)", 1],
  ],
});

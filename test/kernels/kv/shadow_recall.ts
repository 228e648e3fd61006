import { shadow_recall } from "../../../src/gpu/kernels.gen.ts";
import { pageWords } from "../attn_case.ts";
import { halfOf } from "../matrix.ts";
import { judgePages, type PageWrite } from "../pages.ts";
import { floats, pick, random, spec } from "../spec.ts";
import { drawHalves, drawRope, signed } from "./shadow_case.ts";

/** [LANES, G, E, KV_BITS, V_BITS, GROUP, RANK, BITS, HOST, CHUNK, OUTLIERS, SELECTED]: the first, which most mutants meet alone, compiles fast. */
const SHAPES = [
  [4, 2, 24, 8, 4, 8, 12, 16, 0, 4, 5, 5],
  [32, 1, 8, 32, 16, 8, 8, 16, 1, 4, 1, 12],
  [32, 2, 72, 4, 8, 8, 4, 8, 0, 16, 1, 3],
  [4, 2, 24, 16, 16, 8, 8, 16, 1, 8, 2, 6],
  [4, 3, 64, 16, 8, 32, 48, 8, 0, 8, 3, 9],
] as const;

/** In ±1: pairs of f16, or fours of codes in steps of 8/127. */
function drawFactors(uniform: () => number, count: number, bits: number) {
  if (bits === 16) return drawHalves(uniform, count);
  const bytes = Uint8Array.from({ length: count }, () => Math.round(32 * uniform() - 16));
  return { words: new Uint32Array(bytes.buffer), values: Float64Array.from(bytes, (byte) => (signed(byte) * 8) / 127) };
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const upTo = (most: number) => Math.floor(uniform() * most);
  const [LANES, G, E, KV_BITS, V_BITS, GROUP, RANK, BITS, HOST, CHUNK, OUTLIERS, SELECTED] = tiny
    ? ([2, 1, 8, 32, 8, 8, 4, 16, 0, 4, 1, 2] as const)
    : SHAPES[seed % SHAPES.length]!;
  const shape = { E, KV_BITS };
  const workgroups = pick(uniform, [1, 2, SELECTED]);
  const [count, firstRow] = [tiny ? 1 : pick(uniform, [1, 2]), pick(uniform, [0, 1])];
  const chunks = tiny ? 3 : 20;
  const longest = 32 * Math.ceil((chunks * CHUNK) / 32);
  const capacity = 2 * longest + pick(uniform, [0, 32]);
  const words = pageWords(shape);
  const pages = Math.ceil(((OUTLIERS + SELECTED) * CHUNK) / 32);
  const [column, listLength] = [pick(uniform, [0, 2]), 1 + pages];
  const columns = column + G;
  const table = new Uint32Array(2 * listLength * columns * 4).fill(0xfffffff0);
  const rows = new Uint32Array((firstRow + count) * 4).fill(0xffffff00);
  const VALUE_WORDS = (E * V_BITS) / 32 + (V_BITS < 16 ? E / GROUP : 0);
  const factors = drawFactors(uniform, capacity * RANK, BITS);
  const up = floats(uniform, 2 * (RANK + 1) * G * E);
  const rope = drawRope(capacity, E);
  const lists = HOST ? pick(uniform, [0, 3]) : 0; // words before the first one told
  const told = HOST ? lists + count * G : 0;
  const tokens = HOST ? count * G * SELECTED * CHUNK : G * capacity;
  const values = Uint32Array.from({ length: told + tokens * VALUE_WORDS }, () => upTo(2 ** 32));
  const pairs = drawHalves(uniform, 2 * values.length).words;
  const isPair = (i: number) => V_BITS === 16 || i % VALUE_WORDS >= (E * V_BITS) / 32;
  for (let i = told; i < values.length; i++) if (isPair(i - told)) values[i] = pairs[i]!;
  const kv = new Uint32Array(count * G * pages * words).fill(0xdeadbeef);
  const moves = new Uint32Array(count * G * (1 + 2 * SELECTED)).fill(0xdeadbeef);
  const last = count * G - 1; // lists' values lie in the opposite order
  const writes: PageWrite[] = [];
  for (let m = 0; m < count; m++) {
    const sequence = 1 - m;
    rows[(firstRow + m) * 4 + 2] = sequence;
    const region = m * longest;
    for (let g = 0; g < G; g++) {
      const first = (m * G + g) * pages;
      table.set([pages, 9, region / 32, 0], (sequence * listLength * columns + column + g) * 4);
      for (let i = 0; i < pages; i++)
        table.set(
          [(first + pages - 1 - i) * words, 0, 0, 0],
          ((sequence * listLength + 1 + i) * columns + column + g) * 4,
        );
      const missing = upTo(SELECTED + 1);
      if (HOST) values[lists + m * G + g] = told + (last - (m * G + g)) * SELECTED * CHUNK * VALUE_WORDS;
      moves[(m * G + g) * (1 + 2 * SELECTED)] = missing;
      for (let i = 0; i < missing; i++) {
        const [place, chunk] = [SELECTED - 1 - i, upTo(chunks)];
        moves.set([place, chunk], (m * G + g) * (1 + 2 * SELECTED) + 1 + 2 * i);
        for (let t = 0; t < CHUNK; t++) {
          const slot = (OUTLIERS + place) * CHUNK + t;
          const at = { page: (first + pages - 1 - Math.floor(slot / 32)) * words, slot: slot % 32 };
          const token = chunk * CHUNK + t;
          const map = (j: number, e: number) => up[((sequence * (RANK + 1) + j) * G + g) * E + e]!;
          const flat = Float64Array.from({ length: E }, (_, e) => {
            let sum = map(RANK, e);
            for (let j = 0; j < RANK; j++) sum += factors.values[(region + token) * RANK + j]! * map(j, e);
            return sum;
          });
          const key = flat.map((value, e) => {
            const i2 = e % (E / 2);
            const [cos, sin] = [rope[token * E + 2 * i2]!, rope[token * E + 2 * i2 + 1]!];
            return e < E / 2 ? value * cos - flat[e + E / 2]! * sin : value * cos + flat[e - E / 2]! * sin;
          });
          writes.push({ ...at, kind: "k", values: key, error: 8 * Math.sqrt(RANK + 2) * 2 ** -24 * (2 * RANK + 2) });
          const from = HOST
            ? told + ((last - (m * G + g)) * SELECTED + i) * CHUNK * VALUE_WORDS + t * VALUE_WORDS
            : (g * capacity + region + token) * VALUE_WORDS;
          const value = Float64Array.from({ length: E }, (_, e) => {
            const word = values[from + Math.floor((e * V_BITS) / 32)]! >>> ((e * V_BITS) % 32);
            if (V_BITS === 16) return halfOf(word & 0xffff);
            const pair = values[from + (E * V_BITS) / 32 + Math.floor(e / GROUP)]!;
            return halfOf(pair >>> 16) + halfOf(pair & 0xffff) * (word & (2 ** V_BITS - 1));
          });
          writes.push({ ...at, kind: "v", values: value, error: 2 ** -23 * 2 ** V_BITS });
        }
      }
    }
  }
  return {
    label: `${count} rows, ${G}×${E} of ${KV_BITS} bits, rank ${RANK} of ${BITS} bits, values of ${V_BITS} bits${HOST ? " from the host" : ""}, chunks of ${CHUNK}`,
    constants: { LANES, E, G, KV_BITS, V_BITS, GROUP, RANK, BITS, HOST, OUTLIERS, SELECTED, CHUNK },
    params: { firstRow, listLength, columns, column, capacity, workgroups, lists },
    grid: [workgroups, G, count] as const,
    buffers: { rows, table, moves, factors: factors.words, up, rope, values, kv },
    want: { kv: (got: Uint32Array) => judgePages(shape, writes, kv, got.subarray(0, kv.length)) },
    terms: RANK,
  };
}

export default spec({
  kernel: shadow_recall,
  cases: 50,
  make: (seed) => make(seed),
  race: () => make(0, true),
  mutants: [
    ["no mean", "sums[t] = mean;", "sums[t] = vec2f();"],
    ["not rotated", "let turn = rope[(token + t) * (E / 2u) + e];", "let turn = vec2f(1.0, 0.0);"],
    ["rotated to the chunk's first token", "rope[(token + t)", "rope[token"],
    ["over the outliers", "(OUTLIERS + moves[at + 1u + 2u * taken]) * CHUNK", "moves[at + 1u + 2u * taken] * CHUNK"],
    ["more than are missing", "taken < moves[at]", "taken < SELECTED"],
    ["another region", "32u * table[list].z", "0u"],
    ["factors of another four", "factors[first + i / 2u]", "factors[first]"],
    ["the first two of four", "select(four.xy, four.zw, i % 2u == 1u)", "four.xy"],
    ["values of the list's first missing chunk", "+ taken * CHUNK * VALUE_WORDS", ""],
    ["another list's values", "values[params.lists + row * G + head]", "values[params.lists]"],
    ["another token's values", "+ i / E * VALUE_WORDS", ""],
  ],
});

import { think_channels } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";
import { packChannels } from "../think_page.ts";
import { uniforms } from "../vectors.ts";

const SHAPES = [
  [64, 40],
  [24, 12],
  [80, 52],
  [256, 156],
  [32, 32],
] as const;

/** The `count` channels with the largest scores, ascending; of equal ones the earlier channel. */
export const topChannels = (scores: ArrayLike<number>, count: number): number[] =>
  Array.from(scores, (score, e) => ({ score, e }))
    .sort((a, b) => b.score - a.score || a.e - b.e)
    .slice(0, count)
    .map(({ e }) => e)
    .sort((a, b) => a - b);

/** Scores that f32 has exactly, so that ties are ties. */
function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [E, KEYS] = tiny ? ([8, 4] as const) : SHAPES[seed % SHAPES.length]!;
  const [G, entries] = tiny ? [1, 1] : [pick(uniform, [1, 3]), pick(uniform, [1, 2, 5])];
  const [first, list] = [pick(uniform, [0, 2]), pick(uniform, [0, 3])];
  const small = () => Math.floor(uniform() * 2 ** pick(uniform, [3, 9]));
  const squares = floats(uniform, (first + G + 1) * E).map(small);
  const sums = floats(uniform, (G * entries + 1) * E).map(small);
  const channels = new Uint32Array(((list + G + 1) * KEYS) / 4).fill(0xdeadbeef);
  const want = channels.slice();
  for (let g = 0; g < G; g++) {
    const scores = Array.from({ length: E }, (_, e) => {
      const keys = Array.from({ length: entries }, (_, i) => sums[(g * entries + i) * E + e]!);
      return squares[(first + g) * E + e]! * keys.reduce((sum, part) => sum + part, 0);
    });
    want.set(packChannels(topChannels(scores, KEYS)), ((list + g) * KEYS) / 4);
  }
  return {
    label: `E ${E} keys ${KEYS} G ${G} entries ${entries}`,
    constants: { WG: E, E, KEYS },
    params: { first, entries, list },
    grid: [G, 1, 1] as const,
    buffers: { squares, sums, channels },
    want: { channels: want },
    terms: 1,
  };
}

/** The 16 channels of part D of ../shared/vectors/kv_checks.py, the least first, as numpy sorts them. */
const GOLDEN_ORDER = [0, 1, 2, 3, 6, 4, 5, 13, 7, 8, 10, 12, 9, 11, 14, 15];

function golden() {
  const numbers = uniforms(4);
  const next = () => numbers.next().value as number;
  const keys = Array.from({ length: 40 }, () => Array.from({ length: 16 }, (_, j) => next() * (0.1 + (1.9 * j) / 15)));
  const queries = Array.from({ length: 8 }, () => Array.from({ length: 16 }, next));
  const sum = (rows: readonly (readonly number[])[]) => Float32Array.from({ length: 16 }, (_, j) => rows.reduce((total, row) => total + row[j]! ** 2, 0)); // prettier-ignore
  return {
    label: "golden channels",
    constants: { WG: 16, E: 16, KEYS: 12 },
    params: { first: 0, entries: 1, list: 0 },
    grid: [1, 1, 1] as const,
    buffers: { squares: sum(queries), sums: sum(keys), channels: new Uint32Array(3) },
    want: { channels: packChannels(GOLDEN_ORDER.slice(4).sort((a, b) => a - b)) },
    terms: 1,
  };
}

export default spec({
  kernel: think_channels,
  cases: 40,
  make: (seed) => (seed === 0 ? golden() : make(seed)),
  race: () => make(1, true),
  mutants: [
    ["the least channels", "other > score ||", "other < score ||"],
    ["of equal ones the later", "i < e", "i > e", 1],
    ["one sum of several", "i < params.entries", "i < 1u", 1],
  ],
});

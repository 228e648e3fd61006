import { attn_weights } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [4, 32, 64]);
  const T = tiny ? 5 : pick(uniform, [1, 2, 7, 33, 64, 65, 130]);
  const keys = T + pick(uniform, [0, 3]);
  const heads = pick(uniform, [1, 3]);
  const head = Math.floor(uniform() * heads);
  const window = pick(uniform, [0, 0, 1, 3, 16, 200]);
  const scale = Math.fround(1 / Math.sqrt(pick(uniform, [8, 64])));
  const size = 10 ** pick(uniform, [-1, 0, 1, 3]);
  const scores = floats(uniform, T * keys, size);
  const before = new Float32Array(T * keys + 3).fill(7);
  const sums = new Float32Array(T * heads + 2).fill(7);
  const weights = new Float64Array(T * keys);
  const totals = new Float64Array(T * heads).fill(Number.NaN);
  for (let t = 0; t < T; t++) {
    const first = window > 0 ? Math.max(0, t + 1 - window) : 0;
    const seen = Array.from(scores.subarray(t * keys + first, t * keys + t + 1), (value) => value * scale);
    const top = Math.max(...seen);
    const sum = seen.reduce((total, value) => total + Math.exp(value - top), 0);
    for (const [i, value] of seen.entries()) weights[t * keys + first + i] = Math.exp(value - top) / sum;
    totals[t * heads + head] = top + Math.log(sum);
    // What a row does not see is never read.
    scores.fill(Number.NaN, t * keys, t * keys + first).fill(Number.NaN, t * keys + t + 1, (t + 1) * keys);
  }
  before.set(scores);
  return {
    label: `T ${T} S ${keys} head ${head} of ${heads} window ${window} size ${size} WG ${WG}`,
    constants: { WG },
    params: { keys, heads, head, window, scale },
    grid: [T, 1, 1] as const,
    buffers: { scores: before, sums },
    want: { scores: weights, sums: totals },
    terms: T,
    ulps: 8 + 4 * size * scale, // exp: 3 + 2·|x| ULP
    magnitude: Math.max(1, size * scale),
  };
}

export default spec({
  kernel: attn_weights,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["sees the next token", "let last = row + 1u;", "let last = min(row + 2u, params.keys);"],
    ["window ignored", "params.window > 0u && ", "false && "],
    [
      "not the largest taken off",
      "let top = row_max(lane, most) * params.scale;",
      "let top = row_max(lane, most) * 0.0;",
    ],
    ["the sum of another head", "params.heads + params.head", "params.heads"],
  ],
});

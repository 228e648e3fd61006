import { top_logits } from "../../../src/gpu/kernels.gen.ts";
import { finite, packSettings, plain } from "../sample_reference.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** The f32 whose bits are `word`: how a token looks in a buffer judged as floats. */
const asFloat = (word: number): number => new Float32Array(Uint32Array.of(word).buffer)[0]!;

const MOST = 20;

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : seed < 32 ? 16 : 64;
  const M = tiny ? 2 : pick(uniform, [1, 2, 5]);
  const V = tiny ? 11 : pick(uniform, [1, 19, 20, WG + 1, 1000]);
  const N = tiny ? 2 : pick(uniform, [1, 3, 17]);
  const scale = pick(uniform, [1, 20]);
  const logits = floats(uniform, M * V, scale);
  for (let i = 0; i < M * V; i++) if (uniform() < 0.2) logits[i] = pick(uniform, [logits[0]!, NaN, -Infinity]);
  const slices = floats(uniform, M * N * 4, scale);
  const rows = Array.from({ length: M }, () => ({ ...plain, top: tiny ? 3 : pick(uniform, [0, 1, 5, MOST, 99]) }));
  const tops = new Float64Array(M * MOST * 2).fill(NaN); // what no row asks for must stay
  for (const [m, { top }] of rows.entries()) {
    let sum = 0;
    for (let i = m * N; i < (m + 1) * N; i++) {
      slices[i * 4 + 1] = 1 + uniform() * 1000;
      sum += slices[i * 4 + 1]! * Math.exp(slices[i * 4]!);
    }
    const row = Array.from(logits.subarray(m * V, (m + 1) * V), finite);
    const best = [...row.keys()].toSorted((a, b) => row[b]! - row[a]! || a - b).slice(0, Math.min(top, MOST));
    for (const [i, token] of best.entries()) {
      tops[(m * MOST + i) * 2] = asFloat(token);
      tops[(m * MOST + i) * 2 + 1] = row[token]! - Math.log(sum);
    }
  }
  return {
    label: `N ${N} M ${M} V ${V} WG ${WG} scale ${scale} tops ${rows.map(({ top }) => top)}`,
    constants: { WG },
    params: { vocabulary: V, sliceCount: N },
    grid: [M, 1, 1] as const,
    buffers: { logits, settings: packSettings(rows), slices, tops: new Float32Array(M * MOST * 2 + 3).fill(7) },
    want: { tops: verdict(tops, N, 2 * scale + Math.log(1000 * N)) },
    terms: N,
  };
}

/** Tokens exactly; log-probabilities within f32 sums of N terms and exp, log as WGSL bounds them; NaN = untouched. */
const verdict =
  (want: Float64Array, terms: number, magnitude: number) =>
  (words: Uint32Array): string | null => {
    const got = new Float32Array(words.buffer, words.byteOffset, words.length);
    for (const [i, value] of want.entries()) {
      const allowed = i % 2 === 0 ? 0 : (8 * Math.sqrt(terms) + 64) * 2 ** -24 * Math.max(magnitude, Math.abs(value));
      const right = Number.isNaN(value) ? got[i] === 7 : Math.abs(got[i]! - value) <= allowed;
      if (!right) return `[${i}] = ${got[i]}, want ${value}`;
    }
    return null;
  };

export default spec({
  kernel: top_logits,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(5, true),
  mutants: [
    ["last of the ties", "a.y < b.y", "a.y > b.y"],
    ["nothing goes on from the one before", "ahead(last, entry) && ", ""],
    ["one too few", "round < count", "round + 1u < count"],
    ["not normalised", "last.x - normaliser", "last.x"],
  ],
});

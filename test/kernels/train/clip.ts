import { clip } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [4, 32, 128]);
  const count = tiny ? 6 : pick(uniform, [1, 2, WG - 1, WG, WG + 1, 5 * WG + 3]);
  const limit = pick(uniform, [0.5, 1, 1e30]);
  const size = 10 ** pick(uniform, [-12, -2, 0, 2]);
  const squares = floats(uniform, count + 2, size)
    .map(Math.abs)
    .fill(Number.NaN, count);
  const norm = Math.sqrt(squares.subarray(0, count).reduce((a, b) => a + b, 0));
  const factor = Math.min(1, Math.fround(limit) / (norm + Math.fround(1e-6)));
  return {
    label: `N ${count} limit ${limit} size ${size} WG ${WG}`,
    constants: { WG },
    params: { count, limit },
    grid: [1, 1, 1] as const,
    buffers: { squares, factor: new Float32Array(4).fill(7) },
    want: { factor: Float64Array.of(factor, norm) },
    terms: count,
    ulps: 8, // sqrt and division
  };
}

export default spec({
  kernel: clip,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["raises small gradients", "min(1.0, params.limit / (norm + 1e-6))", "params.limit / (norm + 1e-6)"],
    ["the square of the norm", "sqrt(row_sum(lane, sum))", "row_sum(lane, sum)"],
    ["the last one left out", "i < params.count", "i + 1u < params.count"],
  ],
});

import { ceilDiv } from "../../../src/errors.ts";
import { square_sums } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64, 128]);
  const T = tiny ? 5 : pick(uniform, [1, 2, 7, 33, 130, 512]);
  const N = tiny ? 6 : pick(uniform, [1, 4, 63, 64, 65, 130, 384]);
  const slices = tiny ? 2 : pick(uniform, [1, 2, 8, 16]);
  const y = floats(uniform, T * N, 10 ** pick(uniform, [-3, 0, 2]));
  const before = floats(uniform, slices * N);
  const sums = new Float32Array(slices * N + 5).fill(7);
  sums.set(before);
  const want = Float64Array.from(before);
  for (let t = 0; t < T; t++) for (let n = 0; n < N; n++) want[(t % slices) * N + n]! += y[t * N + n]! ** 2;
  return {
    label: `T ${T} N ${N} S ${slices} WG ${WG}`,
    constants: { WG },
    params: { rows: T, columns: N, slices },
    grid: [ceilDiv(N, WG), slices, 1] as const,
    buffers: { y, sums },
    want: { sums: want },
    terms: ceilDiv(T, slices) + 1,
  };
}

export default spec({
  kernel: square_sums,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["forgets what was there", "+ id.x] += sum;", "+ id.x] = sum;"],
    ["sums instead of squares", "value * value", "value"],
    ["takes the rows of all slices", "t = id.y;", "t = 0u;"],
    ["last row left out", "t < params.rows", "t + 1u < params.rows"],
  ],
});

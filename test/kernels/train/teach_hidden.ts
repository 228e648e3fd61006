import { teach_hidden } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [4, 32, 64]);
  const T = tiny ? 2 : pick(uniform, [1, 2, 5]);
  const D = tiny ? 20 : 4 * pick(uniform, [1, 2, WG - 1, WG, WG + 1, 2 * WG + 3]);
  const weight = pick(uniform, [0, 0.5, 1]);
  const teacher = floats(uniform, T * D, 3);
  const student = floats(uniform, T * D, 3);
  const shares = Float32Array.from({ length: T }, () => pick(uniform, [0, 0.25, 1]));
  const dx = new Float32Array(T * D + 4).fill(7);
  dx.set(floats(uniform, T * D));
  const want = Float64Array.from(dx.subarray(0, T * D));
  const lossAt = pick(uniform, [0, 3]);
  const losses = new Float64Array(lossAt + T).fill(Number.NaN, 0, lossAt);
  for (let t = 0; t < T; t++)
    for (let i = t * D; i < (t + 1) * D; i++) {
      const apart = student[i]! - teacher[i]!;
      losses[lossAt + t]! += (shares[t]! * apart ** 2) / D;
      want[i]! += (2 * Math.fround(weight) * shares[t]! * apart) / D;
    }
  return {
    label: `T ${T} D ${D} weight ${weight} WG ${WG}`,
    constants: { WG },
    params: { width: D, weight, lossAt },
    grid: [T, 1, 1] as const,
    buffers: { teacher, student, shares, dx, losses: new Float32Array(lossAt + T + 3).fill(7) },
    want: { dx: want, losses },
    terms: D,
    magnitude: 36,
  };
}

export default spec({
  kernel: teach_hidden,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["away from the teacher", "student[start + i] - teacher[start + i]", "teacher[start + i] - student[start + i]"],
    ["forgets what was there", "dx[start + i] += ", "dx[start + i] = "],
    ["weight forgotten", "2.0 * params.weight * share", "2.0 * share"],
    ["its place ignored", "losses[params.lossAt + wg.x]", "losses[wg.x]"],
    ["weight in the loss", "= share * sum;", "= params.weight * share * sum;"],
  ],
});

import { peak_copy } from "../../../src/gpu/kernels.gen.ts";
import { pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64, 128]);
  const STEPS = pick(uniform, [1, 4, 8]);
  const count = tiny
    ? 21
    : pick(uniform, [1, WG - 1, WG, WG + 1, WG * STEPS - 1, WG * STEPS, WG * STEPS + 1, 3 * WG * STEPS + 7, 997]);
  const x = Uint32Array.from({ length: 4 * count }, () => uniform() * 2 ** 32);
  return {
    label: `N ${count} WG ${WG} STEPS ${STEPS}`,
    constants: { WG, STEPS },
    params: { count },
    grid: [Math.ceil(count / (WG * STEPS)), 1, 1] as const,
    buffers: { x, y: new Uint32Array(4 * count).fill(9) },
    want: { y: x },
    terms: 1,
  };
}

export default spec({
  kernel: peak_copy,
  cases: 45,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["stops early", "i < params.count", "i + 1u < params.count"],
    ["wrong stride", "(wg.x * STEPS + step) * WG", "(wg.x + step) * WG"],
    ["overwrites", "{ y[i] = x[i]", "{ y[i] = x[0]"],
  ],
});

import { peak_fma } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [1, 3, 32, 64]);
  const ROUNDS = tiny ? 1 : pick(uniform, [1, 2, 5, 16]);
  const count = WG * pick(uniform, [1, 2, 5]);
  const factor = Math.fround(0.5 + uniform() * 0.4);
  const x = floats(uniform, count, 10 ** pick(uniform, [-2, 0, 2]));
  const want = Float64Array.from(x, (start) => {
    let sum = 0;
    for (let chain = 0; chain < 16; chain++) {
      let value = start + chain;
      for (let round = 0; round < 4 * ROUNDS; round++) value = value * factor + 1;
      sum += value;
    }
    return sum;
  });
  return {
    label: `N ${count} WG ${WG} ROUNDS ${ROUNDS}`,
    constants: { WG, ROUNDS },
    params: { factor },
    grid: [count / WG, 1, 1] as const,
    buffers: { x, y: new Float32Array(count).fill(9) },
    want: { y: want },
    terms: 16 + 8 * ROUNDS,
    magnitude: 16 * (Math.max(...x.map(Math.abs)) + 16 + 1 / (1 - factor)),
  };
}

export default spec({
  kernel: peak_fma,
  cases: 45,
  make: (seed) => make(seed),
  race: () => make(1, true),
  mutants: [
    ["one round less", "round < ROUNDS * 4u", "round + 1u < ROUNDS * 4u"],
    ["a chain is lost", "+ p + q;", "+ p;"],
    ["no factor", "a = a * f + 1.0;", "a = a + 1.0;"],
  ],
});

import { ceilDiv } from "../../../src/errors.ts";
import { swiglu } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64, 128]);
  const count = tiny ? 6 : pick(uniform, [1, 3, WG - 1, WG, WG + 1, 3 * WG + 5]);
  const x = floats(uniform, 8 * (count + 1), 10 ** pick(uniform, [-1, 0, 1, 2])).fill(Number.NaN, 8 * count);
  const want = new Float64Array(4 * count);
  for (let i = 0; i < 4 * count; i++) {
    const at = Math.floor(i / 4) * 8 + (i % 4);
    want[i] = (x[at]! / (1 + Math.exp(-x[at]!))) * x[at + 4]!;
  }
  return {
    label: `N ${count} WG ${WG}`,
    constants: { WG },
    params: { count },
    grid: [pick(uniform, [1, ceilDiv(count, WG)]), 1, 1] as const,
    buffers: { x, y: new Float32Array(4 * (count + 1)).fill(7) },
    want: { y: want },
    terms: 1,
    ulps: 8, // exp and division
  };
}

export default spec({
  kernel: swiglu,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["gate and up exchanged", "let gate = x[2u * i];", "let gate = x[2u * i + 1u];"],
    ["one beyond the end", "i < params.count", "i <= params.count"],
    ["one turn only", "i += grid.x * WG", "i += params.count"],
  ],
});

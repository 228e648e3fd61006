import { ceilDiv } from "../../../src/errors.ts";
import { gelu } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

const reference = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64, 128]);
  const count = tiny ? 6 : pick(uniform, [1, 2, WG - 1, WG, WG + 1, 3 * WG + 5]);
  const size = pick(uniform, [0.01, 1, 4, 12]);
  const x = floats(uniform, 4 * (count + 1), size).fill(0.5, 4 * count);
  return {
    label: `N ${count} WG ${WG} size ${size}`,
    constants: { WG },
    params: { count },
    grid: [pick(uniform, [1, ceilDiv(count, WG), ceilDiv(count, WG) + 1]), 1, 1] as const,
    buffers: { x },
    want: { x: Float64Array.from(x.subarray(0, 4 * count), reference) },
    terms: 1,
    ulps: 40, // exp of up to 1.6·(x + 0.04·x³), where the result is small where that is large
    magnitude: size,
  };
}

export default spec({
  kernel: gelu,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["SiLU", "const EPILOGUE = 3u", "const EPILOGUE = 2u"],
    ["the last one left out", "i < params.count", "i + 1u < params.count"],
    ["one beyond the end", "i < params.count", "i <= params.count"],
    ["one turn only", "i += grid.x * WG", "i += params.count"],
  ],
});

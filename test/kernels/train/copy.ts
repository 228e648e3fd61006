import { ceilDiv } from "../../../src/errors.ts";
import { copy } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64, 128]);
  const count = tiny ? 6 : pick(uniform, [1, 2, WG - 1, WG, WG + 1, 3 * WG + 5]);
  const x = floats(uniform, 4 * (count + 1)).fill(Number.NaN, 4 * count);
  return {
    label: `N ${count} WG ${WG}`,
    constants: { WG },
    params: { count },
    grid: [pick(uniform, [1, ceilDiv(count, WG), ceilDiv(count, WG) + 1]), 1, 1] as const,
    buffers: { x, y: new Float32Array(4 * (count + 1)).fill(7) },
    want: { y: Float64Array.from(x.subarray(0, 4 * count)) },
    terms: 1,
  };
}

export default spec({
  kernel: copy,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["the last one left out", "i < params.count", "i + 1u < params.count"],
    ["one beyond the end", "i < params.count", "i <= params.count"],
    ["one turn only", "i += grid.x * WG", "i += params.count"],
  ],
});

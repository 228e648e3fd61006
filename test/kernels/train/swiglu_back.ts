import { ceilDiv } from "../../../src/errors.ts";
import { swiglu_back } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64, 128]);
  const count = tiny ? 6 : pick(uniform, [1, 3, WG - 1, WG, WG + 1, 3 * WG + 5]);
  const size = 10 ** pick(uniform, [-1, 0, 1]);
  const x = floats(uniform, 8 * (count + 1), size).fill(Number.NaN, 8 * count);
  const dy = floats(uniform, 4 * count);
  const want = new Float64Array(8 * count);
  for (let i = 0; i < 4 * count; i++) {
    const at = Math.floor(i / 4) * 8 + (i % 4);
    const [gate, up] = [x[at]!, x[at + 4]!];
    const sigma = 1 / (1 + Math.exp(-gate));
    want[at] = dy[i]! * up * sigma * (1 + gate * (1 - sigma));
    want[at + 4] = dy[i]! * gate * sigma;
  }
  return {
    label: `N ${count} WG ${WG} size ${size}`,
    constants: { WG },
    params: { count },
    grid: [pick(uniform, [1, ceilDiv(count, WG)]), 1, 1] as const,
    buffers: { x, dy, dx: new Float32Array(8 * (count + 1)).fill(7) },
    want: { dx: want },
    terms: 1,
    ulps: 64, // 1 − σ loses digits that gate then multiplies
    magnitude: Math.max(1, size) * 2,
  };
}

export default spec({
  kernel: swiglu_back,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["the slope of the sigmoid forgotten", " * (1.0 + gate * (1.0 - sigma))", ""],
    ["up instead of its gradient", "= dy[i] * gate * sigma;", "= gate * sigma;"],
    ["one beyond the end", "i < params.count", "i <= params.count"],
    ["one turn only", "i += grid.x * WG", "i += params.count"],
  ],
});

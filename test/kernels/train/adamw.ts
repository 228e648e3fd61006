import { ceilDiv } from "../../../src/errors.ts";
import { adamw } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64, 128]);
  const count = tiny ? 6 : pick(uniform, [1, 3, WG - 1, WG, WG + 1, 3 * WG + 5]);
  const step = pick(uniform, [1, 2, 100]);
  const rate = pick(uniform, [1e-2, 0.5]);
  const decay = pick(uniform, [0, 0.1]);
  const size = 10 ** pick(uniform, [-4, 0, 1]);
  const [b1, b2] = [0.9, 0.999];
  const gradient = floats(uniform, count, size);
  const factor = Float32Array.of(pick(uniform, [1, 0.25]), Number.NaN);
  const padded = (data: Float32Array) => Float32Array.from([...data, 7, 7]);
  const weights = floats(uniform, count);
  const first = floats(uniform, count, size);
  const second = floats(uniform, count, size ** 2).map(Math.abs);
  const want = { weights: new Float64Array(count), first: new Float64Array(count), second: new Float64Array(count) };
  const [c1, c2] = [1 - b1 ** step, 1 - b2 ** step];
  for (let i = 0; i < count; i++) {
    const g = gradient[i]! * factor[0]!;
    const m = b1 * first[i]! + (1 - b1) * g;
    const v = b2 * second[i]! + (1 - b2) * g * g;
    want.first[i] = m;
    want.second[i] = v;
    want.weights[i] = weights[i]! * (1 - rate * decay) - ((rate / c1) * m) / (Math.sqrt(v) / Math.sqrt(c2) + 1e-8);
  }
  const steps = Math.max(...want.weights.map((value, i) => Math.abs(value - weights[i]!)));
  return {
    label: `N ${count} step ${step} rate ${rate} decay ${decay} size ${size} WG ${WG}`,
    constants: { WG },
    params: {
      count,
      keep: 1 - rate * decay,
      beta1: b1,
      share1: 1 - b1,
      beta2: b2,
      share2: 1 - b2,
      eps: 1e-8,
      size: rate / c1,
      root: Math.sqrt(c2),
    },
    grid: [pick(uniform, [1, ceilDiv(count, WG)]), 1, 1] as const,
    buffers: { gradient, factor, weights: padded(weights), first: padded(first), second: padded(second) },
    want,
    terms: 1,
    ulps: 8, // sqrt and divisions
    magnitude: Math.max(1, 4 * steps, 2 * size, 2 * size ** 2),
  };
}

export default spec({
  kernel: adamw,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["not clipped", "gradient[i] * factor[0]", "gradient[i]"],
    ["no decay", "weights[i] * params.keep", "weights[i]"],
    ["the square of the mean", "params.share2 * g * g", "params.share2 * m * m"],
    ["one turn only", "i += grid.x * WG", "i += params.count"],
  ],
});

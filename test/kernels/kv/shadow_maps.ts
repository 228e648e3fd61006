import { shadow_maps } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [D, M, RANK] = tiny ? ([5, 4, 2] as const) : ([[24, 16, 10], [8, 8, 8], [70, 20, 2], [192, 56, 48]] as const)[seed % 4]!; // prettier-ignore
  const WG = tiny ? 4 : [16, 64][Math.floor(seed / 4) % 2]!;
  const tokens = pick(uniform, [1, 33, 4096]);
  const sequence = pick(uniform, [0, 1]);
  const gram = floats(uniform, (D + 1) * D, tokens);
  const pivot = floats(uniform, D);
  const q = floats(uniform, D * M);
  const sigma = Float32Array.from({ length: M }, () => (uniform() < 0.1 ? 0 : 0.1 + uniform()));
  const down = new Float64Array(D * RANK);
  const shift = new Float64Array(RANK);
  const up = new Float64Array(2 * (RANK + 1) * D).fill(Number.NaN);
  for (let k = 0; k < D; k++) {
    const mean = gram[D * D + k]! / tokens;
    for (let j = 0; j < RANK; j++) {
      const to = sigma[j]! > 0 ? q[k * M + j]! / sigma[j]! : 0;
      down[k * RANK + j] = to;
      shift[j]! -= mean * to;
      up[(sequence * (RANK + 1) + j) * D + k] = sigma[j]! * q[k * M + j]!;
    }
    up[(sequence * (RANK + 1) + RANK) * D + k] = mean + pivot[k]!;
  }
  const nan = (length: number) => new Float32Array(length).fill(Number.NaN);
  return {
    label: `${D} of ${M}, rank ${RANK}, tokens ${tokens}, sequence ${sequence}, WG ${WG}`,
    constants: { WG, D, M, RANK },
    params: { tokens, sequence },
    grid: [RANK + 1, 1, 1] as const,
    buffers: { gram, pivot, q, sigma, down: nan(D * RANK), shift: nan(RANK), up: nan(up.length) },
    want: { down, shift, up },
    terms: D,
    magnitude: 10,
  };
}

export default spec({
  kernel: shadow_maps,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(0, true),
  mutants: [
    ["no pivot", "mean + pivot[k]", "mean"],
    ["divides by nothing", "select(0.0, 1.0 / weight, weight > 0.0)", "(1.0 / weight)"],
    ["the mean goes up", "shift[j] = -total;", "shift[j] = total;"],
    ["another sequence", "params.sequence * (RANK + 1u)", "0u * (RANK + 1u)"],
  ],
});

import { shadow_down } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [D, RANK] = tiny
    ? ([5, 2] as const)
    : (
        [
          [24, 10],
          [8, 8],
          [70, 2],
          [192, 48],
        ] as const
      )[seed % 4]!;
  const WG = tiny ? 4 : [16, 64][Math.floor(seed / 4) % 2]!;
  const sequence = pick(uniform, [0, 1]);
  const up = floats(uniform, 2 * (RANK + 1) * D);
  const zero = pick(uniform, [-1, 0, RANK - 1]); // a direction of no weight
  const at = (j: number, k: number) => (sequence * (RANK + 1) + j) * D + k;
  if (zero >= 0) up.fill(0, at(zero, 0), at(zero, D));
  const down = new Float64Array(D * RANK);
  for (let j = 0; j < RANK; j++) {
    let square = 0;
    for (let k = 0; k < D; k++) square += up[at(j, k)]! ** 2;
    for (let k = 0; k < D; k++) down[k * RANK + j] = square > 0 ? up[at(j, k)]! / square : 0;
  }
  const nan = (length: number) => new Float32Array(length).fill(Number.NaN);
  return {
    label: `${D}, rank ${RANK}, sequence ${sequence}, without weight ${zero}, WG ${WG}`,
    constants: { WG, D, RANK },
    params: { sequence },
    grid: [RANK + 1, 1, 1] as const,
    buffers: { up, down: nan(D * RANK), shift: nan(RANK), pivot: nan(D) },
    want: {
      down,
      shift: new Float64Array(RANK),
      pivot: Float64Array.from({ length: D }, (_, k) => up[at(RANK, k)]!),
    },
    terms: D,
    magnitude: 10,
  };
}

export default spec({
  kernel: shadow_down,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(0, true),
  mutants: [
    ["divides by the length", "1.0 / total,", "1.0 / sqrt(total),"],
    ["divides by nothing", "select(0.0, 1.0 / total, total > 0.0)", "(1.0 / total)"],
    ["no pivot", "pivot[k] = up[row + k];", "pivot[k] = 0.0;"],
    ["another sequence", "params.sequence * (RANK + 1u)", "0u * (RANK + 1u)"],
  ],
});

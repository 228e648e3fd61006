import { gemv_cols } from "../../../src/gpu/kernels.gen.ts";
import { ceilDiv } from "../../../src/errors.ts";
import { projection, VARIANTS } from "../projection.ts";
import { pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const { constants, columns, label, ...rest } = projection(seed, tiny);
  const fixed = random(seed % VARIANTS);
  const WG = tiny ? 8 : pick(fixed, [4, 8, 32]);
  const COLS = tiny ? 2 : pick(fixed, constants.EPILOGUE >= 2 ? [2, 6, 8] : [1, 2, 6, 8]);
  return {
    ...rest,
    label: `${label} WG ${WG} COLS ${COLS}`,
    constants: { ...constants, WG, COLS },
    grid: [ceilDiv(ceilDiv(columns, 4 * COLS) * 4, WG), 1, 1] as const,
  };
}

export default spec({
  kernel: gemv_cols,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["minimum dropped", "+ half(pair, 1u) * xs", ""],
    ["gamma dropped", "values *= gamma[at];", ""],
    ["gate and up swapped", "gated(sum[c - 1u]) * value", "gated(value) * sum[c - 1u]"],
  ],
});

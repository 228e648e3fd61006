import { ceilDiv } from "../../../src/errors.ts";
import { gemm_regs } from "../../../src/gpu/kernels.gen.ts";
import { product } from "../product.ts";
import { pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 2 : pick(uniform, [4, 8]);
  const flags = { EPILOGUE: pick(uniform, [0, 1, 2, 3]), BIAS: pick(uniform, [0, 1]) };
  const test = product(uniform, { rows: 8, columns: 8 * WG }, flags, tiny);
  return {
    ...test,
    label: `${test.label} WG ${WG}`,
    constants: { ...test.constants, WG },
    grid: [ceilDiv(test.params.columns, 8 * WG), ceilDiv(test.params.rows, 8), 1] as const,
  };
}

export default spec({
  kernel: gemm_regs,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["reads past the row", "left > 1u", "true"],
    ["forgets the bias of the up columns", "with_bias(product1, column + 1u)", "product1"],
    ["writes rows past T", "row >= params.rows || ", ""],
  ],
});

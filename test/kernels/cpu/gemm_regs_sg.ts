import { ceilDiv } from "../../../src/errors.ts";
import { gemm_regs_sg } from "../../../src/gpu/kernels.gen.ts";
import { product } from "../product.ts";
import { pick, random, spec } from "../spec.ts";

function make(seed: number) {
  const uniform = random(seed);
  const WG = pick(uniform, [4, 4, 8]);
  const flags = { EPILOGUE: pick(uniform, [0, 1, 2, 3]), BIAS: pick(uniform, [0, 1]) };
  const test = product(uniform, { rows: 16, columns: 64 * WG }, flags, false);
  return {
    ...test,
    label: `${test.label} WG ${WG}`,
    constants: { ...test.constants, WG },
    grid: [16, ceilDiv(test.params.rows, 16), ceilDiv(test.params.columns, 64 * WG)] as const,
  };
}

export default spec({
  kernel: gemm_regs_sg,
  cases: 40,
  make,
  race: "the interpreter has no subgroup operations; no invocation reads what another writes",
  mutants: [
    ["reads past the row", "k + lane < params.depth", "true"],
    ["lanes in the wrong order", "(lane ^ 2u)", "(lane ^ 1u)"],
    ["writes rows past T", "row >= params.rows || ", ""],
  ],
});

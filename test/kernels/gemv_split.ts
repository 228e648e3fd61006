import { gemv_split } from "../../src/gpu/kernels.gen.ts";
import { ceilDiv } from "../../src/errors.ts";
import { projection } from "./projection.ts";
import { pick, random, spec } from "./spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [LANES, SLICES] = tiny ? [4, 4] : pick(uniform, [[8, 16], [32, 8], [16, 8], [4, 16], [32, 4], [8, 3]] as const);
  const { constants, columns, label, ...rest } = projection(uniform, 2, tiny);
  return {
    ...rest,
    label: `${label} LANES ${LANES} SLICES ${SLICES}`,
    constants: { ...constants, LANES, SLICES, COLS: 2 },
    grid: [ceilDiv(ceilDiv(columns, 8) * 4, LANES), 1, 1] as const,
  };
}

export default spec({
  kernel: gemv_split,
  cases: 80,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["missing barrier", "workgroupBarrier();", ""],
    ["norm of the first slice only", "squares += partialSquares[m * SLICES + s];", "squares += partialSquares[m * SLICES];"],
    ["slices overlap", "k += SLICES * UNIT", "k += UNIT"],
  ],
});

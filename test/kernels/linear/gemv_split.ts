import { gemv_split } from "../../../src/gpu/kernels.gen.ts";
import { ceilDiv } from "../../../src/errors.ts";
import { projection, VARIANTS } from "../projection.ts";
import { spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const { constants, columns, label, ...rest } = projection(seed, tiny);
  // SwiftShader compiles one store for each float of workgroup memory: production sizes with one row, small ones with more.
  const sizes: [number, number][] = [[8, 16], [32, 8], [8, 3], [4, 16], [4, 4]]; // prettier-ignore
  const fitting = sizes.filter(([lanes, slices]) => lanes * slices * constants.ROWS <= 256);
  const [LANES, SLICES] = tiny ? [4, 4] : fitting[(seed % VARIANTS) % fitting.length]!;
  return {
    ...rest,
    label: `${label} LANES ${LANES} SLICES ${SLICES}`,
    constants: { ...constants, LANES, SLICES, COLS: 2 },
    grid: [ceilDiv(ceilDiv(columns, 8) * 4, LANES), 1, 1] as const,
  };
}

export default spec({
  kernel: gemv_split,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["missing barrier", "workgroupBarrier();", ""],
    [
      "norm of the first slice only",
      "squares += partialSquares[m * SLICES + s];",
      "squares += partialSquares[m * SLICES];",
    ],
    ["slices overlap", "k += SLICES * UNIT", "k += UNIT"],
  ],
});

import { ceilDiv } from "../../src/errors.ts";
import { gemm_tile } from "../../src/gpu/kernels.gen.ts";
import { product } from "./product.ts";
import { pick, random, spec } from "./spec.ts";

// The autotuner's candidates and the smallest tile there is.
const tiles = [
  { TM: 8, TN: 2, WX: 8, WY: 8, BK: 16 },
  { TM: 4, TN: 2, WX: 8, WY: 8, BK: 16 },
  { TM: 4, TN: 1, WX: 8, WY: 8, BK: 16 },
  { TM: 8, TN: 2, WX: 16, WY: 8, BK: 8 },
  { TM: 4, TN: 2, WX: 2, WY: 4, BK: 8 },
];

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const tile = tiny ? { TM: 4, TN: 2, WX: 2, WY: 2, BK: 4 } : pick(uniform, tiles);
  const area = { rows: tile.WY * tile.TM, columns: tile.WX * tile.TN * 4 };
  const test = product(uniform, area, tile.TN === 2 ? [0, 1, 2] : [0, 1], tiny);
  return {
    ...test,
    label: `${test.label} ${JSON.stringify(tile)}`,
    constants: { ...test.constants, ...tile },
    grid: [ceilDiv(test.params.rows, area.rows), ceilDiv(test.params.columns, area.columns), 1] as const,
  };
}

export default spec({
  kernel: gemm_tile,
  cases: 40,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["reads past the depth", "if (k >= params.depth || column", "if (column"],
    ["one row of b off", "tile * BK + at / COLUMNS", "tile * BK + at / COLUMNS + 1u"],
    ["writes rows past T", "row >= params.rows || ", ""],
  ],
});

import { ceilDiv } from "../../../src/errors.ts";
import { gemm_packed } from "../../../src/gpu/kernels.gen.ts";
import { projection } from "../projection.ts";
import { spec } from "../spec.ts";

// Small tiles compile quickly, and have every format, epilogue, norm and bias; the full run adds production tiles.
const small = { TM: 1, TN: 4, WX: 4, WY: 8, BK: 32 };
const production = [
  { TM: 8, TN: 8, WX: 8, WY: 8, BK: 32 },
  { TM: 4, TN: 8, WX: 8, WY: 8, BK: 32 },
  { TM: 2, TN: 2, WX: 16, WY: 8, BK: 64 },
  { TM: 4, TN: 4, WX: 16, WY: 16, BK: 32 },
];

/** Variants of `projection`: each format with each kind of epilogue, norm and bias. */
const QUICK = [2, 1, 7, 3, 0, 6];
const CASES = 48;

function make(seed: number, tiny = false) {
  const own = seed < CASES ? QUICK[seed % QUICK.length]! + 32 * Math.floor(seed / QUICK.length) : seed;
  const tile = seed < CASES ? small : production[seed % production.length]!;
  const area = { rows: tile.WY * tile.TM, columns: tile.WX * tile.TN };
  const { constants, columns, label, ...rest } = projection(own, tiny, area);
  const { UNIT: _, ROWS: __, ...flags } = constants;
  return {
    ...rest,
    label: `${label} ${JSON.stringify(tile)}`,
    constants: { ...flags, ...tile },
    grid: [ceilDiv(rest.params.rows, area.rows), ceilDiv(columns, area.columns), 1] as const,
  };
}

export default spec({
  kernel: gemm_packed,
  cases: CASES,
  allCases: CASES + 24,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["missing barrier", "    workgroupBarrier();\n\n    for", "    for"],
    ["norm of the first inputs only", "sum += rowSquares[row * STEPS + i]", "sum += rowSquares[row * STEPS]"],
    ["ups where gates are", "place / WX % 2u * 4u", "(1u - place / WX % 2u) * 4u"],
    ["writes rows past T", "if (firstRow + row >= params.rows) { continue; }", ""],
    ["scale of the first group", "/ GROUP * params.stride + column", "/ GROUP * 0u + column"],
  ],
});

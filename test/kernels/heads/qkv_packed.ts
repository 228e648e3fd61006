import { ceilDiv } from "../../../src/errors.ts";
import { qkv_packed } from "../../../src/gpu/kernels.gen.ts";
import { QKV_VARIANTS, qkvCase, qkvSeed } from "../qkv_case.ts";
import { spec } from "../spec.ts";

// SwiftShader compiles one store for each float of workgroup memory: only variant 22 has a production tile. Every format of
// weights and of pages.
const CASES = 45;
const QUICK = [1, 8, 14, 4, 11];
const MORE = [5, 6, 3, 17, 22];

function tileOf(variant: number) {
  if (variant === 22) return { TM: 4, WY: 8, BK: 32 };
  return variant % 2 === 0 ? { TM: 1, WY: 8, BK: 8 } : { TM: 2, WY: 4, BK: 16 };
}

function make(seed: number) {
  const own = qkvSeed(seed, CASES, QUICK, MORE);
  const tile = tileOf(own % QKV_VARIANTS);
  const rowTile = tile.WY * tile.TM;
  const { heads, constants, opening, label, params, ...rest } = qkvCase(own, "packed", rowTile);
  const { BITS, GROUP } = opening;
  return {
    ...rest,
    label: `${label} ${JSON.stringify(tile)}`,
    constants: { ...constants, BITS, GROUP, ...tile },
    params,
    grid: [ceilDiv(params.rows, rowTile), heads, 1] as const,
  };
}

export default spec({
  kernel: qkv_packed,
  cases: CASES,
  allCases: CASES + 6 * MORE.length,
  make,
  race: () => make(4), // int4, head norm, several threads to a row: all barriers matter
  mutants: [
    ["queries turn as keys do", "select(0u, params.queryTurns, isQuery)", "0u"],
    ["keys normalised by the gamma of queries", "select(params.gammaKv, params.gammaQ, isQuery)", "params.gammaQ"],
    ["writes rows past T", "let isRow = t < params.rows;", "let isRow = true;"],
    ["squares of the first inputs only", "sum += rowSquares[row * STEPS + i]", "sum += rowSquares[row * STEPS]"],
    ["int4 words of one column", "crossing[line + (column + 1u) % WX][(column + 1u) / WX]", "low"],
  ],
});

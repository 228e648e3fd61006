import { ceilDiv } from "../../../src/errors.ts";
import { qkv_tile } from "../../../src/gpu/kernels.gen.ts";
import { QKV_VARIANTS, qkvCase, qkvSeed } from "../qkv_case.ts";
import { spec } from "../spec.ts";

// SwiftShader compiles one store for each float of workgroup memory: variant 22 has a production tile, odd ones (the
// widest heads) the smallest. Every format of pages.
const CASES = 48;
const QUICK = [1, 8, 7, 2, 11, 4];
const MORE = [5, 6, 3, 17, 22];

function tileOf(variant: number) {
  if (variant === 22) return { TM: 8, WY: 8, BK: 8 };
  return variant % 2 === 0 ? { TM: 4, WY: 2, BK: 8 } : { TM: 8, WY: 1, BK: 4 };
}

function make(seed: number) {
  const own = qkvSeed(seed, CASES, QUICK, MORE);
  const tile = tileOf(own % QKV_VARIANTS);
  const rowTile = tile.WY * tile.TM;
  const { heads, constants, opening: _, label, params, ...rest } = qkvCase(own, "wide", rowTile);
  return {
    ...rest,
    label: `${label} ${JSON.stringify(tile)}`,
    constants: { ...constants, ...tile },
    params: { ...params, heads },
    grid: [ceilDiv(params.rows, rowTile), heads, 1] as const,
  };
}

export default spec({
  kernel: qkv_tile,
  cases: CASES,
  allCases: CASES + 6 * MORE.length,
  make,
  race: () => make(28), // int4, head norm, several threads to a row: all barriers matter
  mutants: [
    ["queries turn as keys do", "select(0u, params.queryTurns, head.kind == QUERY)", "0u"],
    ["reads past the depth", "if (k >= params.depth) { return vec4f(); }\n  return b", "return b"],
    ["writes rows past T", "let isRow = t < params.rows;", "let isRow = true;"],
    ["squares of the first input only", "sum += aTile[group * BK + k];", "sum += aTile[group * BK];"],
    ["int4 words of one column", "aTile[line + (column + 1u) % WX][(column + 1u) / WX]", "low"],
  ],
});

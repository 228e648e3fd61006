import { ceilDiv } from "../../../src/errors.ts";
import { gemm_tile } from "../../../src/gpu/kernels.gen.ts";
import { product } from "../product.ts";
import { random, spec } from "../spec.ts";

// SwiftShader compiles a production tile in seconds, so every one has one set of flags here, and all but the first are
// left to the full run; the small tile, compiled in an instant, has all of them.
const small = { TM: 4, TN: 2, WX: 2, WY: 2, BK: 4 };
const variants = [
  { EPILOGUE: 0, BIAS: 0, ...small },
  { EPILOGUE: 0, BIAS: 1, ...small },
  { EPILOGUE: 1, BIAS: 0, ...small },
  { EPILOGUE: 1, BIAS: 1, ...small },
  { EPILOGUE: 2, BIAS: 0, ...small },
  { EPILOGUE: 2, BIAS: 1, ...small },
  { EPILOGUE: 3, BIAS: 1, ...small },
  { EPILOGUE: 1, BIAS: 1, TM: 4, TN: 1, WX: 8, WY: 8, BK: 16 },
  { EPILOGUE: 2, BIAS: 0, TM: 4, TN: 2, WX: 8, WY: 8, BK: 16 },
  { EPILOGUE: 0, BIAS: 1, TM: 8, TN: 2, WX: 8, WY: 8, BK: 16 },
  { EPILOGUE: 2, BIAS: 1, TM: 8, TN: 2, WX: 16, WY: 8, BK: 8 },
];

const CASES = 48;

/** Mutants meet the small tile first. */
function variantOf(seed: number) {
  if (seed < 42) return variants[seed % 7]!;
  return seed < CASES ? variants[7]! : variants[8 + (seed % 3)]!;
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const { EPILOGUE, BIAS, ...tile } = variantOf(seed);
  const area = { rows: tile.WY * tile.TM, columns: tile.WX * tile.TN * 4 };
  const test = product(uniform, area, { EPILOGUE, BIAS }, tiny);
  return {
    ...test,
    label: `${test.label} ${JSON.stringify(tile)}`,
    constants: { ...test.constants, ...tile },
    grid: [ceilDiv(test.params.rows, area.rows), ceilDiv(test.params.columns, area.columns), 1] as const,
  };
}

export default spec({
  kernel: gemm_tile,
  cases: CASES,
  allCases: CASES + 18,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["reads past the depth", "if (k >= params.depth || column", "if (column"],
    ["one row of b off", "tile * BK + at / COLUMNS", "tile * BK + at / COLUMNS + 1u"],
    ["writes rows past T", "row >= params.rows || ", ""],
  ],
});

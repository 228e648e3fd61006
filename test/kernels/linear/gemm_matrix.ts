import { ceilDiv } from "../../../src/errors.ts";
import { gemm_matrix } from "../../../src/gpu/kernels.gen.ts";
import { type MatrixShape, matrixShapes } from "../../../src/gpu/matrices.ts";
import { matrixTile } from "../../../src/model/ops/matrixproducts.ts";
import { halfBits, halfOf, randomMatrix } from "../matrix.ts";
import { edges, roundedWant, type SizedSum } from "../product.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** Subgroups and matrices of small tiles, which compile quickly; the full run adds those that products take. */
const SMALL = [
  { SX: 1, SY: 1, TM: 1, TN: 1 },
  { SX: 2, SY: 2, TM: 1, TN: 1 },
  { SX: 1, SY: 2, TM: 2, TN: 2 },
];
/** Constants: pipelines are what costs time, so cases share them. */
const VARIANTS = [
  { BITS: 4, GROUP: 32, EPILOGUE: 2, BIAS: 1 },
  { BITS: 8, GROUP: 16, EPILOGUE: 1, BIAS: 0 },
  { BITS: 8, GROUP: 32, EPILOGUE: 0, BIAS: 1 },
  { BITS: 16, GROUP: 32, EPILOGUE: 3, BIAS: 0 },
] as const;
const CASES = 48;
const MORE = 16;

/** For the race detector, which computes nothing: few lanes. */
const TINY = { M: 4, N: 4, D: 4, HALF: 0, LANES: 2, SX: 1, SY: 2, TM: 1, TN: 2, BK: 32 } as const;

function tileOf(seed: number, shapes: readonly MatrixShape[]) {
  const shape = shapes[Math.floor(seed / 12) % shapes.length];
  if (!shape) throw new Error("gemm_matrix: the adapter lists no matrices with sums of f32; leave its cases out there");
  if (seed < CASES) return { ...shape, ...SMALL[seed % SMALL.length]!, BK: 32 };
  return matrixTile(shape, seed % 2 === 0 ? 32 : 64)!.constants;
}

/** Rows in f16 as half_rows leaves them, with values of all sizes. The row beyond T is NaN. */
function halvesOf(uniform: () => number, rows: number, depth: number) {
  const values = new Float64Array(rows * depth);
  const x = new Uint32Array(((rows + 1) * depth) / 2).fill(0x7e007e00);
  const bits = new Uint16Array(x.buffer);
  for (let at = 0; at < values.length; at++) {
    const half = halfBits((2 * uniform() - 1) * 2 ** pick(uniform, [15, 14, 12, 8, 0]));
    bits[at] = half;
    values[at] = halfOf(half);
  }
  return { x, values };
}

function make(seed: number, tile: typeof TINY | ReturnType<typeof tileOf>, tiny = false) {
  const uniform = random(seed);
  const own = tiny ? VARIANTS[0] : VARIANTS[seed % VARIANTS.length]!;
  const { BITS, GROUP, EPILOGUE, BIAS } = own;
  const isGated = EPILOGUE >= 2;
  const area = { rows: tile.SY * tile.TM * tile.M, columns: tile.SX * tile.TN * tile.N };
  const rows = tiny ? 3 : pick(uniform, edges(area.rows));
  const depths =
    BITS === 16 ? [4, 12, 20, 64, 172, 192] : GROUP === 16 ? [16, 48, 64, 80, 176] : [32, 64, 96, 160, 576];
  const depth = tiny ? 64 : pick(uniform, depths);
  const wanted = tiny ? 8 : pick(uniform, edges(area.columns));
  const columns = isGated ? 8 * Math.ceil(wanted / 8) : wanted;
  const width = isGated ? columns / 2 : columns;
  const first = pick(uniform, [0, 0, 1, 3]);
  const yStride = width + pick(uniform, [0, 3]);
  const { words, scales, values, stride } = randomMatrix(uniform, { bits: BITS, group: GROUP, columns, depth });
  // scale·q is exact in f32, so a weight is rounded once to f32, and to the nearest f16 of that
  const weights = values.map((value) => (tile.HALF ? halfOf(halfBits(Math.fround(value))) : Math.fround(value)));
  const halves = halvesOf(uniform, rows, depth);
  const factors = new Float32Array(rows + 1).fill(Number.NaN);
  factors.set(floats(uniform, rows, 2 ** -14 * 10 ** pick(uniform, [-3, 0])));
  const bias = floats(uniform, columns);
  const y = floats(uniform, (first + rows) * yStride);

  /** Column n of a row, and the sizes of what is added up. */
  const sumOf = (t: number, n: number): SizedSum => {
    let [sum, size] = [0, 0];
    for (let k = 0; k < depth; k++) {
      const term = halves.values[t * depth + k]! * weights[n * depth + k]!;
      sum += term;
      size += Math.abs(term);
    }
    const factor = factors[t]!;
    return { sum: factor * sum + BIAS * bias[n]!, size: Math.abs(factor) * size + BIAS * Math.abs(bias[n]!) };
  };
  const { want, magnitude } = roundedWant({ rows, first, width, yStride, EPILOGUE, y }, sumOf);
  return {
    label: `T ${first}+${rows} N ${columns} K ${depth} ${JSON.stringify(own)} ${JSON.stringify(tile)}`,
    constants: { ...own, ...tile },
    params: { rows, first, depth, columns, stride, yStride },
    grid: [ceilDiv(rows, area.rows), ceilDiv(columns, area.columns), 1] as const,
    buffers: { x: halves.x, factors, words, scales, bias, y },
    want: { y: want },
    terms: depth,
    ulps: 16, // exp, division
    magnitude,
  };
}

export default spec({
  kernel: gemm_matrix,
  cases: CASES,
  allCases: CASES + MORE,
  make: (seed, _, device) => make(seed, tileOf(seed, matrixShapes(device))),
  race: () => make(0, TINY, true),
  mutants: [
    ["missing barrier", "    workgroupBarrier();\n\n    for", "    for"],
    ["rows of x as columns", "subgroupMatrixLoad<Left, row_major>", "subgroupMatrixLoad<Left, col_major>"],
    ["the first columns for all subgroups", "let start = subgroup % SX * TN * N;", "let start = 0u;"],
    ["without the rows' factors", "let factor = factors[row];", "let factor = 1.0;"],
    ["ups where gates are", "totals[place] * factor, totals[place + WX]", "totals[place + WX] * factor, totals[place]"],
    ["writes rows past T", "if (row >= params.rows) { break; }", ""],
    ["rows from 0 on", "(params.first + row) * params.yStride", "row * params.yStride"],
    ["minimum left out", "quad(nextWords[i], first + 4u * j) + nextScale[i].y", "quad(nextWords[i], first + 4u * j)"],
  ],
});

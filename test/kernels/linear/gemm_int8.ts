import { ceilDiv } from "../../../src/errors.ts";
import { gemm_int8 } from "../../../src/gpu/kernels.gen.ts";
import { halfOf, randomMatrix, wordAt } from "../matrix.ts";
import { edges, roundedWant, type SizedSum } from "../product.ts";
import { floats, pick, random, spec } from "../spec.ts";

// Small tiles compile quickly, and have every format, epilogue and bias; the full run adds those that products take.
const SMALL = { TM: 1, TN: 4, WX: 4, WY: 8, BK: 32 };
const PRODUCTION = [
  { TM: 4, TN: 4, WX: 16, WY: 8, BK: 64 },
  { TM: 4, TN: 4, WX: 16, WY: 16, BK: 64 },
];
/** Constants: pipelines are what costs time, so cases share them. */
const VARIANTS = [
  { BITS: 4, GROUP: 32, EPILOGUE: 2, BIAS: 1 },
  { BITS: 8, GROUP: 16, EPILOGUE: 1, BIAS: 0 },
  { BITS: 8, GROUP: 32, EPILOGUE: 0, BIAS: 1 },
  { BITS: 8, GROUP: 32, EPILOGUE: 3, BIAS: 0 },
] as const;
const CASES = 45;
const MORE = 10;

/** Rows of units, to the ends of their range, with a step for each block. Rows beyond T are garbage, and NaN. */
function unitsOf(uniform: () => number, rows: number, depth: number, { BITS, GROUP }: { BITS: number; GROUP: number }) {
  const units = Int8Array.from({ length: rows * depth }, () =>
    uniform() < 0.1 ? pick(uniform, [-127, 127, 0]) : Math.floor(uniform() * 255) - 127,
  );
  const x = new Uint32Array(((rows + 1) * depth) / 4).fill(0x7fc0dead);
  const bytes = new Int8Array(x.buffer);
  for (const [at, unit] of units.entries()) {
    const within = at % 8; // of weights of 4 bits, those of even places come first
    bytes[BITS === 8 ? at : at - within + 4 * (within % 2) + Math.floor(within / 2)] = unit;
  }
  const pairs = new Float32Array((2 * (rows + 1) * depth) / GROUP).fill(Number.NaN);
  const steps = floats(uniform, (rows * depth) / GROUP, 10 ** pick(uniform, [-3, -1, 1]));
  for (const [i, step] of steps.entries()) {
    const sum = units.subarray(i * GROUP, (i + 1) * GROUP).reduce((all, unit) => all + unit, 0);
    pairs.set([Math.abs(step), Math.fround(Math.abs(step) * sum)], 2 * i);
  }
  return { units, x, pairs };
}

/** Unit k of a column. */
function weightAt(words: Uint32Array, stride: number, n: number, k: number, bits: number): number {
  const each = 32 / bits;
  const word = words[wordAt(Math.floor(k / each), n, stride)]!;
  return (word >>> (bits * (k % each))) & (2 ** bits - 1);
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const tile = seed < CASES ? SMALL : PRODUCTION[seed % PRODUCTION.length]!;
  const own = tiny ? VARIANTS[0] : VARIANTS[seed % VARIANTS.length]!;
  const { BITS, GROUP, EPILOGUE, BIAS } = own;
  const isGated = EPILOGUE >= 2;
  const area = { rows: tile.WY * tile.TM, columns: tile.WX * tile.TN };
  const rows = tiny ? 3 : pick(uniform, edges(area.rows));
  const depth = tiny ? 64 : pick(uniform, GROUP === 16 ? [16, 48, 64, 80, 176] : [32, 64, 96, 160, 576]);
  const wanted = tiny ? 8 : pick(uniform, edges(area.columns));
  const columns = isGated ? 8 * Math.ceil(wanted / 8) : wanted;
  const width = isGated ? columns / 2 : columns;
  const first = pick(uniform, [0, 0, 1, 3]);
  const yStride = width + pick(uniform, [0, 3]);
  const { words, scales, stride } = randomMatrix(uniform, { bits: BITS, group: GROUP, columns, depth });
  const { units, x, pairs } = unitsOf(uniform, rows, depth, own);
  const bias = floats(uniform, columns);
  const y = floats(uniform, (first + rows) * yStride);

  /** Column n of a row, and the sizes of what is added up. */
  const sumOf = (t: number, n: number): SizedSum => {
    let [sum, size] = [BIAS * bias[n]!, BIAS * Math.abs(bias[n]!)];
    for (let g = 0; g < depth / GROUP; g++) {
      const pair = scales[g * stride + n]!;
      const [scale, minimum] = [halfOf(pair & 0xffff), halfOf(pair >>> 16)];
      const [step, total] = pairs.subarray((2 * (t * depth)) / GROUP + 2 * g) as unknown as [number, number];
      let dot = 0;
      for (let k = g * GROUP; k < (g + 1) * GROUP; k++)
        dot += units[t * depth + k]! * (weightAt(words, stride, n, k, BITS) - (BITS === 8 ? 128 : 0));
      const low = minimum + (BITS === 8 ? 128 * scale : 0); // bytes are signed
      sum += step * scale * dot + total * low;
      size += Math.abs(step * scale * dot) + Math.abs(total) * (Math.abs(minimum) + 128 * Math.abs(scale));
    }
    return { sum, size };
  };
  const { want, magnitude } = roundedWant({ rows, first, width, yStride, EPILOGUE, y }, sumOf);
  return {
    label: `T ${first}+${rows} N ${columns} K ${depth} ${JSON.stringify(own)} ${JSON.stringify(tile)}`,
    constants: { ...own, ...tile },
    params: { rows, first, depth, columns, stride, yStride },
    grid: [ceilDiv(rows, area.rows), ceilDiv(columns, area.columns), 1] as const,
    buffers: { x, pairs, words, scales, bias, y },
    want: { y: want },
    terms: (2 * depth) / GROUP,
    ulps: 16, // exp, division; the sum of the units is rounded before
    magnitude,
  };
}

export default spec({
  kernel: gemm_int8,
  cases: CASES,
  allCases: CASES + MORE,
  make: (seed) => make(seed),
  race: () => make(0, true),
  mutants: [
    ["missing barrier", "    workgroupBarrier();\n\n    for", "    for"],
    ["odd nibbles first", "vec4u(even.x, odd.x, even.y, odd.y)", "vec4u(odd.x, even.x, odd.y, even.y)"],
    ["bytes are not signed", "four ^ vec4u(0x80808080u)", "four", 1],
    ["no minimum of signed bytes", "fma(128.0, affine.x, affine.y)", "affine.y", 1],
    ["writes rows past T", "if (row >= params.rows) { continue; }", ""],
    ["rows from 0 on", "(params.first + row) * params.yStride", "row * params.yStride"],
  ],
});

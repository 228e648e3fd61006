// Cases of a projection from packed weights: what the gemv_* kernels and gemm_packed compute, in float64.
import { edges, gated, type Tile } from "./product.ts";
import { groupsOf, randomMatrix, unitsOf } from "./matrix.ts";
import { floats, pick, random } from "./spec.ts";

/** Distinct sets of constants: pipelines are what costs time, so cases share them. */
export const VARIANTS = 32;

/**
 * Everything of a kernel case but the grid. Constants come from `seed` modulo VARIANTS, the rest from `seed`. With a tile,
 * of a kernel for many rows, shapes are biased to its edges. Columns from `later.from` on have a norm's weight of their own, which
 * begins at `later.at`, beyond the largest K.
 */
export function projection(seed: number, tiny: boolean, tile?: Tile, later?: { from: number; at: number }) {
  const variant = seed % VARIANTS;
  const fixed = random(variant);
  const uniform = random(seed);
  const BITS = tiny ? 4 : [4, 8, 4, 16, 4, 8, 4, 32][variant % 8]!;
  const EPILOGUE = (variant + Math.floor(variant / 8)) % 4; // every epilogue meets every format
  const isGated = EPILOGUE >= 2;
  const GROUP = pick(fixed, groupsOf(BITS));
  const UNIT = pick(fixed, unitsOf(BITS, GROUP));
  const ROWS = tiny ? 2 : pick(fixed, [1, 1, 2, 4, 8]);
  const NORM = pick(fixed, [0, 1]);
  const BIAS = pick(fixed, [0, 1]);
  const depths = tiny ? [64] : BITS <= 8 ? [32, 64, 96, 160, 576] : [4, 12, 20, 64, 172, 192];
  const depth = pick(
    uniform,
    depths.filter((length) => length % UNIT === 0 || (BITS === 16 && UNIT === 8)),
  );
  const wide = tile ? edges(tile.columns).map((count) => (isGated ? 8 * Math.ceil(count / 8) : count)) : null;
  const narrow = isGated ? [8, 24, 64, 136] : [1, 3, 4, 5, 31, 64, 66, 130];
  const columns = tiny ? 8 : pick(uniform, wide ?? narrow);
  const rows = tile && !tiny ? pick(uniform, edges(tile.rows)) : 1 + Math.floor(uniform() * ROWS);
  const eps = Math.fround(pick(uniform, [1e-5, 0.5]));
  const width = isGated ? columns / 2 : columns;
  const yStride = width + pick(uniform, [0, 3]);

  const weights = randomMatrix(uniform, { bits: BITS, group: GROUP, columns, depth });
  const x = new Float32Array((rows + 1) * depth).fill(Number.NaN); // the row beyond must not be read
  x.set(floats(uniform, rows * depth, 10 ** pick(uniform, [-4, -1, 0])));
  const gamma = new Float32Array((later?.at ?? 0) + depth).fill(Number.NaN);
  gamma.set(floats(uniform, depth, 2));
  if (later) gamma.set(floats(uniform, depth, 2), later.at);
  const bias = floats(uniform, columns);
  const y = floats(uniform, rows * yStride);
  const want = new Float64Array(rows * yStride).fill(Number.NaN);
  let magnitude = 0;
  for (let m = 0; m < rows; m++) {
    const row = Float64Array.from(x.subarray(m * depth, (m + 1) * depth));
    const scale = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / depth + eps);
    const sums = new Float64Array(columns);
    const sizes = new Float64Array(columns); // Σ|x·w|, where scale·q and minimum may cancel
    for (let n = 0; n < columns; n++) {
      const gammaAt = later && n >= later.from ? later.at : 0;
      for (let k = 0; k < depth; k++) {
        const value = row[k]! * (NORM ? scale * gamma[gammaAt + k]! : 1);
        sums[n]! += value * weights.values[n * depth + k]!;
        sizes[n]! += Math.abs(value) * (BITS <= 8 ? 2 ** BITS * 2 : 1);
      }
      if (BIAS) sums[n]! += bias[n]!;
      if (BIAS) sizes[n]! += 1;
    }
    for (let f = 0; f < width; f++) {
      const n = isGated ? Math.floor(f / 4) * 8 + (f % 4) : f;
      const at = m * yStride + f;
      const up = isGated ? n + 4 : n;
      want[at] = isGated ? gated(sums[n]!, EPILOGUE) * sums[up]! : sums[n]! + (EPILOGUE === 1 ? y[at]! : 0);
      const size = isGated ? 2 * (sizes[n]! * Math.abs(sums[up]!) + Math.abs(sums[n]!) * sizes[up]!) : sizes[n]! + 1;
      magnitude = Math.max(magnitude, size);
    }
  }
  return {
    label: `M ${rows}/${ROWS} N ${columns} K ${depth} BITS ${BITS} GROUP ${GROUP} UNIT ${UNIT} NORM ${NORM} EPILOGUE ${EPILOGUE} BIAS ${BIAS}`,
    columns,
    constants: { BITS, GROUP, UNIT, NORM, EPILOGUE, BIAS, ROWS },
    params: { rows, depth, columns, stride: weights.stride, yStride, eps },
    buffers: { x, gamma, words: weights.words, scales: weights.scales, bias, y },
    want: { y: want },
    terms: depth,
    ulps: 16, // inverseSqrt, exp, division
    magnitude,
  };
}

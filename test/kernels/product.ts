// Cases of a prefill projection: what the gemm_* kernels compute, in float64.
import { floats, pick } from "./spec.ts";

/** The gate of a unit with EPILOGUE 2 (SiLU) and 3 (GELU, by tanh). */
export function gated(value: number, epilogue: number): number {
  if (epilogue === 2) return value / (1 + Math.exp(-value));
  return 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)));
}

/** Rows and columns that one workgroup covers: shapes are biased to their edges. */
export interface Tile {
  rows: number;
  columns: number;
}

/** Counts about one and two tiles of `size`. */
export const edges = (size: number): number[] =>
  [1, 2, size - 1, size, size + 1, 2 * size + 3].filter((count) => count > 0);

export interface Flags {
  EPILOGUE: number;
  BIAS: number;
}

/** Everything of a kernel case but the grid. N is a multiple of 4, or of 8 with EPILOGUE 2 and 3. */
export function product(uniform: () => number, tile: Tile, { EPILOGUE, BIAS }: Flags, tiny: boolean) {
  const isGated = EPILOGUE >= 2;
  const unit = isGated ? 8 : 4;
  const rows = tiny ? 5 : pick(uniform, edges(tile.rows));
  const columns = tiny ? 16 : pick(uniform, edges(tile.columns / unit)) * unit;
  const depth = tiny ? 6 : pick(uniform, [1, 2, 3, 4, 7, 15, 16, 17, 33, 64, 131]);
  const width = isGated ? columns / 2 : columns;
  const bStride = columns + pick(uniform, [0, 4, 12]);
  const cOffset = pick(uniform, [0, 4, 8]);
  const cStride = cOffset + width + pick(uniform, [0, 4]);

  const aStride = depth + pick(uniform, [0, 0, 1, 5]);
  const aOffset = pick(uniform, [0, 0, 3]);
  const bOffset = pick(uniform, [0, 0, 8]);
  const size = 10 ** pick(uniform, [-4, -1, 0, 1]);

  const a = new Float32Array(aOffset + (rows + 2) * aStride).fill(Number.NaN); // inputs beyond K, rows beyond T
  for (let t = 0; t < rows; t++) a.set(floats(uniform, depth, size), aOffset + t * aStride);
  const b = new Float32Array(bOffset + depth * bStride).fill(Number.NaN); // columns beyond N
  for (let k = 0; k < depth; k++) b.set(floats(uniform, columns), bOffset + k * bStride);
  const bias = floats(uniform, columns);
  const c = new Float32Array(rows * cStride + 4).fill(Number.NaN);
  const want = new Float64Array(rows * cStride).fill(Number.NaN);
  let magnitude = 0;
  const sums = new Float64Array(columns);
  const sizes = new Float64Array(columns); // Σ|a·b|
  for (let t = 0; t < rows; t++) {
    for (let n = 0; n < columns; n++) {
      sums[n] = BIAS * bias[n]!;
      sizes[n] = Math.abs(sums[n]!);
      for (let k = 0; k < depth; k++) {
        const term = a[aOffset + t * aStride + k]! * b[bOffset + k * bStride + n]!;
        sums[n]! += term;
        sizes[n]! += Math.abs(term);
      }
    }
    for (let f = 0; f < width; f++) {
      const at = t * cStride + cOffset + f;
      const n = isGated ? Math.floor(f / 4) * 8 + (f % 4) : f;
      const up = isGated ? n + 4 : n;
      const before = EPILOGUE === 1 ? Math.fround(2 * uniform() - 1) : Number.NaN;
      c[at] = before;
      want[at] = isGated ? gated(sums[n]!, EPILOGUE) * sums[up]! : EPILOGUE === 1 ? before + sums[n]! : sums[n]!;
      const sum = isGated ? 2 * (sizes[n]! * Math.abs(sums[up]!) + Math.abs(sums[n]!) * sizes[up]!) : sizes[n]!;
      magnitude = Math.max(magnitude, sum + (EPILOGUE === 1 ? Math.abs(before) : 0));
    }
  }
  return {
    label: `T ${rows} N ${columns}/${bStride} K ${depth}/${aStride}+${aOffset} b+${bOffset} EPILOGUE ${EPILOGUE} BIAS ${BIAS} cOffset ${cOffset} cStride ${cStride}`,
    constants: { EPILOGUE, BIAS },
    params: { rows, depth, columns, aStride, aOffset, bStride, bOffset, cStride, cOffset },
    buffers: { a, b, bias, c },
    want: { c: want },
    terms: depth,
    ulps: 8, // exp and division
    magnitude,
  };
}

/** A sum of a product with rounded rows, and the sizes of what is added up. */
export interface SizedSum {
  sum: number;
  size: number;
}

/** Where y of a product with rounded rows lies, and what its epilogue does. */
export interface RoundedOutput {
  rows: number;
  first: number;
  width: number;
  yStride: number;
  EPILOGUE: 0 | 1 | 2 | 3;
  y: Float32Array;
}

/** y in float64 of sums by row and column, NaN where nothing is written, and the largest size of what was added up. */
export function roundedWant(
  { rows, first, width, yStride, EPILOGUE, y }: RoundedOutput,
  sumOf: (t: number, n: number) => SizedSum,
): { want: Float64Array; magnitude: number } {
  const want = new Float64Array((first + rows) * yStride).fill(Number.NaN);
  let magnitude = 0;
  for (let t = 0; t < rows; t++)
    for (let f = 0; f < width; f++) {
      const isGated = EPILOGUE >= 2;
      const n = isGated ? Math.floor(f / 4) * 8 + (f % 4) : f;
      const at = (first + t) * yStride + f;
      const a = sumOf(t, n);
      const b = isGated ? sumOf(t, n + 4) : { sum: 1, size: 1 };
      want[at] = isGated ? gated(a.sum, EPILOGUE) * b.sum : a.sum + (EPILOGUE === 1 ? y[at]! : 0);
      const size = isGated ? 2 * (a.size * Math.abs(b.sum) + Math.abs(a.sum) * b.size) : a.size + Math.abs(y[at]!);
      magnitude = Math.max(magnitude, size);
    }
  return { want, magnitude };
}

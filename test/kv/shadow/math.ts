// The formulas of ShadowKV in float64, one list or store at a time.
import { logSoftmax, toHalf } from "../../reference.ts";

export type Row = Float64Array;

export const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

export const meanOf = (rows: readonly Row[]): Row =>
  rows[0]!.map((_, e) => rows.reduce((sum, row) => sum + row[e]!, 0) / rows.length);

/** Least cosine of a row and the mean of all. */
export function leastCosine(rows: readonly Row[]): number {
  const mean = meanOf(rows);
  const length = (row: Row) => Math.sqrt(dot(row, row));
  return Math.min(...rows.map((row) => dot(row, mean) / Math.max(1e-8, length(row) * length(mean))));
}

/** Groups of `size` rows, as far as they are whole. */
export const inChunks = (rows: readonly Row[], size: number): Row[][] =>
  Array.from({ length: Math.floor(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size));

/** Indices of the `count` largest, of equal ones the first; and by how much the last of them is larger than the next. */
export function largest(values: readonly number[], count: number): { chosen: number[]; margin: number } {
  const order = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
  const margin = count < order.length ? values[order[count - 1]!]! - values[order[count]!]! : Infinity;
  return { chosen: order.slice(0, count), margin };
}

/** [landmarks] the largest logarithm of the weight that one of `queries` gives to each: softmax over those not `left out`. */
export function chunkWeights(queries: readonly Row[], landmarks: readonly Row[], leftOut: readonly number[]): number[] {
  const weights = queries.map((query) =>
    logSoftmax(
      Float64Array.from(landmarks, (landmark, n) =>
        leftOut.includes(n) ? -Infinity : dot(query, landmark) / Math.sqrt(query.length),
      ),
    ),
  );
  return landmarks.map((_, n) => Math.max(...weights.map((each) => each[n]!)));
}

/** Columns [D][M] made orthonormal, one after another, each twice; and their lengths without the others. */
function orthonormal(columns: Row[]): { columns: Row[]; lengths: number[] } {
  const done: Row[] = [];
  const lengths = columns.map((column) => {
    let rest = column;
    for (let turn = 0; turn < 2; turn++) {
      const along = done.map((other) => dot(other, rest));
      rest = rest.map((value, k) => value - done.reduce((sum, other, i) => sum + along[i]! * other[k]!, 0));
    }
    const length = Math.sqrt(dot(rest, rest));
    done.push(rest.map((value) => (length > 0 ? value / length : 0)));
    return length;
  });
  return { columns: done, lengths };
}

/** A factor as 8 bits hold it. */
export const toEighths = (factor: number): number =>
  (Math.max(-127, Math.min(127, Math.round((factor * 127) / 8))) * 8) / 127;

/** A landmark as codes of 8 bits, a scale and a minimum hold it. */
export function toCodes(row: Row): Row {
  const [least, most] = [Math.min(...row), Math.max(...row)];
  const [scale, minimum] = [toHalf((most - least) / 255), toHalf(least)];
  return row.map((value) => minimum + scale * Math.max(0, Math.min(255, Math.round((value - minimum) / (scale || 1)))));
}

export interface LowRank {
  rank: number;
  /** How many rows, from the first on, say which directions are kept and how much they weigh. */
  known: number;
  /** Taken off each row; null: nothing. */
  mean: Row | null;
  /** [D][M] what the iteration begins with; null: every channel is kept. */
  start: Row[] | null;
  rounds: number;
  /** How factors are stored. */
  round: (factor: number) => number;
}

/** Rows as their factors give them back: of the directions in which the first `known` rows vary most. */
export function lowRank(all: readonly Row[], { rank, known, mean, start, rounds, round }: LowRank): Row[] {
  const centred = all.map((row) => row.map((value, k) => value - (mean?.[k] ?? 0)));
  const rows = centred.slice(0, known);
  const width = centred[0]!.length;
  const gram = Array.from({ length: width }, (_, k) => {
    const sums = new Float64Array(width);
    for (const row of rows) for (let i = 0; i < width; i++) sums[i]! += row[k]! * row[i]!;
    return sums;
  });
  let basis = { columns: unit(width), lengths: unit(width).map(() => rows.length) };
  if (start) {
    basis.columns = start;
    for (let i = 0; i < rounds; i++)
      basis = orthonormal(basis.columns.map((column) => Float64Array.from(gram, (line) => dot(line, column))));
  }
  const kept = basis.columns.slice(0, rank);
  const sigma = basis.lengths.map((length) => Math.sqrt(length / rows.length));
  return centred.map((row) => {
    const factors = kept.map((column, j) => (sigma[j]! > 0 ? round(dot(row, column) / sigma[j]!) * sigma[j]! : 0));
    return row.map((_, k) => kept.reduce((sum, column, j) => sum + factors[j]! * column[k]!, mean?.[k] ?? 0));
  });
}

const unit = (width: number): Row[] =>
  Array.from({ length: width }, (_, j) => Float64Array.from({ length: width }, (_k, k) => Number(j === k)));

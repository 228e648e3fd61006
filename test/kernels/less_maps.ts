// LESS in float64: its feature maps, the state, and what a query gets of it. Independent of the shaders.
import { uniforms } from "./vectors.ts";

type Row = ArrayLike<number>;

/** A feature map of one head; the last three are a key's. Matrices row by row. */
export interface FeatureMap {
  /** [E, hidden] */
  in: Row;
  /** [hidden, R] */
  out: Row;
  /** [R, R], [R], [R] */
  mix?: Row;
  gain?: Row;
  shift?: Row;
}

/** The error function, by its series for e^(x²)·erf(x), whose terms all have one sign. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const gelu = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2));

/** x [rows]·matrix [rows, columns] */
function product(x: Row, matrix: Row): Float64Array {
  const columns = matrix.length / x.length;
  const sums = new Float64Array(columns);
  for (let i = 0; i < x.length; i++) for (let j = 0; j < columns; j++) sums[j]! += x[i]! * matrix[i * columns + j]!;
  return sums;
}

/** φ of a query, or where the map has a mix ψ of a key. */
export function featuresOf(x: Row, map: FeatureMap): Float64Array {
  const units = product(product(x, map.in).map(gelu), map.out).map(gelu);
  if (!map.mix) return units.map(Math.abs);
  const b = units.map((unit, r) => Math.abs(map.gain![r]!) * unit);
  const mixed = product(b, map.mix);
  return b.map((value, r) => Math.abs(value + mixed[r]! * map.shift![r]!));
}

const absolute = (row: Row): Float64Array => Float64Array.from(row, Math.abs);

/** How much GELU can enlarge an error. */
const STEEPEST = 1.13;

/** What rounding errors of a feature are measured by: the sums behind it with all terms positive. */
export function featureSizes(x: Row, map: FeatureMap): Float64Array {
  const size = (row: Row, matrix: Row) => product(absolute(row), absolute(matrix)).map((sum) => STEEPEST * sum);
  const units = size(size(x, map.in), map.out);
  if (!map.mix) return units;
  const b = units.map((unit, r) => Math.abs(map.gain![r]!) * unit);
  const mixed = product(b, absolute(map.mix));
  return b.map((value, r) => value + mixed[r]! * Math.abs(map.shift![r]!));
}

/** [R, E + 1]: (H, z) of some tokens. `features` of a key: ψ, or the sizes of its errors. */
export function stateOf(
  keys: readonly Row[],
  values: readonly Row[],
  features: (key: Row) => Float64Array,
): Float64Array {
  const width = values[0]?.length ?? 0;
  const R = keys.length > 0 ? features(keys[0]!).length : 0;
  const state = new Float64Array(R * (width + 1));
  for (const [s, key] of keys.entries())
    for (const [r, feature] of features(key).entries())
      for (let c = 0; c <= width; c++) state[r * (width + 1) + c]! += feature * (c < width ? values[s]![c]! : 1);
  return state;
}

/** A partial result of attention: acc relative to e^max. */
export interface Part {
  acc: Float64Array;
  max: number;
  sum: number;
}

/** What a state gives a query whose features are φ. Null: nothing. */
export function partOf(phi: Row, state: Float64Array): Part | null {
  const weighed = product(phi, state);
  const sum = weighed.at(-1) ?? 0;
  if (!(sum > 0)) return null;
  return { acc: weighed.subarray(0, -1).map((value) => value / sum), max: Math.log(sum), sum: 1 };
}

/** Attention of a query over some tokens. */
export function partOfTokens(query: Row, keys: readonly Row[], values: readonly Row[]): Part {
  const scores = keys.map((key) => Array.from(query).reduce((sum, x, e) => sum + x * key[e]!, 0) / Math.sqrt(query.length)); // prettier-ignore
  const max = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - max));
  const acc = Float64Array.from(query, (_, e) => weights.reduce((sum, weight, i) => sum + weight * values[i]![e]!, 0));
  return { acc, max, sum: weights.reduce((sum, weight) => sum + weight, 0) };
}

/** What `attn_combine` makes of partials. */
export function joined(parts: readonly (Part | null)[]): Float64Array {
  const there = parts.filter((part) => part !== null);
  const top = Math.max(...there.map(({ max }) => max));
  const total = there.reduce((sum, part) => sum + part.sum * Math.exp(part.max - top), 0);
  return there[0]!.acc.map(
    (_, e) => there.reduce((sum, { acc, max }) => sum + acc[e]! * Math.exp(max - top), 0) / total,
  );
}

/** A map as the kernels have it: 8 features and hidden units by four, the added ones without effect. R features and `hidden` units as given. */
export function widened(map: FeatureMap, E: number, hidden: number, R: number): FeatureMap {
  const wide = 4 * Math.ceil(hidden / 4);
  const grown = (matrix: Row, rows: number, columns: number, toRows: number, toColumns: number) => {
    const made = new Float64Array(toRows * toColumns);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) made[i * toColumns + j] = matrix[i * columns + j]!;
    return made;
  };
  const made: FeatureMap = { in: grown(map.in, E, hidden, E, wide), out: grown(map.out, hidden, R, wide, 8) };
  if (!map.mix) return made;
  return { ...made, mix: grown(map.mix, R, R, 8, 8), gain: grown(map.gain!, 1, R, 1, 8), shift: grown(map.shift!, 1, R, 1, 8) }; // prettier-ignore
}

/** Part G of ../shared/vectors/kv_checks.py: 24 tokens, of which seven stay, a query, and maps of 6 hidden units and 4 features. */
export function goldenTokens() {
  const numbers = uniforms(8);
  const draw = (count: number) => Float64Array.from({ length: count }, () => numbers.next().value as number);
  const rows = (count: number) => Array.from({ length: count }, () => draw(8));
  const [keys, values, query] = [rows(24), rows(24), draw(8)];
  const queryMap: FeatureMap = { in: draw(8 * 6), out: draw(6 * 4) };
  const [first, second, mix] = [draw(8 * 6), draw(6 * 4), draw(4 * 4)];
  const half = () => draw(4).map((value) => value / 2);
  const keyMap: FeatureMap = { in: first, out: second, mix, gain: half(), shift: half() };
  const kept = [0, 3, 7, 20, 21, 22, 23];
  /** The beginning of what attention gives. */
  const out = [-0.191162179, -0.1600703894, -0.0950634315];
  return { keys, values, query, queryMap, keyMap, kept, out };
}

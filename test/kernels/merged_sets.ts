// KVMerger in float64: where neighbouring keys differ, and what becomes of a run of tokens. Independent of the shaders.
import { cosineOf } from "./joint_page.ts";
import { uniforms } from "./vectors.ts";

type Rows = readonly ArrayLike<number>[];

/** How much key s differs from the one before it; 2 where nobody may be merged across. */
export const cutAt = (keys: Rows, s: number, alone: ReadonlySet<number>): number =>
  s === 0 || alone.has(s) || alone.has(s - 1) ? 2 : -cosineOf(keys[s - 1]!, keys[s]!);

/** [begin, end) of the sets that begin at these slots. */
export const setsOf = (starts: readonly number[], slots: number): [number, number][] =>
  starts.map((begin, i) => [begin, starts[i + 1] ?? slots]);

/** The member with the largest score, the first of equal ones. */
export function pivotOf([begin, end]: readonly [number, number], scores: ArrayLike<number>): number {
  let pivot = begin;
  for (let i = begin; i < end; i++) if (scores[i]! > scores[pivot]!) pivot = i;
  return pivot;
}

const squareBetween = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, x, e) => sum + (x - b[e]!) ** 2, 0);

/** A set as one token: its key and value, and what its scores rise by. */
export function mergedSet(
  { keys, values }: { keys: Rows; values: Rows },
  [begin, end]: readonly [number, number],
  { scores, spread }: { scores: ArrayLike<number>; spread: number },
): { key: Float64Array; value: Float64Array; bias: number } {
  const pivot = keys[pivotOf([begin, end], scores)]!;
  const weights = Array.from({ length: end - begin }, (_, i) => Math.exp(-squareBetween(pivot, keys[begin + i]!) * spread)); // prettier-ignore
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = (rows: Rows) =>
    Float64Array.from(rows[begin]!, (_, e) => weights.reduce((sum, weight, i) => sum + weight * rows[begin + i]![e]!, 0) / total); // prettier-ignore
  return { key: mean(keys), value: mean(values), bias: Math.log(end - begin) };
}

/** Part F of ../shared/vectors/kv_checks.py: twelve tokens in six runs of nearly the same keys. */
export function goldenSets() {
  const numbers = uniforms(6);
  const draw = (from: Iterator<number>, rows: number) =>
    Array.from({ length: rows }, () => Array.from({ length: 8 }, () => from.next().value as number));
  const base = draw(numbers, 6);
  const same = [1, 3, 1, 4, 2, 1].flatMap((count, i) => Array.from({ length: count }, () => base[i]!));
  const values = draw(numbers, 12);
  const [direction] = draw(numbers, 1);
  const query = direction!.map((x) => 3 * x);
  const others = uniforms(7);
  const noise = draw(others, 12);
  const keys = same.map((key, i) => key.map((x, e) => x + 0.15 * noise[i]![e]!));
  const scores = Array.from({ length: 12 }, () => Math.abs(others.next().value as number));
  return { same, keys, values, query, scores, starts: [0, 1, 4, 5, 9, 11], pivots: [0, 1, 4, 8, 9, 11] };
}

/** Attention of a query over tokens whose scores rise by `biases`. */
export function attendBiased(
  query: ArrayLike<number>,
  keys: Rows,
  values: Rows,
  biases: ArrayLike<number>,
): Float64Array {
  const width = query.length;
  const scores = keys.map((key, i) => Array.from(query).reduce((sum, x, e) => sum + x * key[e]!, 0) / Math.sqrt(width) + biases[i]!); // prettier-ignore
  const top = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - top));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Float64Array.from(
    query,
    (_, e) => weights.reduce((sum, weight, i) => sum + weight * values[i]![e]!, 0) / total,
  );
}

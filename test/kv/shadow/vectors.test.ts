// The conformance vectors of ShadowKV (golden/shadowkv.json: numpy, float64) against the formulas that the tests of the system
// are held to, and how near the subspace iteration comes to the best factors. Plain Node, no GPU.
import { readFileSync } from "node:fs";
import { expect, test } from "playwright/test";
import { startColumns } from "../../../src/kv/systems/shadow/state.ts";
import { random } from "../../kernels/spec.ts";
import { attendOne, rotate } from "../../reference.ts";
import { chunkWeights, inChunks, largest, leastCosine, lowRank, meanOf, type Row } from "./math.ts";

interface Vectors {
  chunks: number;
  local: number;
  landmark_h0_c0: number[];
  landmark_h1_c7: number[];
  min_cos_h0: number[];
  min_cos_h1: number[];
  outlier_idx: number[][];
  selected_chunks: number[][];
  selected_scores: number[][];
  score_gap_to_next: number[];
  recon_row7_h1: number[];
  recon_rel_fro: number;
  recon_key_maxerr: number[];
  attn_out: number[][][];
  dense_attn_out: number[][][];
}

const vectors = JSON.parse(readFileSync(new URL("../../golden/shadowkv.json", import.meta.url), "utf8")) as Vectors;

const [S, G, R, E, CHUNK, RANK] = [69, 2, 2, 4, 4, 5];
const FREQUENCIES = Float64Array.of(1, 1e-2);
const row = (make: (e: number) => number): Row => Float64Array.from({ length: E }, (_, e) => make(e));

/** Of each head [S][E]: keys before rotation, values; [R][E] queries at position S, not rotated. */
const made = Array.from({ length: G }, (_, h) => ({
  keys: Array.from({ length: S }, (_t, t) => {
    const times = t === 30 ? 3 : t === 31 ? -2 : 1;
    const key = (e: number) =>
      Math.sin(0.11 * (t + 1) + 0.9 * e + 0.5 * h) +
      0.6 * Math.cos(0.05 * (t + 1) * (e + 1)) +
      0.2 * Math.sin(0.013 * (t + 1) ** 2 * (h + 1) + e);
    return row((e) => times * key(e));
  }),
  values: Array.from({ length: S }, (_t, t) => row((e) => Math.cos(0.17 * t + 0.4 * e + 0.8 * h))),
  queries: Array.from({ length: R }, (_g, g) =>
    rotate(
      row((e) => Math.sin(1.3 * g + 0.7 * e + 2.1 * h)),
      S,
      FREQUENCIES,
    ),
  ),
}));
const turned = (rows: readonly Row[]) => rows.map((key, t) => rotate(key, t, FREQUENCIES));
const newKeys = [
  [0.3, -0.2, 0.5, 0.1],
  [-0.4, 0.2, 0.1, 0.6],
].map((key) => rotate(Float64Array.from(key), S, FREQUENCIES));
const newValues = [
  [1, 0, 0, 1],
  [0, 1, 1, 0],
].map((value) => Float64Array.from(value));

const chunksOf = (h: number) => inChunks(turned(made[h]!.keys), CHUNK).slice(0, vectors.chunks);
const landmarksOf = (h: number) => chunksOf(h).map(meanOf);
const outliersOf = (h: number) =>
  largest(
    chunksOf(h).map((chunk) => -leastCosine(chunk)),
    2,
  ).chosen;
const selectedOf = (h: number) => largest(chunkWeights(made[h]!.queries, landmarksOf(h), outliersOf(h)), 3);

const error = (got: ArrayLike<number>, want: ArrayLike<number>) =>
  Math.max(...Array.from(want, (value, i) => Math.abs(got[i]! - value)));

/** Keys of all heads in a row, as five factors give them back. Enough rounds reach the singular vectors. */
function recalled(): Row[] {
  const rows = made[0]!.keys.map((key, t) => Float64Array.from([...key, ...made[1]!.keys[t]!]));
  return lowRank(rows, {
    rank: RANK,
    known: rows.length,
    mean: null,
    start: columns(G * E, G * E),
    rounds: 2000,
    round: (x) => x,
  });
}

function columns(width: number, count: number): Row[] {
  const all = startColumns(width, count);
  return Array.from({ length: count }, (_, j) => Float64Array.from({ length: width }, (_k, k) => all[k * count + j]!));
}

test("vectors: landmarks, least cosines and outliers", () => {
  expect(error(landmarksOf(0)[0]!, vectors.landmark_h0_c0)).toBeLessThan(1e-12);
  expect(error(landmarksOf(1)[7]!, vectors.landmark_h1_c7)).toBeLessThan(1e-12);
  for (const [h, want] of [vectors.min_cos_h0, vectors.min_cos_h1].entries()) {
    expect(error(chunksOf(h).map(leastCosine), want)).toBeLessThan(1e-12);
    expect(outliersOf(h)).toEqual(vectors.outlier_idx[h]);
  }
});

test("vectors: which chunks the queries want, and their weights", () => {
  for (let h = 0; h < G; h++) {
    const weights = chunkWeights(made[h]!.queries, landmarksOf(h), outliersOf(h)).map(Math.exp);
    const { chosen } = selectedOf(h);
    expect(chosen).toEqual(vectors.selected_chunks[h]);
    expect(
      error(
        chosen.map((chunk) => weights[chunk]!),
        vectors.selected_scores[h]!,
      ),
    ).toBeLessThan(1e-12);
    expect(largest(weights, 3).margin).toBeCloseTo(vectors.score_gap_to_next[h]!, 12);
  }
});

test("vectors: keys from five factors", () => {
  const rows = recalled();
  const whole = made[0]!.keys.map((key, t) => [...key, ...made[1]!.keys[t]!]);
  const size = (numbers: readonly number[]) => Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0));
  const off = whole.flatMap((key, t) => key.map((value, k) => value - rows[t]![k]!));
  expect(error(rows[7]!.slice(E), vectors.recon_row7_h1)).toBeLessThan(1e-9);
  expect(size(off) / size(whole.flat())).toBeCloseTo(vectors.recon_rel_fro, 10);
});

test("vectors: attention over the local tail, outliers, selected chunks and the new token", () => {
  const rows = recalled();
  for (let h = 0; h < G; h++) {
    const slots = (chunks: readonly number[]) =>
      chunks.flatMap((chunk) => Array.from({ length: CHUNK }, (_, i) => chunk * CHUNK + i));
    const { keys, values, queries } = made[h]!;
    const exact = turned(keys);
    const selected = slots(selectedOf(h).chosen);
    const back = selected.map((t) => rotate(rows[t]!.slice(h * E, (h + 1) * E), t, FREQUENCIES));
    const most = Math.max(...back.map((key, i) => error(key, exact[selected[i]!]!)));
    expect(most).toBeCloseTo(vectors.recon_key_maxerr[h]!, 9);
    const rest = [...slots(outliersOf(h)), ...Array.from({ length: vectors.local }, (_, i) => S - vectors.local + i)];
    for (const [r, query] of queries.entries()) {
      const got = attendOne(
        query,
        [...rest.map((t) => exact[t]!), ...back, newKeys[h]!],
        [...[...rest, ...selected].map((t) => values[t]!), newValues[h]!],
      );
      expect(error(got, vectors.attn_out[h]![r]!)).toBeLessThan(1e-9);
      const dense = attendOne(query, [...exact, newKeys[h]!], [...values, newValues[h]!]);
      expect(error(dense, vectors.dense_attn_out[h]![r]!)).toBeLessThan(1e-12);
    }
  }
});

test("after four rounds with eight spare columns keys are off by at most a twentieth more than with the best factors", () => {
  for (const fall of [0.98, 0.9, 0.5]) {
    const uniform = random(7);
    const [width, rank] = [64, 16];
    const directions = Array.from({ length: width }, () => Float64Array.from({ length: width }, () => uniform() - 0.5));
    const rows = Array.from({ length: 300 }, () => {
      const factors = directions.map((_, i) => (uniform() - 0.5) * fall ** i);
      return Float64Array.from({ length: width }, (_, k) =>
        factors.reduce((sum, x, i) => sum + x * directions[i]![k]!, 0),
      );
    });
    const lost = (rounds: number) => {
      const setting = { rank, mean: meanOf(rows), rounds, round: (x: number) => x };
      const back = lowRank(rows, { ...setting, known: rows.length, start: columns(width, rank + 8) });
      return rows.reduce((sum, each, t) => sum + each.reduce((own, x, k) => own + (x - back[t]![k]!) ** 2, 0), 0);
    };
    expect(Math.sqrt(lost(4) / lost(200)), `spectrum falling by ${fall}`).toBeLessThan(1.05);
  }
});

// Drawings of the quality report: which rows the line leads through.
import { expect, test } from "playwright/test";
import { alike, decades, unbeaten } from "../../demo/bench/scatter.ts";

const points = [
  { row: "f16", number: 1, across: 2048, up: 0 },
  { row: "int8", number: 1, across: 1152, up: 6e-5 },
  { row: "int4", number: 1, across: 640, up: 0.0147 },
  { row: "kivi", number: 1, across: 592, up: 0.0029 },
  { row: "twin", number: 1, across: 592, up: 0.003 },
  { row: "f32", number: 1, across: 4096, up: 0 },
];
const rows = (rises: boolean): string[] => unbeaten(points, rises).map(({ row }) => row);

test("the line leads through rows that nothing beats in as few bytes", () => {
  expect(rows(false), "less is better").toEqual(["kivi", "int8", "f16"]);
  expect(rows(true), "more is better").toEqual(["twin", "int4"]);
  expect(unbeaten(points.slice(0, 1), true)).toEqual(points.slice(0, 1));
});

test("a logarithmic axis begins at the decade of the least figure, and says what lies below it", () => {
  const texts = (values: number[]): string[] => decades(values).levels.map(({ text }) => text);
  expect(texts([0.0012, 0.0305])).toEqual(["0.001", "0.01", "0.1"]);
  expect(texts([0, 6.3e-5, 0.0147])).toEqual(["≤ 0.00001", "0.0001", "0.001", "0.01", "0.1"]);
  expect(texts([0, 0.0118])).toEqual(["≤ 0.01", "0.1"]);
  for (const nothing of [[0], [1.4e-7, 0]]) expect(texts(nothing)).toEqual(["≤ 0.00001", "0.0001"]);
  const { share } = decades([0, 0.001, 0.1]);
  [0, 0.001, 0.01, 0.1].forEach((value, i) => expect(share(value)).toBeCloseTo([0, 0, 0.5, 1][i]!));
});

test("rows of about the same bytes: those near the one in the middle, where there are three", () => {
  const bytes = (...all: number[]): number[] =>
    alike(all.map((bytesPerToken) => ({ bytesPerToken }))).map(({ bytesPerToken }) => bytesPerToken);
  expect(bytes(2048, 256, 258, 256, 300)).toEqual([256, 258, 256, 300]);
  expect(bytes(2048, 1024, 640)).toEqual([]);
  expect(bytes()).toEqual([]);
});

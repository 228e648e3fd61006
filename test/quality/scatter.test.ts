// Drawings of the quality report: which rows the line leads through.
import { expect, test } from "playwright/test";
import { unbeaten } from "../../demo/bench/scatter.ts";

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

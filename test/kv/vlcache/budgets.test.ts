import { expect, test } from "playwright/test";
import { budgets, partOf } from "../../../src/kv/systems/vlcache/budgets.ts";

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

test("layers share in proportion to densities: the numbers of the paper's formula", () => {
  // four layers, a tenth of a prompt of 100,000 tokens
  const part = { pages: 3124, average: 10_000, least: 1000, most: 20_000 };
  const counts = budgets([1, 0.686544, 0.406728, 0.2737], part);
  expect(counts.map((count) => count / 100_000)).toEqual(
    [0.16899, 0.11602, 0.06873, 0.04625].map((share) => expect.closeTo(share, 4)),
  );
  expect(sum(counts)).toBe(40_000);
});

test("none is above the most or below the least, and together they are the average", () => {
  const part = { pages: 30, average: 100, least: 10, most: 200 };
  for (const densities of [[1, 0.001, 0.001], [1, 1, 1], [0.9, 0.8, 0.001], [1, 0.9, 0.5, 0.001, 0.002], [0.2]]) {
    const counts = budgets(densities, part);
    expect(sum(counts)).toBe(100 * densities.length);
    for (const count of counts) expect(count >= 10 && count <= 200, `${densities}: ${counts}`).toBe(true);
  }
  expect(budgets([1, 1, 1], { ...part, average: 7, least: 1 })).toEqual([7, 7, 7]);
});

test("what stays of a prompt: recent tokens, the average of the lists, or all", () => {
  expect(partOf(1000, 1)).toBeNull();
  expect(partOf(20, 0.1)).toBeNull();
  expect(partOf(1000, 0.1)).toEqual({ pages: 30, average: 60, least: 10, most: 120 });
  for (let tokens = 33; tokens < 3000; tokens += 7) {
    const part = partOf(tokens, 0.2);
    if (part && part.average > 1) expect(part.average + tokens - 32 * part.pages).toBe(Math.round(0.2 * tokens));
  }
});

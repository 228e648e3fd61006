// The benchmark page where memory is short.
import { expect } from "playwright/test";
import { expectRatios } from "./ratios.ts";
import { test, watched } from "./visit.ts";

test("caches that do not fit together are measured one after the other", async ({ visit, site }) => {
  const { page, faults } = await visit();
  await page.goto(`${site}/bench.html`);
  await page.waitForFunction(() => "runComparison" in window);
  const result = await watched(page, () =>
    window.runComparison({
      frontiers: [32],
      runs: 1,
      warmups: 0,
      newTokens: 2,
      cacheBytes: 1e6,
      shapes: [{ layers: 4, group: 1 }],
      kv: ["f16", "swiftkv=4,2+int8"],
    }),
  );
  expect(result.interleaved).toBe(false);
  expect(result.variants.map(({ swiftkv, kv, rows }) => [swiftkv, kv, rows.length])).toEqual([
    [null, "f16", 1],
    [{ layers: 4, group: 1 }, "f16", 1],
    [{ layers: 4, group: 2 }, "int8", 1], // alone with its recipe: held against the first
  ]);
  expect(result.variants[2]!.kvToDense).toBe((0.75 * 36) / 64);
  expectRatios(result);
  await expect(page.getByText("not interleaved", { exact: true })).toBeVisible();
  expect(faults).toEqual([]);
  await page.close();
});

// The shapes of kernels that are left out of every day's run: on a software adapter each compiles for seconds.
import { expect } from "playwright/test";
import { allSpecs } from "./kernels/index.ts";
import { test } from "./page.ts";

test.describe.configure({ mode: "parallel" });

for (const { kernel, cases, allCases = cases } of allSpecs) {
  if (allCases === cases || kernel.features.includes("chromium-experimental-subgroup-matrix")) continue; // as in kernels.test.ts
  test(`${kernel.name}: equals the float64 reference on more shapes`, async ({ call }) => {
    expect(await call("moreCases", kernel.name)).toEqual([]);
  });
}

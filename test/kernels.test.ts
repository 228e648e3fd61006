// Every kernel: float64 reference over seeded shapes, NaN in the padding, canaries, three mutants, races.
import { expect } from "playwright/test";
import { kernelsOf, readShaders } from "../shaders/read.mjs";
import { allSpecs, specs } from "./kernels/index.ts";
import { races } from "./kernels/race.ts";
import { test } from "./page.ts";

test.describe.configure({ mode: "parallel" });

/** What CI's adapter lacks: cases of kernels that need it run under Dawn in Node alone (docs/kernels.md). */
const LACKING = "chromium-experimental-subgroup-matrix";

test("every shader has a test of 40 cases or more and three mutants", () => {
  const shaders = kernelsOf(readShaders()).map(({ name }) => name);
  expect(specs.map(({ kernel }) => kernel.name).sort()).toEqual(shaders);
  for (const { kernel, cases, mutants } of allSpecs) {
    expect(cases, kernel.name).toBeGreaterThanOrEqual(40);
    expect(mutants.length, kernel.name).toBeGreaterThanOrEqual(3);
  }
});

test("sampling as a whole: frequencies, seeds, penalties", async ({ call }) => {
  expect(await call("sampling")).toEqual([]);
});

for (const spec of allSpecs) {
  const { name, features } = spec.kernel;
  if (!features.includes(LACKING))
    test(`${name}: equals the float64 reference; mutants are caught`, async ({ call }) => {
      expect(await call("kernel", name)).toEqual([]);
    });
  if (typeof spec.race === "string") continue;
  const race = spec.race;
  test(`${name}: no data race`, async () => {
    expect(await races(spec, race())).toEqual([]);
  });
}

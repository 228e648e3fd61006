// What is planned is what is allocated; what does not fit is refused with what would; matrices beyond a binding are split;
// allocations that fail leave nothing.
import { expect } from "playwright/test";
import type { LoadOptions } from "../src/index.ts";
import { readGolden } from "./golden/checkpoint.ts";
import { source, testWith } from "./golden/serve.ts";
import { expectNothingLeft, expectPlanned, expectSameSplit, memoryFiles, small } from "./memorycases.ts";
import type { Call } from "./page.ts";

const test = testWith(memoryFiles);
const { prompt } = readGolden("llama3");

test("the plan is what is allocated", ({ call }) =>
  expectPlanned(call, [
    ["pages of f16", "llama3", {}],
    ["two tiers", "llama3", { kv: "kivi:bits=2,recent=64" }],
    ["a converted SwiftKV model", "llama3", { swiftkv: { layers: 1, group: 1 } }],
  ]));

test("with the whole context in use the cache is as planned, and no moment takes more", async ({ call }) => {
  for (const kv of ["f16", "kivi:bits=2,recent=64"]) {
    const { plan, full, peakBytes } = await call("planned", source("llama3"), { ...small, kv }, prompt);
    expect([full.weightBytes, full.kvBytes]).toEqual([plan.full.weightBytes, plan.full.kvBytes]);
    expect(full.kvBytes).toBeGreaterThan(plan.loaded.kvBytes);
    expect(full.scratchBytes).toBeLessThanOrEqual(plan.full.scratchBytes);
    expect(peakBytes).toBeLessThanOrEqual(plan.peakBytes);
  }
});

test("a load that does not fit is refused with what it needs and what would fit", async ({ call }) => {
  const { peakBytes } = await plan(call, { context: 8192 });
  const memory = peakBytes - 1;
  for (const what of ["plan", "load"] as const) {
    const message = await call("refused", what, source("llama3"), { kv: "f32", context: 8192, memory });
    expect(message).toMatch(
      /^UnsupportedError out-of-memory: memory: needs [\d.]+ MB at 8K f32; got [\d.]+ MB\. It fits at \dK, or at 8K with int8/,
    );
  }
  expect(await call("refused", "load", source("llama3"), { memory: 1000 })).toMatch(/weights alone take/);
  expect(await call("refused", "plan", source("llama3"), { memory: -1 })).toMatch(
    /^InputError bad-option: memory: got -1/,
  );
});

/** The plan alone. */
const plan = (call: Call, options: LoadOptions) => call("planOf", source("llama3"), options);

test("what the caller leaves open is chosen: the recipe first, then the context", async ({ call }) => {
  const open = { context: 32768 };
  const [f16, int8, kivi] = [
    await plan(call, { ...open, kv: "f16" }),
    await plan(call, { ...open, kv: "int8" }),
    await plan(call, { ...open, kv: "kivi:bits=4" }),
  ];
  expect(f16.peakBytes).toBeGreaterThan(int8.peakBytes);
  expect(int8.peakBytes).toBeGreaterThan(kivi.peakBytes);
  expect(await plan(call, open)).toEqual(f16);
  expect(await plan(call, { ...open, memory: f16.peakBytes })).toEqual(f16);
  expect(await plan(call, { ...open, memory: f16.peakBytes - 1 })).toEqual(int8);
  expect(await plan(call, { ...open, memory: int8.peakBytes - 1 })).toEqual(kivi);
});

test("a matrix that cannot be bound at once is split, and the model says the same", ({ call }) =>
  expectSameSplit(call, "f32"));

test("whichever allocation of a load fails, nothing is left", ({ call }) => expectNothingLeft(call, 5));

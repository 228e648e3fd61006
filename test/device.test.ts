// What becomes of requests when steps fail and when the device goes away.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { source, testWith } from "./golden/serve.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));
const { prompt, greedy } = readGolden("llama3");

test("a staging buffer comes back whatever happens to its step", async ({ call }) => {
  expect(await call("readback")).toEqual([
    [7, 8],
    [7, 8],
  ]);
});

test("saved pages come back, wherever they lie in the other cache", async ({ call }) => {
  // 2 blocks in 3 stores of 2 heads, and 9 private pages; a page is 32 slots of 8 + 8 numbers of 2 bytes.
  expect(await call("savedPages")).toEqual({ bytes: (2 * 3 * 2 + 9) * 32 * 32, same: true, elsewhere: true });
});

test("steps that fail end their requests; the engine goes on, any number of times", async ({ call }) => {
  const { outcomes, tokens } = await call("failingSteps", source("llama3"), prompt, 24);
  expect(outcomes.filter((text) => /was told to fail/.test(text)).length).toBeGreaterThanOrEqual(8);
  expect(outcomes.filter((text) => !/was told to fail|fulfilled/.test(text))).toEqual([]);
  expect(tokens).toEqual(greedy.tokens.slice(0, 24));
});

test("a cache that cannot grow ends the request that needs it; others go on, and it grows once there is memory", async ({
  call,
}) => {
  const { outcomes, same } = await call("exhausted", source("llama3"), prompt);
  expect(outcomes).toEqual([
    expect.stringMatching(/^UnsupportedError: GPU memory: .*the memory was told to be full/),
    "fulfilled",
  ]);
  expect(same).toBe(true);
});

test("the caller destroys its device: running and later requests say that it was lost", async ({ call }) => {
  const outcomes = await call("destroyed", source("llama3"), prompt.slice(0, 6));
  expect(outcomes.length).toBe(4);
  for (const text of outcomes)
    expect(text).toMatch(/^DeviceLostError: GPU: the device was lost; its owner destroyed it/);
});

test("the device goes away while the model loads, while a prompt is read and a reply written, and while nothing runs", async ({
  call,
}) => {
  const options = {
    engine: { maxTokens: 16 },
    student: { maxTokens: 16, temperature: 0.8, seed: 4, frequencyPenalty: 0.2 },
  };
  const { tokens, phases, events, losses, last } = await call("lost", source("llama3"), prompt, options);
  const [, student] = tokens;
  const engine = greedy.tokens.slice(0, 16);
  expect(tokens).toEqual([engine, student, student, engine]);
  expect(student).not.toEqual(engine);
  expect(phases.join(" ")).toBe("open tokenizer download device open download compile ready");
  const types = events.map(({ type }) => type.replace("device-", ""));
  expect(types.join(" ")).toBe("lost lost renewed lost failed");
  expect(losses).toBe(3);
  expect(last).toMatch(/^DeviceLostError: GPU: got 3 devices lost within a minute/);
});

test("disposing of an engine in the middle of a reply aborts it and leaves no stray error", async ({ call }) => {
  expect(await call("disposed", source("llama3"), prompt.slice(0, 6))).toEqual({ finish: "abort", stray: [] });
});

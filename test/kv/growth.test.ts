// A cache that grows while it is used gives exactly what one gives that is there at load, and takes no more memory than is used.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../golden/checkpoint.ts";
import { toFiles } from "../golden/folder.ts";
import { job, source, testWith } from "../golden/serve.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const SHADOW = "f32+shadow:chunk=4,outliers=3,budget=16,local=16";

const CASES = [
  // Buffers of several stores; pages that change their format; several arenas.
  ["llama-swiftkv-g3", { kv: "f16+kivi:bits=4,recent=32" }],
  ["llama-gqa-tied", { kv: "f32", arenaBytes: 2 ** 14 }],
  // Parts of prompts in pages of their own.
  ["llama-gqa-tied", { kv: "f32+pyramid:budget=64,window=16" }],
  // Scores that outlast steps; chunks have room for rows that repeat.
  ["llama-gqa-tied", { kv: "f32+kvzip:keep=0.5", chunk: 64 }],
  ["llama-gqa-tied", { kv: `${SHADOW},values=host` }],
  ["llama-gqa-tied", { kv: `${SHADOW},values=int8,keys=int8,reply=16` }],
] as const;

for (const [variant, settings] of CASES) {
  test(`${variant}, ${Object.values(settings).join(", ")}`, async ({ call }) => {
    const { prompt } = readGolden(variant);
    const long = [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 30), ...prompt];
    const options = { context: 512, chunk: 40, ...settings };
    const replies = async (name: string) => {
      const first = await call("answer", name, job(prompt, 20));
      const rest = await Promise.all([long, long.slice(3), prompt].map((each) => call("answer", name, job(each, 20))));
      // What runs together, and hence the order of sums, depends on when each begins.
      return { ...first, kvBytesPerToken: 0, rest: rest.map(({ tokens }) => tokens) };
    };
    const whole = await call("open", "whole", source(variant), { ...options, reserve: 512 });
    const want = await replies("whole");
    await call("close", "whole");
    const least = await call("open", "grown", source(variant), { ...options, reserve: 32 });
    expect(least.kvBytes).toBeLessThan(whole.kvBytes);
    expect(least.scratchBytes).toBeLessThan(whole.scratchBytes);
    expect(await replies("grown")).toEqual(want);
    const grown = await call("stats", "grown");
    // All of the context has been used; regions together not.
    if (settings.kv.includes("shadow")) expect(grown.kvBytes).toBeLessThanOrEqual(whole.kvBytes);
    else expect(grown.kvBytes).toBe(whole.kvBytes);
    await call("close", "grown");
  });
}

test("a request for which no memory is left fails alone, at the first or a later buffer that grows", async ({
  call,
}) => {
  const { prompt } = readGolden("llama-gqa-tied");
  const long = [...prompt.slice(7, 30), ...prompt, ...prompt.toReversed(), ...prompt, ...prompt.toReversed()];
  const options = { kv: `${SHADOW},values=int8,reply=16`, context: 512, chunk: 40, reserve: 96 }; // enough for the first
  const jobs = [job(prompt.slice(0, 40), 24), job(long, 12)]; // the first stays whole: it is the same when computed again
  await call("open", "fed", source("llama-gqa-tied"), options);
  const want = (await call("answers", "fed", jobs)).map(({ tokens }) => tokens);
  for (const label of [
    "rows and page lists",
    "shadow landmarks of store 0",
    "shadow values of store 1",
    "shadow ranks",
  ]) {
    await call("open", "fed", source("llama-gqa-tied"), options);
    expect(await call("starved", "fed", jobs, label), label).toEqual([want[0], "out-of-memory"]);
    expect((await call("answers", "fed", jobs)).map(({ tokens }) => tokens)).toEqual(want);
  }
  await call("close", "fed");
});

test("no more than twice the memory that has been used is taken", async ({ call }) => {
  const variant = "llama-gqa-tied";
  const { prompt } = readGolden(variant);
  const { kvBytes } = await call("open", "part", source(variant), { kv: "f32", context: 4096, reserve: 1 });
  const blocks = [];
  for (const tokens of [20, 40, 70, 200]) {
    const text = Array.from({ length: tokens }, (_, i) => prompt[(i * 7) % prompt.length]!);
    await call("answer", "part", job(text, 1));
    blocks.push((await call("stats", "part")).kvBytes / kvBytes);
  }
  // Prompts begin alike, so 1, 2, 3 and 8 blocks of 32 tokens have been used.
  expect(blocks).toEqual([1, 2, 4, 8]);
  await call("close", "part");
});

// Prompts of SwiftKV students that are streamed past the boundary: the same replies from fewer bytes.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, worst } from "../../golden/serve.ts";
import { expected, toy } from "./toy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const VARIANT = "llama-swiftkv"; // L 6, K 3: three later stores
const SHADOW = "shadow:chunk=4,outliers=3,budget=16,local=16,values=f16";
const RULE = { chunk: 4, outliers: 3, selected: 4, local: 16, rank: 8, select: "layer" } as const;

test("streamed replies are those of the reference, and in f32 bit for bit those of whole prompts", async ({ call }) => {
  const one = toy(VARIANT);
  const kv = `f32+${SHADOW},rank=8`;
  await call("open", "streamed", source(VARIANT), { kv, context: 256, chunk: 64 });
  await call("open", "whole", source(VARIANT), { kv: `${kv},stream=off`, context: 256, chunk: 64 });
  for (const { prompt, ...want } of expected(one, 16, RULE)) {
    const got = await call("answer", "streamed", job(prompt, 16));
    expect(got.tokens, `${prompt.length} tokens`).toEqual(want.tokens);
    expect(worst(got.logprobs, want.logprobs)).toBeLessThan(want.allowed);
    expect(got.logprobs).toEqual((await call("answer", "whole", job(prompt, 16))).logprobs);
  }
  // One that stays whole, and its reply.
  const short = await call("answer", "streamed", job(one.golden.prompt, 24));
  expect(short.tokens).toEqual(one.golden.greedy.tokens);
  expect((await call("stats", "streamed")).kvPeakBytes).toBeLessThan((await call("stats", "whole")).kvPeakBytes);
  for (const name of ["streamed", "whole"]) await call("close", name);
});

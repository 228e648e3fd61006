// PyramidKV and SnapKV on toy models, ordinary and SwiftKV, against float64 that drops the same tokens.
import { expect } from "playwright/test";
import type { PyramidOptions } from "../../../src/kv/systems/pyramid/budgets.ts";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel } from "../../reference.ts";
import { pyramidReply } from "./rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

/** A toy model, and 123 tokens for it. */
function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = golden;
  const tokens = [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 30)];
  return { golden, model: createModel(config, tensors), tokens };
}

type Toy = ReturnType<typeof toy>;

/**
 * What the reference says. No score that stays is so near to one that goes that honest rounding could swap them: a
 * logarithm of a weight errs as a log-probability does.
 */
function expected({ golden, model }: Toy, prompt: readonly number[], count: number, options: PyramidOptions) {
  const reply = pyramidReply(model, prompt, count, options);
  expect(reply.margin, "the scores of this prompt are too close to test with").toBeGreaterThan(tolerance(golden));
  return reply;
}

const RECIPES = [
  ["pyramid", { budget: 48, window: 8, beta: 4 }, "f32+pyramid:budget=48,window=8,beta=4", 64],
  ["snapkv", { budget: 44, window: 12, beta: 1 }, "f32+snapkv:budget=44,window=12", 48],
] as const;

for (const variant of ["llama-gqa-tied", "qwen3", "llama-swiftkv-g3"] as const) {
  for (const [name, options, kv, chunk] of RECIPES) {
    test(`${variant}, ${name}: the tokens that the last queries look at stay`, async ({ call }) => {
      const one = toy(variant);
      await call("open", name, source(variant), { kv, context: 256, chunk });
      const { L, G, E, ownLayers, groupSize } = one.model.shape;
      const lists = G * (ownLayers + (L - ownLayers) / groupSize);
      for (const length of [123, 97, 70]) {
        const prompt = one.tokens.slice(0, length);
        const want = expected(one, prompt, 30, options);
        const got = await call("answer", name, job(prompt, 30));
        expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
        expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
        expect(got.evictedTokens).toBe(length - options.budget);
        expect(got.kvBytesPerToken).toBe((lists * options.budget * 2 * E * 4) / length);
      }
      await call("close", name);
    });
  }
}

test("where arenas are small, pages of all of them are looked at", async ({ call }) => {
  const one = toy("llama-gqa-tied");
  const [, options, kv, chunk] = RECIPES[0];
  await call("open", "arenas", source("llama-gqa-tied"), { kv, context: 256, chunk, arenaBytes: 8192 });
  const want = expected(one, one.tokens, 24, options);
  const got = await call("answer", "arenas", job(one.tokens, 24));
  expect(got.tokens).toEqual(want.tokens);
  expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
  await call("close", "arenas");
});

test("pages of the other written formats are scored and kept", async ({ call }) => {
  const { tokens } = toy("llama-gqa-tied");
  for (const format of ["f16", "int8", "int4"]) {
    const kv = `${format}+snapkv:budget=40,window=8`;
    await call("open", "format", source("llama-gqa-tied"), { kv, context: 256 });
    const got = await call("answer", "format", job(tokens, 12));
    expect([got.tokens.length, got.evictedTokens], kv).toEqual([12, 123 - 40]);
    expect(got.logprobs.every((value) => value <= 0)).toBe(true);
  }
  await call("close", "format");
});

test("a prompt that fits into the budget stays whole", async ({ call }) => {
  const { golden } = toy("llama-gqa-tied");
  await call("open", "whole", source("llama-gqa-tied"), { kv: "f32+pyramid:budget=50,window=8", context: 256 });
  const got = await call("answer", "whole", job(golden.prompt, 24));
  expect(got.tokens).toEqual(golden.greedy.tokens);
  expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
  expect(got.evictedTokens).toBe(0);
  await call("close", "whole");
});

test("four replies in one batch keep their own parts; a step makes no GPU object", async ({ call }) => {
  const one = toy("llama-gqa-tied");
  const options = { budget: 48, window: 8, beta: 4 };
  const kv = "f32+pyramid:budget=48,window=8,beta=4";
  const prompts = [0, 1, 2, 3].map((i) => one.tokens.slice(3 * i, 120 - 9 * i));
  await call("open", "batch", source("llama-gqa-tied"), { kv, context: 1024, sequences: 4, chunk: 64 });
  const ask = () =>
    call(
      "answers",
      "batch",
      prompts.map((prompt) => job(prompt, 20)),
    );
  for (const [i, { tokens }] of (await ask()).entries())
    expect(tokens, `reply ${i}`).toEqual(expected(one, prompts[i]!, 20, options).tokens);
  const before = (await call("stats", "batch")).objectsCreated;
  await ask();
  expect((await call("stats", "batch")).objectsCreated).toBe(before);
  await call("close", "batch");
});

test("later turns and shorter prompts see whole prompts, not what was left of earlier ones", async ({ call }) => {
  const one = toy("qwen3");
  const [, options, kv, chunk] = RECIPES[0];
  const settings = { kv, context: 512, chunk };
  await call("open", "turns", source("qwen3"), settings);
  const first = await call("answer", "turns", job(one.tokens, 20));
  const second = [...one.tokens, ...first.tokens, ...one.tokens.slice(11, 40)];
  const got = await call("answer", "turns", job(second, 20));
  expect(got.reusedTokens).toBe(96); // the whole blocks before the part that has just begun when the prompt ended
  const want = expected(one, second, 20, options);
  expect(got.tokens).toEqual(want.tokens);
  expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
  // Within the budget: nothing is dropped, and what is reused was not either.
  const short = await call("answer", "turns", job(one.golden.prompt.slice(0, 48), 12));
  expect(short.reusedTokens).toBe(47);
  expect(short.tokens).toEqual(pyramidReply(one.model, one.golden.prompt.slice(0, 48), 12, options).tokens);
  // A fresh engine says the same.
  await call("open", "fresh", source("qwen3"), settings);
  const again = await call("answer", "fresh", job(second, 20));
  expect(again.tokens).toEqual(got.tokens);
  expect(worst(again.logprobs, got.logprobs)).toBeLessThan(2 * tolerance(one.golden));
  for (const name of ["turns", "fresh"]) await call("close", name);
});

test("an abort in the middle leaves the engine as it was", async ({ call }) => {
  const one = toy("llama-gqa-tied");
  const [, options, kv, chunk] = RECIPES[0];
  await call("open", "abort", source("llama-gqa-tied"), { kv, context: 160, chunk, sequences: 1 });
  const want = expected(one, one.tokens, 20, options);
  for (const abortAfter of [-1, 1, 5]) {
    const got = await call("answer", "abort", { ...job(one.tokens, 30), abortAfter });
    expect(got.finish).toBe("abort");
  }
  expect((await call("answer", "abort", job(one.tokens, 20))).tokens).toEqual(want.tokens);
  await call("close", "abort");
});

test("layers that see a window are refused", async ({ call }) => {
  for (const variant of ["mistral", "qwen2-window"]) {
    const opened = call("open", "windowed", source(variant), { kv: "f32+snapkv:budget=64", context: 128 });
    await expect(opened).rejects.toThrow(/InputError: kv: snapkv; got a model whose layers see a window/);
  }
});

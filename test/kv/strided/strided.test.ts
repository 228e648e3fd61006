// The strided system on toy models, ordinary and SwiftKV, against float64 with the same tokens left out.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import {
  attendOne,
  createCache,
  createModel,
  forward,
  type HeadView,
  logSoftmax,
  type Model,
} from "../../reference.ts";
import { countOf, liveFromOf, positionsOf } from "./rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

/** Greedy tokens and log-probabilities where queries after the prompt see what is left of it. */
function greedy(model: Model, prompt: readonly number[], count: number, budget: number) {
  const { shape } = model;
  const liveFrom = liveFromOf(prompt.length);
  const slots = liveFrom * 32;
  const storeOf = (owner: number) =>
    owner < shape.ownLayers ? owner : shape.ownLayers + (owner - shape.ownLayers) / shape.groupSize;
  const attendHead = ({ query, keys, values, owner, group, position }: HeadView) => {
    if (position < prompt.length || liveFrom === 0) return attendOne(query, keys, values);
    const kept = positionsOf(countOf(budget, storeOf(owner), group, slots), slots);
    const some = (rows: readonly Float64Array[]) => [...kept.map((at) => rows[at]!), ...rows.slice(slots)];
    return attendOne(query, some(keys), some(values));
  };
  const cache = createCache(model);
  let logits = forward(model, prompt, cache, { rows: "last", attendHead });
  const [tokens, logprobs]: [number[], number[]] = [[], []];
  for (let i = 0; i < count; i++) {
    const token = logits.indexOf(Math.max(...logits));
    tokens.push(token);
    logprobs.push(logSoftmax(logits)[token]!);
    logits = forward(model, [token], cache, { rows: "last", attendHead });
  }
  return { tokens, logprobs };
}

for (const variant of ["llama-gqa-tied", "qwen3", "llama-swiftkv-g3"] as const) {
  test(`${variant}: a part of the prompt stays, another in every list`, async ({ call }) => {
    const golden = readGolden(variant);
    const { config, tensors } = makeCheckpoint(variant);
    const model = createModel(config, tensors);
    const prompt = [...golden.prompt, ...golden.prompt.toReversed(), ...golden.prompt.slice(7, 30)];
    for (const { budget, window, chunk } of [
      { budget: 24, window: 0, chunk: 64 },
      { budget: 40, window: 8, chunk: 48 },
    ]) {
      const kv = `f32+strided:budget=${budget},window=${window}`;
      await call("open", "strided", source(variant), { kv, context: 256, chunk });
      for (const tokens of [prompt, prompt.slice(0, 40), prompt.slice(0, 97)]) {
        const want = greedy(model, tokens, 40, budget);
        const got = await call("answer", "strided", job(tokens, 40));
        expect(got.tokens, `${kv}, ${tokens.length} tokens`).toEqual(want.tokens);
        expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(golden));
      }
      // The prompt's blocks are still in the tree, whole, for whoever begins alike.
      const longer = [...prompt, 5, 9];
      const again = await call("answer", "strided", job(longer, 12));
      expect(again.reusedTokens).toBeGreaterThan(90);
      expect(again.tokens).toEqual(greedy(model, longer, 12, budget).tokens);
    }
    await call("close", "strided");
  });
}

test("a part that is all of it changes no token", async ({ call }) => {
  const golden = readGolden("llama-gqa-tied");
  await call("open", "whole", source("llama-gqa-tied"), { kv: "f32+strided:budget=1024", context: 256 });
  const got = await call("answer", "whole", job(golden.prompt, 24));
  expect(got.tokens).toEqual(golden.greedy.tokens);
  expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
  await call("close", "whole");
});

test("four replies in one batch keep their own parts", async ({ call }) => {
  const variant = "llama-gqa-tied";
  const { prompt } = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const model = createModel(config, tensors);
  const prompts = [0, 1, 2, 3].map((i) =>
    [...prompt, ...prompt.slice(i), ...prompt.slice(2 * i)].slice(0, 140 - 20 * i),
  );
  await call("open", "batch", source(variant), { kv: "f32+strided", context: 1024, sequences: 4, chunk: 64 });
  const got = await call(
    "answers",
    "batch",
    prompts.map((each) => job(each, 24)),
  );
  for (const [i, { tokens }] of got.entries()) expect(tokens).toEqual(greedy(model, prompts[i]!, 24, 24).tokens);
  await call("close", "batch");
});

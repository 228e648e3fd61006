// The strided system on toy models, ordinary and SwiftKV, against float64 with the same tokens left out.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel } from "../../reference.ts";
import { stridedReply } from "./rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

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
        const want = stridedReply(model, tokens, 40, budget);
        const got = await call("answer", "strided", job(tokens, 40));
        expect(got.tokens, `${kv}, ${tokens.length} tokens`).toEqual(want.tokens);
        expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(golden));
      }
      // The prompt's blocks are still in the tree, whole, for whoever begins alike.
      const longer = [...prompt, 5, 9];
      const again = await call("answer", "strided", job(longer, 12));
      expect(again.reusedTokens).toBeGreaterThan(90);
      expect(again.tokens).toEqual(stridedReply(model, longer, 12, budget).tokens);
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
  for (const [i, { tokens }] of got.entries()) expect(tokens).toEqual(stridedReply(model, prompts[i]!, 24, 24).tokens);
  await call("close", "batch");
});

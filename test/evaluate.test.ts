// Teacher forcing through the decode path, against the greedy replies of Hugging Face transformers.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { words } from "./engine/drive.ts";
import { job, source, testWith, tolerance, worst } from "./golden/serve.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const logSoftmax = (logits: readonly number[], token: number): number => {
  const top = Math.max(...logits);
  return logits[token]! - top - Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
};

test("evaluate gives the log-probabilities of generation, and the logits they come from", async ({ call }) => {
  for (const variant of ["llama-gqa-tied", "mistral", "qwen3"]) {
    const golden = readGolden(variant);
    const { prompt, greedy } = golden;
    await call("open", variant, source(variant), { kv: "f32", context: 96, chunk: 7 });
    const { logprobs, logits } = await call("evaluate", variant, prompt, greedy.tokens, true);
    expect(worst(logprobs, greedy.logprobs)).toBeLessThan(tolerance(golden));
    const own = greedy.tokens.map((token, i) => logSoftmax(logits[i]!, token));
    expect(worst(own, logprobs)).toBeLessThan(1e-4);
    expect(logits.map((row) => row.indexOf(Math.max(...row)))).toEqual(greedy.tokens);
    await call("close", variant);
  }
});

test("a forced token costs a step of 8 bytes, and 4·V more where its logits are wanted; no object after the first time", async ({
  call,
}) => {
  const { prompt } = readGolden("llama3");
  await call("open", "counts", source("llama3"), { context: 256 });
  await call("evaluate", "counts", prompt.slice(0, 5), prompt.slice(5, 9), true);
  const vocabulary = (await call("model", "counts")).vocabulary;
  for (const withLogits of [false, true]) {
    const before = await call("stats", "counts");
    await call("evaluate", "counts", prompt.slice(0, 5), prompt.slice(5, 25), withLogits);
    const after = await call("stats", "counts");
    expect(after.submits - before.submits).toBe(20);
    expect(after.readbackBytes - before.readbackBytes).toBe(20 * (8 + (withLogits ? 4 * vocabulary : 0)));
    expect(after.objectsCreated - before.objectsCreated).toBe(0);
  }
  const again = await call("answer", "counts", { ...job(prompt, 4), options: { maxTokens: 4, reuse: false } });
  expect(again.reusedTokens).toBe(0);
  await call("close", "counts");
});

test("a cache that drops a part of the prompt or rounds what is old: the likelihoods of generation, not of prefill", async ({
  call,
}) => {
  const { vocabulary } = await call("open", "lossy", source("qwen3"), { context: 64 }).then(() =>
    call("model", "lossy"),
  );
  const prompt = words(11, 150, vocabulary);
  for (const recipe of ["strided", "narrow:recent=0"]) {
    await call("open", "lossy", source("qwen3"), { kv: `f32+${recipe}`, context: 256, chunk: 64 });
    const { tokens, logprobs } = await call("answer", "lossy", {
      ...job(prompt, 40),
      options: { maxTokens: 40, reuse: false, ignoreEnd: true },
    });
    const forced = await call("evaluate", "lossy", prompt, tokens);
    expect(worst(forced.logprobs, logprobs), recipe).toBeLessThan(1e-5);
    await call("open", "lossy", source("qwen3"), { kv: "f32", context: 256, chunk: 64 });
    const dense = await call("evaluate", "lossy", prompt, tokens);
    // The first token comes from the exact prompt where it is only at its end that something is dropped.
    if (recipe === "strided") expect(worst(dense.logprobs.slice(0, 1), logprobs.slice(0, 1))).toBeLessThan(1e-3);
    expect(worst(dense.logprobs, logprobs), recipe).toBeGreaterThan(1e-4);
  }
  await call("close", "lossy");
});

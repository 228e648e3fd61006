// Locret on a second family, and in the other written formats.
import { expect } from "playwright/test";
import { job, source } from "../../golden/serve.ts";
import { KV, OPTIONS, RULE, test, testReplies, toy } from "./toy.ts";

testReplies("qwen3");

for (const format of ["f16", "int8", "int4"]) {
  test(`${format}: scores are made of what is stored, and tokens that stay move as they are`, async ({ call }) => {
    const { tokens } = toy("llama-gqa-tied");
    await call("open", "format", source("llama-gqa-tied@heads"), {
      kv: `${format}+${OPTIONS}`,
      context: 256,
      chunk: 32,
    });
    const got = await call("answer", "format", job(tokens, 6));
    expect([got.tokens.length, got.evictedTokens]).toEqual([6, 128 - RULE.budget]);
    expect((await call("answer", "format", job(tokens, 6))).logprobs).toEqual(got.logprobs);
    await call("close", "format");
  });
}

test("with the whole context in use the cache is as planned: far below what the text would take", async ({ call }) => {
  const { model, tokens } = toy("llama-gqa-tied");
  const { L, G, E } = model.shape;
  const settings = { kv: KV, context: 2048, chunk: 64, reserve: 32, sequences: 1 };
  const { plan, full, peakBytes } = await call("planned", source("llama-gqa-tied@heads"), settings, tokens);
  expect(full.kvBytes).toBeLessThanOrEqual(plan.full.kvBytes);
  expect(full.scratchBytes).toBeLessThanOrEqual(plan.full.scratchBytes);
  expect(peakBytes).toBeLessThanOrEqual(plan.peakBytes);
  expect(plan.full.kvBytes).toBeLessThan((2048 * L * G * 2 * E * 4) / 4);
});

test("a cut reply that was saved goes on in another engine from what had stayed", async ({ call }) => {
  const { tokens } = toy("llama-gqa-tied");
  const how = { prompt: tokens.slice(0, 130), cut: 21, more: 64 };
  const options = { kv: KV, chunk: 32 };
  for (const reply of await call("resumed", source("llama-gqa-tied@heads"), options, how, [{}])) {
    expect(reply.tokens).toEqual(reply.undisturbed);
    expect([reply.savedTokens, reply.reusedTokens, reply.cachedTokens]).toEqual([151, 150, 150]);
  }
});

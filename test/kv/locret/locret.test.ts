// Locret on toy models against float64 that drops the same tokens after each chunk; how little memory a long prompt takes.
import { expect } from "playwright/test";
import { job, source } from "../../golden/serve.ts";
import { expected, KV, RULE, test, testReplies, toy } from "./toy.ts";

testReplies("llama-gqa-tied");

test("a prompt longer than the cache is read in the memory of a chunk, of what stays and of what follows", async ({
  call,
}) => {
  const one = toy("llama-gqa-tied");
  const { L, G, E } = one.model.shape;
  const tokenBytes = L * G * 2 * E * 4;
  const settings = { kv: KV, context: 2048, chunk: 64, reserve: 32, sequences: 1 };
  await call("open", "long", source("llama-gqa-tied@heads"), settings);
  const long = Array.from({ length: 10 }, () => one.tokens).flat();
  const got = await call("answer", "long", job(long, 12));
  expect([got.tokens.length, got.evictedTokens]).toEqual([12, 32 * 46 - RULE.budget]);
  const { kvBytes, kvPeakBytes } = await call("stats", "long");
  const pages = 2; // private ones of a list
  expect(kvPeakBytes).toBe((64 + 32 * pages) * tokenBytes);
  expect(kvBytes).toBeLessThanOrEqual((128 + 32 * pages) * tokenBytes); // buffers grow twofold
  expect(kvBytes).toBeLessThan((1500 * tokenBytes) / 6);
  await call("close", "long");
});

test("with a budget for all of the prompt it is read as without, bit for bit", async ({ call }) => {
  const { tokens } = toy("llama-gqa-tied");
  const settings = { context: 256, chunk: 64 };
  const reply = async (kv: string) => {
    await call("open", "whole", source("llama-gqa-tied@heads"), { ...settings, kv });
    const { evictedTokens, kvBytesPerToken: _, ...got } = await call("answer", "whole", job(tokens, 12));
    expect(evictedTokens).toBe(0);
    return got;
  };
  expect(await reply("f32+locret:budget=128,local=20")).toEqual(await reply("f32"));
  await call("close", "whole");
});

test("several at once, aborts in the middle, small arenas, later turns: each prompt is read anew and alone", async ({
  call,
}) => {
  const one = toy("llama-gqa-tied");
  const settings = { kv: KV, context: 256, chunk: 32, sequences: 2, arenaBytes: 8192 };
  await call("open", "turns", source("llama-gqa-tied@heads"), settings);
  const want = [149, 123].map((length) => expected(one, one.tokens.slice(0, length), 9).tokens);
  const jobs = [149, 123].map((length) => job(one.tokens.slice(0, length), 9));
  expect((await call("answers", "turns", jobs)).map(({ tokens }) => tokens)).toEqual(want);
  for (const abortAfter of [-2, -4, 3])
    expect((await call("answer", "turns", { ...jobs[0]!, abortAfter })).finish).toBe("abort");
  const again = await call("answer", "turns", jobs[0]!);
  expect([again.tokens, again.reusedTokens]).toEqual([want[0], 0]);
  await call("close", "turns");
});

test("models of students, with windows, or without heads are refused", async ({ call }) => {
  const refused = (variant: string, kv = KV) => call("open", "refused", source(variant), { kv, context: 128 });
  await expect(refused("llama-swiftkv-g3@heads")).rejects.toThrow(/kv: swiftkv and locret cannot go together/);
  await expect(refused("mistral@heads")).rejects.toThrow(/kv: locret; got a model whose layers see a window/);
  await expect(refused("llama-gqa-tied")).rejects.toThrow(/kv: locret; got no weights of locret for this model/);
});

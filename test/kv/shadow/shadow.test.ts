// ShadowKV on toy models, ordinary and SwiftKV, against float64 that looks at the same chunks.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel } from "../../reference.ts";
import { shadowReply, type ShadowOptions, type ShadowReply } from "./rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

/** A toy model, and 173 tokens for it. */
function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = golden;
  const tokens = [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 30), ...prompt];
  return { golden, model: createModel(config, tensors), tokens };
}

type Toy = ReturnType<typeof toy>;

/** What the reference says, and how far log-probabilities may be from it. */
interface Expected extends ShadowReply {
  prompt: readonly number[];
  allowed: number;
}

/**
 * Replies to prompts of two lengths. Rounding to f16 moves log-probabilities by so much, and a number near a tie may fall to
 * the other side; prompts where rounding moves a token, or what is brought back, are passed over.
 */
function expected({ golden, model, tokens }: Toy, count: number, options: Omit<ShadowOptions, "half">): Expected[] {
  const found: Expected[] = [];
  for (let length = tokens.length; found.length < 2 && length > 100; length -= 7) {
    const prompt = tokens.slice(0, length);
    const want = shadowReply(model, prompt, count, { ...options, half: true });
    const exact = shadowReply(model, prompt, count, { ...options, half: false });
    const moved = String([exact.missing, exact.tokens]) !== String([want.missing, want.tokens]);
    const allowed = tolerance(golden) + 2 * worst(exact.logprobs, want.logprobs);
    if (!moved && want.missing > 0) found.push({ ...want, prompt, allowed });
  }
  expect(found.length, "no prompt serves").toBe(2);
  return found;
}

const SETTINGS = { chunk: 4, outliers: 3, selected: 4, local: 16, select: "layer" } as const;
const TEXT = "f32+shadow:chunk=4,outliers=3,budget=16,local=16,values=f16";

for (const variant of ["llama-gqa-tied", "qwen3", "qwen2", "llama-swiftkv-g3"] as const) {
  for (const [rank, name] of [
    [1024, "full"],
    [8, "8"],
  ] as const) {
    test(`${variant}, rank ${name}: replies are those of the reference`, async ({ call }) => {
      const one = toy(variant);
      await call("open", "rank", source(variant), { kv: `${TEXT},rank=${name}`, context: 256, chunk: 64 });
      for (const { prompt, ...want } of expected(one, 16, { ...SETTINGS, rank })) {
        const got = await call("answer", "rank", job(prompt, 16));
        expect(got.tokens, `${prompt.length} tokens`).toEqual(want.tokens);
        expect(worst(got.logprobs, want.logprobs)).toBeLessThan(want.allowed);
        expect(got.evictedTokens).toBe(0);
      }
      await call("close", "rank");
    });
  }
}

const VARIANT = "llama-gqa-tied";
const KV = `${TEXT},rank=full`;
const FULL = { ...SETTINGS, rank: 1024 };

test("where arenas are small, pages of all of them are read", async ({ call }) => {
  const one = toy(VARIANT);
  await call("open", "arenas", source(VARIANT), { kv: KV, context: 256, chunk: 64, arenaBytes: 8192 });
  for (const { prompt, ...want } of expected(one, 16, FULL)) {
    const got = await call("answer", "arenas", job(prompt, 16));
    expect(got.tokens).toEqual(want.tokens);
    expect(worst(got.logprobs, want.logprobs)).toBeLessThan(want.allowed);
  }
  await call("close", "arenas");
});

test("one choice for a group of layers: replies are those of the reference", async ({ call }) => {
  const variant = "llama-swiftkv-g3";
  const one = toy(variant);
  await call("open", "group", source(variant), { kv: `${KV},select=group`, context: 256, chunk: 64 });
  for (const { prompt, ...want } of expected(one, 16, { ...FULL, select: "group" })) {
    const got = await call("answer", "group", job(prompt, 16));
    expect(got.tokens).toEqual(want.tokens);
    expect(worst(got.logprobs, want.logprobs)).toBeLessThan(want.allowed);
  }
  await call("close", "group");
});

test("a prompt that is kept whole: short, or with budget=all", async ({ call }) => {
  const { golden, tokens } = toy(VARIANT);
  await call("open", "whole", source(VARIANT), { kv: KV.replace("local=16", "local=32"), context: 256 });
  const short = await call("answer", "whole", job(golden.prompt, 24));
  expect(short.tokens).toEqual(golden.greedy.tokens);
  expect(worst(short.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
  await call("open", "whole", source(VARIANT), { kv: "f32", context: 256 });
  const dense = await call("answer", "whole", job(tokens, 24));
  await call("open", "whole", source(VARIANT), { kv: "f32+shadow:rank=full,budget=all", context: 256 });
  const all = await call("answer", "whole", job(tokens, 24));
  expect([all.tokens, all.logprobs]).toEqual([dense.tokens, dense.logprobs]);
  await call("close", "whole");
});

test("four replies in one batch look at their own prompts; a step makes no GPU object", async ({ call }) => {
  const one = toy(VARIANT);
  const [a, b] = expected(one, 16, FULL) as [Expected, Expected];
  await call("open", "batch", source(VARIANT), { kv: KV, context: 1024, sequences: 4, chunk: 64 });
  const jobs = [a, b, a, b].map(({ prompt }) => job(prompt, 16));
  const replies = await call("answers", "batch", jobs);
  for (const [i, { tokens }] of replies.entries()) expect(tokens, `reply ${i}`).toEqual([a, b][i % 2]!.tokens);
  await call("answers", "batch", jobs); // prompts are found now: their last chunks are short
  const before = (await call("stats", "batch")).objectsCreated;
  await call("answers", "batch", jobs);
  expect((await call("stats", "batch")).objectsCreated).toBe(before);
  await call("close", "batch");
});

test("a later turn sees all of the conversation, and gives what a fresh engine gives", async ({ call }) => {
  const one = toy(VARIANT);
  const [{ prompt, tokens: want }] = expected(one, 16, FULL) as [Expected];
  const settings = { kv: KV, context: 512, chunk: 64 };
  await call("open", "turns", source(VARIANT), settings);
  const first = await call("answer", "turns", job(prompt, 16));
  expect(first.tokens).toEqual(want);
  const second = [...prompt, ...first.tokens, ...one.tokens.slice(11, 40)];
  const got = await call("answer", "turns", job(second, 12));
  expect(got.reusedTokens).toBe(32 * Math.floor(prompt.length / 32));
  await call("open", "fresh", source(VARIANT), settings);
  const again = await call("answer", "fresh", job(second, 12));
  expect(got.tokens).toEqual(again.tokens);
  // And the first prompt once more, after the second has been there.
  expect((await call("answer", "turns", job(prompt, 16))).tokens).toEqual(want);
  for (const name of ["turns", "fresh"]) await call("close", name);
});

test("an abort in the middle leaves the engine as it was", async ({ call }) => {
  const one = toy(VARIANT);
  const [{ prompt, tokens: want }] = expected(one, 16, FULL) as [Expected];
  await call("open", "abort", source(VARIANT), { kv: KV, context: 256, chunk: 64, sequences: 1 });
  for (const abortAfter of [-1, 1, 5]) {
    const got = await call("answer", "abort", { ...job(prompt, 30), abortAfter });
    expect(got.finish).toBe("abort");
  }
  expect((await call("answer", "abort", job(prompt, 16))).tokens).toEqual(want);
  await call("close", "abort");
});

test("every written format goes with every format of values; the first token comes from the exact prompt", async ({
  call,
}) => {
  const one = toy(VARIANT);
  const [{ prompt }] = expected(one, 16, FULL) as [Expected];
  for (const [format, values] of [
    ["f16", "f16"],
    ["f16", "int8"],
    ["int8", "int8"],
    ["int8", "int4"],
  ] as const) {
    // prettier-ignore
    const kv = `${format}+shadow:chunk=4,outliers=3,budget=16,local=16,values=${values},rank=full`;
    await call("open", "format", source(VARIANT), { kv, context: 256 });
    const got = await call("answer", "format", job(prompt, 8));
    await call("open", "format", source(VARIANT), { kv: format, context: 256 });
    const dense = await call("answer", "format", job(prompt, 8));
    expect([got.tokens[0], got.logprobs[0]], kv).toEqual([dense.tokens[0], dense.logprobs[0]]);
    expect([got.tokens.length, got.evictedTokens], kv).toEqual([8, 0]);
    expect(got.logprobs.every((value) => value <= 0)).toBe(true);
  }
  await call("close", "format");
});

test("bytes are those of the formula, and allocated is what it says for a whole context", async ({ call }) => {
  const one = toy("qwen3");
  const { L, G, E } = one.model.shape;
  const width = G * E;
  const [chunk, outliers, selected, rank, context] = [4, 3, 4, 8, 256];
  const kv = `f16+shadow:chunk=4,outliers=3,budget=16,local=16,values=int8,rank=${rank}`;
  await call("open", "bytes", source("qwen3"), { kv, context, sequences: 1 });
  const got = await call("answer", "bytes", job(one.tokens, 2));
  const tokens = one.tokens.length;
  const old = 32 * Math.floor((tokens - 16) / 32);
  const factors = 2 * rank;
  const values = width + 4 * (width / 16); // groups of 16: the largest power of two in 32 that divides a head
  const landmarks = (2 * width) / chunk;
  const fixed = 4 * ((rank + 1) * width + G * (outliers + selected));
  const exact = 4 * width * (tokens - old + (outliers + selected) * chunk);
  expect(got.kvBytesPerToken).toBeCloseTo((L * (old * (factors + values + landmarks) + fixed + exact)) / tokens, 9);
  const pages = context + (32 * G * Math.ceil(((outliers + selected) * chunk) / 32)) / G;
  const state = context * (factors + values + landmarks) + fixed;
  expect((await call("stats", "bytes")).kvBytes).toBe(L * (4 * width * pages + state));
  await call("close", "bytes");
});

test("what cannot be is refused, with what would do", async ({ call }) => {
  const refused = async (kv: string, message: RegExp, variant = VARIANT) =>
    await expect(call("open", "bad", source(variant), { kv, context: 128 })).rejects.toThrow(message);
  await refused("shadow:values=int2", /kv: shadow:values; got int2, want f16 or int8 or int4/);
  await refused(
    "shadow:budget=most",
    /kv: shadow:budget; got most, want a whole number from 4 to 1048576 or auto or all/,
  );
  await refused("shadow+pyramid", /shadow and pyramid cannot go together/);
  await refused("shadow", /shadow; got a model whose layers see a window/, "mistral");
});

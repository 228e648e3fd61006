// ShadowKV on toy models, ordinary and SwiftKV, against float64 that looks at the same chunks.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { type Expected, expected, type Toy, toy } from "./toy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

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

test("factors and landmarks in 8 bits: replies are those of the reference", async ({ call }) => {
  const one = toy(VARIANT);
  const kv = `${TEXT},rank=8,keys=int8`;
  await call("open", "eight", source(VARIANT), { kv, context: 256, chunk: 64 });
  for (const { prompt, ...want } of expected(one, 16, { ...SETTINGS, rank: 8 }, { keys: "int8", wanted: 1 })) {
    const got = await call("answer", "eight", job(prompt, 16));
    expect(got.tokens, `${prompt.length} tokens`).toEqual(want.tokens);
    expect(worst(got.logprobs, want.logprobs)).toBeLessThan(want.allowed);
  }
  await call("close", "eight");
});

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

/** Bytes of what stands for a token given up, and for a prompt, of one store. */
function formula(
  { shape: { G, E } }: Toy["model"],
  kept: { keys: 8 | 16; values: 0 | 8; rank: number; chunks: number },
) {
  const width = G * E;
  const landmark = (width * kept.keys) / 8 + (kept.keys === 8 ? 4 * G : 0);
  const value = kept.values === 0 ? 0 : width + 4 * (width / 16); // groups of 16: the largest divisor of 64 in a head
  return {
    token: (kept.rank * kept.keys) / 8 + value + landmark / 4,
    prompt: 4 * ((kept.rank + 1) * width + G * kept.chunks),
  };
}

for (const [name, options, keys, values] of [
  ["", "values=int8", 16, 8],
  [", keys in 8 bits", "values=int8,keys=int8", 8, 8],
  [", values in JavaScript's memory", "values=host,keys=int8", 8, 0],
] as const) {
  test(`bytes are those of the formula, allocated and held${name}`, async ({ call }) => {
    const one = toy("qwen3");
    const { L, G, E } = one.model.shape;
    const [outliers, selected, rank, context] = [3, 4, 8, 256];
    const kv = `f16+shadow:chunk=4,outliers=3,budget=16,local=16,rank=${rank},${options}`;
    const { kvBytes: atFirst } = await call("open", "bytes", source("qwen3"), {
      kv,
      context,
      sequences: 1,
      reserve: 64,
    });
    const got = await call("answer", "bytes", job(one.tokens, 2));
    const tokens = one.tokens.length;
    const old = 32 * Math.floor((tokens - 16) / 32);
    const { token, prompt } = formula(one.model, { keys, values, rank, chunks: outliers + selected });
    const [exact, kept] = [4 * G * E, (outliers + selected) * 4];
    const whole = exact * (tokens - old + kept) + old * token + prompt;
    expect(got.kvBytesPerToken).toBeCloseTo((L * whole) / tokens, 9);
    const pages = 32 * Math.ceil(kept / 32);
    const { kvBytes, kvPeakBytes, recall } = await call("stats", "bytes");
    const allocated = (blocks: number, regions: number) => L * (exact * (blocks + pages) + regions * token + prompt);
    expect(atFirst).toBe(allocated(64, 64));
    const used = 32 * Math.ceil(tokens / 32);
    expect(kvBytes).toBe(allocated(Math.max(128, used), Math.max(128, 64 * Math.ceil(old / 64)))); // at least doubled
    // At the prompt's end all of it is there besides what comes to stand for it, whose room is a multiple of two blocks.
    const region = 64 * Math.ceil(old / 64);
    expect(kvPeakBytes).toBe(L * (exact * (used + pages) + region * token + prompt));
    expect(recall!.hostBytes).toBe(values === 0 ? L * old * 2 * G * E : 0);
    await call("close", "bytes");
  });
}

test("against f16 at 16,384 tokens and keys of 192 numbers: a third and a quarter of the bytes, a fifth and an eighth", () => {
  const model = {
    hiddenSize: 576,
    layers: 30,
    heads: 9,
    kvHeads: 3,
    headWidth: 64,
    windows: Array<number>(30).fill(0),
  };
  const bytes = (kv: string) => parseRecipe(kv).price({ ...model, context: 16384, swiftkv: null }, 16384).kvBytes;
  const gain = (options: string) => bytes("f16") / bytes(`shadow:rank=48,chunk=16,outliers=8,budget=256,${options}`);
  expect(gain("values=int4")).toBeGreaterThan(3);
  expect(gain("values=int4,keys=int8")).toBeGreaterThan(4);
  expect(gain("values=host")).toBeGreaterThan(5);
  expect(gain("values=host,keys=int8")).toBeGreaterThan(8);
});

test("what cannot be is refused, with what would do", async ({ call }) => {
  const refused = async (kv: string, message: RegExp, variant = VARIANT) =>
    await expect(call("open", "bad", source(variant), { kv, context: 128 })).rejects.toThrow(message);
  await refused("shadow:values=int2", /kv: shadow:values; got int2, want f16 or int8 or int4 or host or host-sync/);
  await refused(
    "shadow:budget=most",
    /kv: shadow:budget; got most, want a whole number from 4 to 1048576 or auto or all/,
  );
  await refused("shadow+pyramid", /shadow and pyramid cannot go together/);
  await refused("shadow", /shadow; got a model whose layers see a window/, "mistral");
});

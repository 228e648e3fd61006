// LESS on toy models: another family, several arenas, every format, the neutral setting to the bit, forks, what it costs.
import { expect } from "playwright/test";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { expectedReply, lessFiles, options, toy } from "./rule.ts";

const test = testWith(lessFiles);

const VARIANT = "llama-gqa-tied";
const RECIPE = "less:budget=44,window=12";

const expected = (one: ReturnType<typeof toy>, prompt: readonly number[], count: number) =>
  expectedReply(one, prompt, count, options(44, 12));

test("queries and keys with norms of their own", async ({ call }) => {
  const one = toy("qwen3");
  await call("open", "less", source("qwen3@less"), { kv: `f32+${RECIPE}`, context: 256, chunk: 64 });
  for (const length of [123, 97, 70]) {
    const prompt = one.tokens.slice(0, length);
    const want = expected(one, prompt, 30);
    const got = await call("answer", "less", job(prompt, 30));
    expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
    expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
  }
  await call("close", "less");
});

test("where arenas are small, tokens of all of them are absorbed", async ({ call }) => {
  const one = toy(VARIANT);
  const settings = { kv: `f32+${RECIPE}`, context: 256, chunk: 48, arenaBytes: 8192 };
  await call("open", "arenas", source(`${VARIANT}@less`), settings);
  const want = expected(one, one.tokens, 12);
  const got = await call("answer", "arenas", job(one.tokens, 12));
  expect(got.tokens).toEqual(want.tokens);
  expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
  await call("close", "arenas");
});

test("pages of the other written formats are absorbed", async ({ call }) => {
  const { tokens } = toy(VARIANT);
  for (const format of ["f16", "int8", "int4"]) {
    await call("open", "format", source(`${VARIANT}@less`), { kv: `${format}+${RECIPE}`, context: 256 });
    const got = await call("answer", "format", job(tokens, 12));
    expect(got.tokens.length, format).toBe(12);
    expect(got.logprobs.every((value) => value <= 0)).toBe(true);
  }
  await call("close", "format");
});

test("a budget that holds the prompt changes nothing, to the bit", async ({ call }) => {
  const { golden } = toy("qwen3");
  const asked = job(golden.prompt, golden.greedy.tokens.length);
  const answers = [];
  for (const kv of ["f32+less:budget=256", "f32"]) {
    await call("open", "neutral", source("qwen3@less"), { kv, context: 256 });
    answers.push(await call("answer", "neutral", asked));
  }
  const [got, dense] = answers;
  expect(got!.tokens).toEqual(golden.greedy.tokens);
  expect(got!.logprobs).toEqual(dense!.logprobs);
  await call("close", "neutral");
});

test("a fork and its original go on, each as if it was alone", async ({ call }) => {
  const prompt = toy(VARIANT).tokens.slice(0, 110);
  const kv = "f32+less:budget=50,window=8";
  const got = await call("forked", source(`${VARIANT}@less`), { kv }, prompt.slice(0, 100), prompt.slice(20, 29));
  expect(got.resumed).toEqual(got.want.resumed);
  expect([...got.tokens, ...got.again.slice(20)]).toEqual(got.want.asked);
});

test("bytes reported are those of the formula and those allocated", async ({ call }) => {
  const model = { hiddenSize: 576, layers: 30, heads: 9, kvHeads: 3, headWidth: 64, windows: Array<number>(30).fill(0), context: 8192, swiftkv: null }; // prettier-ignore
  const { kvBytes, peakBytes, extraWeightBytes } = parseRecipe("less:budget=512").price(model, 4096);
  const [state, maps] = [90 * 8 * 65 * 4, 30 * 4 * (12 * 32 * 72 + 3 * 80)];
  expect([kvBytes, extraWeightBytes]).toEqual([90 * 512 * 256 + state, maps]);
  expect(peakBytes).toBe(90 * (4096 + 480) * 256 + state);
  const one = toy("qwen3");
  const { L, H, G, E } = one.model.shape;
  const settings = { kv: "f16+less:budget=64", context: 512, chunk: 64, sequences: 2 };
  const stats = await call("open", "bytes", source("qwen3@less"), settings);
  const page = 32 * 2 * E * 2;
  const [lists, own] = [L * G, 8 * (E + 1) * 4];
  expect(stats.kvBytes).toBe(lists * ((512 / 32) * page + 2 * (page + own)));
  await call("open", "plain", source("qwen3@less"), { ...settings, kv: "f16+snapkv:budget=64" });
  const { weightBytes } = await call("stats", "plain");
  expect(stats.weightBytes - weightBytes).toBe(4 * L * ((H + G) * 32 * (E + 8) + G * 80));
  for (const name of ["bytes", "plain"]) await call("close", name);
});

// KVMerger on toy models, ordinary and SwiftKV, against float64 with the same sets; whose pages they are; what it costs.
import { expect } from "playwright/test";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { random } from "../../kernels/spec.ts";
import { createModel } from "../../reference.ts";
import { mergedReply, type MergeRule } from "./rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = golden;
  const tokens = [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 30)];
  return { golden, model: createModel(config, tensors), tokens };
}

type Toy = ReturnType<typeof toy>;

const RULE: MergeRule = { budget: 50, window: 8, sinks: 2, alone: 0.2, sigma: 1 };
const RECIPE = "kvmerger:budget=50,window=8,sinks=2,alone=0.2,sigma=1";

/** What the reference says; no two numbers that decide are so near that rounding could swap them. */
function expected({ golden, model }: Toy, prompt: readonly number[], count: number) {
  const reply = mergedReply(model, prompt, count, RULE);
  expect(reply.margin, "this prompt decides too closely to test with").toBeGreaterThan(tolerance(golden) / 10);
  return reply;
}

for (const variant of ["qwen3", "llama-swiftkv-g3"] as const) {
  test(`${variant}: runs of similar keys are one token each, which weighs as much as they did`, async ({ call }) => {
    const one = toy(variant);
    const kv = `f32+${RECIPE}`;
    await call("open", "merged", source(variant), { kv, context: 256, chunk: 64 });
    for (const length of [123, 40]) {
      const prompt = one.tokens.slice(0, length);
      const want = expected(one, prompt, 40);
      const got = await call("answer", "merged", job(prompt, 40));
      expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
      expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
      expect(got.evictedTokens).toBe(0);
    }
    await call("close", "merged");
  });
}

test("a budget that holds the prompt changes nothing", async ({ call }) => {
  const { golden } = toy("qwen3");
  await call("open", "neutral", source("qwen3"), { kv: "f32+kvmerger:budget=256", context: 256 });
  const got = await call("answer", "neutral", job(golden.prompt, golden.greedy.tokens.length));
  expect(got.tokens).toEqual(golden.greedy.tokens);
  expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
  await call("close", "neutral");
});

test("two replies at once, a later turn and aborts: each merges its own prompt, from whole blocks", async ({
  call,
}) => {
  const one = toy("qwen3");
  const uniform = random(47);
  const upTo = (most: number) => Math.floor(uniform() * most);
  const settings = { kv: `f32+${RECIPE}`, context: 384, chunk: 64, sequences: 3 };
  await call("open", "shared", source("qwen3"), settings);
  const first = await call("answer", "shared", job(one.tokens, 12));
  const turn = [...one.tokens, ...first.tokens, ...one.tokens.slice(11, 40)];
  const second = await call("answer", "shared", job(turn, 12));
  expect(second.reusedTokens).toBe(96); // whole blocks of the first prompt: what followed saw merged tokens
  expect(second.tokens).toEqual(expected(one, turn, 12).tokens);
  const prompts = Array.from({ length: 4 }, (_, i) => [...one.tokens.slice(0, 60 + upTo(60)), 3 + i, 40 + upTo(50)]);
  const jobs = prompts.map((prompt) => ({ ...job(prompt, 4 + upTo(20)), abortAfter: [0, 0, 3][upTo(3)]! }));
  for (const [i, { tokens }] of (await call("answers", "shared", jobs)).entries())
    expect(tokens, `job ${i}`).toEqual(mergedReply(one.model, prompts[i]!, tokens.length, RULE).tokens);
  await call("close", "shared");
});

test("bytes reported are those of the formula and those allocated", async ({ call }) => {
  const model = { hiddenSize: 576, layers: 30, heads: 9, kvHeads: 3, headWidth: 64, windows: Array<number>(30).fill(0), context: 8192, swiftkv: null }; // prettier-ignore
  const { kvBytes, evictedTokens } = parseRecipe("kvmerger:budget=512").price(model, 4096);
  expect([kvBytes, evictedTokens]).toEqual([90 * (480 * 260 + 32 * 256), 0]); // a merged token has 4 bytes more
  const settings = { kv: "f16+kvmerger:budget=64", context: 512, chunk: 64, sequences: 1 };
  const stats = await call("open", "bytes", source("qwen3"), settings);
  const [lists, width] = [3 * 2, 16];
  const page = 32 * 2 * width * 2;
  expect(stats.kvBytes).toBe(lists * ((512 / 32) * page + 1 * (page + 32 * 4)));
  await call("close", "bytes");
});

test("what it cannot do is refused", () => {
  expect(() => parseRecipe("kvmerger:budget=60").resolve({ hiddenSize: 64, layers: 1, heads: 1, kvHeads: 1, headWidth: 64, windows: [0], context: 64, swiftkv: null }, { context: 64, rows: 64, sequences: 1 })).toThrow(/^kv: kvmerger:budget; got 60 with window=32, want at least 64/); // prettier-ignore
  for (const other of ["snapkv", "pyramid", "shadow", "think"])
    expect(() => parseRecipe(`kvmerger+${other}`)).toThrow(/cannot go together/);
});

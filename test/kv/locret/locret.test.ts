// Locret on toy models against float64 that drops the same tokens after each chunk; how little memory a long prompt takes.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel } from "../../reference.ts";
import { addHeads, type LocretRule, locretReply } from "./rule.ts";

/** `name`, or `name@heads` with the tensors of its heads. */
function checkpointOf(name: string) {
  const [variant, heads] = name.split("@");
  const { config, tensors } = makeCheckpoint(variant!);
  if (heads) addHeads(tensors, createModel(config, tensors));
  return { config, tensors };
}

const test = testWith((name) => toFiles(checkpointOf(name), readGolden(name.split("@")[0]!).dtype));

/** A toy model with heads, and 150 tokens for it, all different: equal ones have equal scores in the first layer. */
function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = checkpointOf(`${variant}@heads`);
  const tokens = Array.from({ length: 150 }, (_, i) => (37 * i + 11) % 151);
  return { golden, model: createModel(config, tensors), tokens };
}

type Toy = ReturnType<typeof toy>;

/** What the reference says, where no score that stays is so near to one that goes that rounding could swap them. */
function expected({ golden, model }: Toy, prompt: readonly number[], count: number, rule: LocretRule) {
  const reply = locretReply(model, prompt, count, rule);
  expect(reply.margin, "the scores of this prompt are too close to test with").toBeGreaterThan(2 ** -20);
  expect(golden.float32Gap).toBeGreaterThan(0);
  return reply;
}

const RULE: LocretRule = { budget: 40, stabilisers: 8, local: 20, chunk: 32 };
const KV = "f32+locret:budget=40,stabilisers=8,local=20";

for (const variant of ["llama-gqa-tied", "qwen3"]) {
  test(`${variant}: after each chunk the tokens with the highest scores stay`, async ({ call }) => {
    const one = toy(variant);
    await call("open", "locret", source(`${variant}@heads`), { kv: KV, context: 512, chunk: 40 });
    const { L, G, E } = one.model.shape;
    for (const length of [149, 123, 84]) {
      const prompt = one.tokens.slice(0, length);
      const want = expected(one, prompt, 12, RULE);
      const got = await call("answer", "locret", job(prompt, 12));
      expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
      expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
      const given = 32 * Math.floor((length - RULE.local) / 32);
      expect(got.evictedTokens).toBe(given - RULE.budget);
      expect(got.kvBytesPerToken).toBe((L * G * (length - given + RULE.budget) * 2 * E * 4) / length);
    }
    await call("close", "locret");
  });
}

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
  const want = [149, 123].map((length) => expected(one, one.tokens.slice(0, length), 9, RULE).tokens);
  const jobs = [149, 123].map((length) => job(one.tokens.slice(0, length), 9));
  expect((await call("answers", "turns", jobs)).map(({ tokens }) => tokens)).toEqual(want);
  for (const abortAfter of [-2, -4, 3])
    expect((await call("answer", "turns", { ...jobs[0]!, abortAfter })).finish).toBe("abort");
  const again = await call("answer", "turns", jobs[0]!);
  expect([again.tokens, again.reusedTokens]).toEqual([want[0], 0]);
  await call("close", "turns");
});

test("the other written formats; models with other students' layers or windows are refused", async ({ call }) => {
  const { tokens } = toy("llama-gqa-tied");
  for (const format of ["f16", "int4"]) {
    const kv = `${format}+locret:budget=40,stabilisers=8,local=20`;
    await call("open", "format", source("llama-gqa-tied@heads"), { kv, context: 256 });
    const got = await call("answer", "format", job(tokens, 6));
    expect([got.tokens.length, got.evictedTokens], kv).toEqual([6, 128 - 40]);
  }
  await call("close", "format");
  const refused = (variant: string, kv = KV) => call("open", "refused", source(variant), { kv, context: 128 });
  await expect(refused("llama-swiftkv-g3@heads")).rejects.toThrow(/kv: swiftkv and locret cannot go together/);
  await expect(refused("mistral@heads")).rejects.toThrow(/kv: locret; got a model whose layers see a window/);
  await expect(refused("llama-gqa-tied")).rejects.toThrow(/kv: locret; got no weights of locret for this model/);
});

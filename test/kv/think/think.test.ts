// ThinK on toy models, ordinary and SwiftKV, against float64 without the same channels; whose pages they are; what it costs.
import { expect } from "playwright/test";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { random } from "../../kernels/spec.ts";
import { createModel } from "../../reference.ts";
import { thinkReply, type ThinkRule } from "./rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

/** A toy model, and tokens for it. */
function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = golden;
  const tokens = [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 30)];
  return { golden, model: createModel(config, tensors), tokens };
}

type Toy = ReturnType<typeof toy>;

const RULE: ThinkRule = { keep: 0.6, recent: 32, chunk: 64 };

/** What the reference says; no channel that stays is so near to one that goes that rounding could swap them. */
function expected({ golden, model }: Toy, prompt: readonly number[], count: number, rule = RULE) {
  const reply = thinkReply(model, prompt, count, rule);
  expect(reply.margin, "the channels of this prompt are too close to test with").toBeGreaterThan(tolerance(golden));
  return reply;
}

for (const variant of ["qwen3", "llama-swiftkv-g3", "mistral"] as const) {
  test(`${variant}: keys of older tokens have the channels that the prompt's last queries ask for`, async ({
    call,
  }) => {
    const one = toy(variant);
    await call("open", "think", source(variant), { kv: "f32+think:keep=0.6", context: 256, chunk: 64 });
    for (const length of [123, 20]) {
      const prompt = one.tokens.slice(0, length);
      const want = expected(one, prompt, 50);
      const got = await call("answer", "think", job(prompt, 50));
      expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
      expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
      expect(got.evictedTokens).toBe(0);
    }
    await call("close", "think");
  });
}

test("tokens that PyramidKV keeps lose channels too", async ({ call }) => {
  const one = toy("llama-swiftkv-g3");
  const pyramid = { budget: 48, window: 8, beta: 4 };
  const kv = "f32+pyramid:budget=48,window=8,beta=4+think:keep=0.5";
  await call("open", "both", source("llama-swiftkv-g3"), { kv, context: 256, chunk: 64 });
  const want = expected(one, one.tokens, 40, { ...RULE, keep: 0.5, pyramid });
  const got = await call("answer", "both", job(one.tokens, 40));
  expect(got.tokens).toEqual(want.tokens);
  expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
  expect(got.evictedTokens).toBe(123 - 48);
  await call("close", "both");
});

test("with KIVI the channels that stay are coded", async ({ call }) => {
  const one = toy("llama3");
  const rule = { ...RULE, keep: 0.5, kivi: { kbits: 4, vbits: 4 } };
  const kv = "f32+kivi:bits=4,recent=32+think:keep=0.5";
  await call("open", "coded", source("llama3"), { kv, context: 256, chunk: 64 });
  const want = expected(one, one.tokens, 50, rule);
  const got = await call("answer", "coded", job(one.tokens, 50));
  expect(got.tokens).toEqual(want.tokens);
  // A code may fall to the other side of a tie in f32.
  const exact = thinkReply(one.model, one.tokens, 50, { ...rule, keep: 1, recent: 1024 });
  expect(worst(got.logprobs, want.logprobs)).toBeLessThan(worst(exact.logprobs, want.logprobs) / 5);
  await call("close", "coded");
});

test("where all channels stay, or every token is recent, nothing changes", async ({ call }) => {
  const { golden } = toy("qwen3");
  for (const kv of ["f32+think:keep=1", "f32+think:keep=0.1,recent=256"]) {
    await call("open", "neutral", source("qwen3"), { kv, context: 256 });
    const got = await call("answer", "neutral", job(golden.prompt, golden.greedy.tokens.length));
    expect(got.tokens, kv).toEqual(golden.greedy.tokens);
    expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
  }
  await call("close", "neutral");
});

test("prompts with a common beginning, later turns and aborts: each has whole keys to choose from", async ({
  call,
}) => {
  const one = toy("qwen3");
  const uniform = random(41);
  const upTo = (most: number) => Math.floor(uniform() * most);
  await call("open", "random", source("qwen3"), { kv: "f32+think", context: 384, chunk: 64, sequences: 3 });
  const first = await call("answer", "random", job(one.tokens, 20));
  const turn = [...one.tokens, ...first.tokens, ...one.tokens.slice(11, 40)];
  const second = await call("answer", "random", job(turn, 12));
  expect(second.reusedTokens).toBe(96); // whole blocks of the first prompt: what followed saw narrow keys
  expect(second.tokens).toEqual(expected(one, turn, 12).tokens);
  for (let round = 0; round < 2; round++) {
    const jobs = Array.from({ length: 4 }, () => {
      const own = Array.from({ length: 1 + upTo(12) }, () => 3 + upTo(90));
      const tokens = [...one.tokens.slice(0, 60 + upTo(60)), ...own];
      return { tokens, ...job(tokens, 4 + upTo(20)), abortAfter: [0, 0, 3][upTo(3)]! };
    });
    for (const [i, { tokens }] of (
      await call(
        "answers",
        "random",
        jobs.map(({ tokens, ...asked }) => (expect(tokens).toBeDefined(), asked)),
      )
    ).entries()) {
      const want = thinkReply(one.model, jobs[i]!.tokens, tokens.length, RULE);
      expect(tokens, `round ${round}, job ${i}`).toEqual(want.tokens);
    }
  }
  await call("close", "random");
});

test("bytes reported are those of the formula and those allocated", async ({ call }) => {
  const model = { hiddenSize: 576, layers: 30, heads: 9, kvHeads: 3, headWidth: 64, windows: Array<number>(30).fill(0), context: 8192, swiftkv: null }; // prettier-ignore
  const price = (kv: string) => parseRecipe(kv).price(model, 4096).kvBytesPerToken;
  const lists = 90;
  // Of 64 channels 25 go, 40 stay; a page lists them in 40 bytes, padded to 48.
  expect(price("think:keep=0.6")).toBe((lists * (4064 * (80 + 128 + 48 / 32) + 32 * 256)) / 4096);
  expect(price("kivi:bits=2,recent=32+think")).toBeLessThan(0.9 * price("kivi:bits=2,recent=32"));
  const settings = { kv: "think:keep=0.5", context: 512, chunk: 64, sequences: 1 };
  const { kvBytes } = await call("open", "bytes", source("llama3"), settings);
  const layers = readGolden("llama3").config["num_hidden_layers"] as number;
  const words = { exact: 32 * 16, narrow: 32 * 12 + 4 }; // 16 channels, of which 8 stay
  expect(kvBytes).toBe(layers * 2 * 4 * (512 / 32) * (words.exact + words.narrow));
  await call("close", "bytes");
});

test("what it cannot do is refused", () => {
  const resolve = (kv: string, headWidth: number) => () =>
    parseRecipe(kv).resolve({ hiddenSize: 64, layers: 1, heads: 1, kvHeads: 1, headWidth, windows: [0], context: 64, swiftkv: null }, { context: 64, rows: 64, sequences: 1 }); // prettier-ignore
  expect(resolve("think", 512)).toThrow("kv: think; got heads of 512 channels, want at most 256. Leave think out.");
  expect(resolve("kivi:bits=4,rotate=1+think", 64)).toThrow(
    /^kv: think; got it with kivi 4\/4 bits, rotated, whose keys/,
  );
  expect(() => parseRecipe("think:keep=0")).toThrow("kv: think:keep; got 0, want a number from 0.1 to 1.");
  expect(() => parseRecipe("shadow+think")).toThrow(/cannot go together/);
  const small = () => parseRecipe("think").resolve({ hiddenSize: 64, layers: 1, heads: 1, kvHeads: 1, headWidth: 64, windows: [0], context: 64, swiftkv: null }, { context: 64, rows: 32, sequences: 1 }); // prettier-ignore
  expect(small).toThrow(/^chunk: got 32 tokens, want at least 33 with think/);
});

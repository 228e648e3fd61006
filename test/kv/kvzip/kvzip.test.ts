// KVzip on toy models, ordinary and SwiftKV, against float64 that repeats the prompt and keeps the same tokens.
import { expect } from "playwright/test";
import { OPENING } from "../../../src/engine/repeat.ts";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel } from "../../reference.ts";
import { choose, zipReply, type ZipOptions } from "./rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const KEEP = 0.4;
const KV = `f32+kvzip:keep=${KEEP}`;
/** Rows that repeat are one fewer. */
const CHUNK = 64;

/** A toy model, and 123 tokens for it. */
function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = golden;
  return {
    golden,
    model: createModel(config, tensors),
    tokens: [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 30)],
  };
}

type Toy = ReturnType<typeof toy>;

/** What the reference keeps. No score that stays is so near to one that goes that honest rounding could swap them. */
function chosen({ golden, model }: Toy, prompt: readonly number[], options: ZipOptions) {
  const choice = choose(model, prompt, options)!;
  expect(choice.margin, "the scores of this prompt are too close to test with").toBeGreaterThan(tolerance(golden));
  return choice;
}

for (const variant of ["llama-gqa-tied", "llama-swiftkv-g3"] as const) {
  test(`${variant}: the tokens that repeating the prompt looks at stay, for this question and the next ones`, async ({
    call,
  }) => {
    const one = toy(variant);
    await call("open", "zip", source(variant), { kv: KV, context: 256, chunk: CHUNK, sequences: 2 });
    const options = { keep: KEEP, rows: CHUNK - 1, opening: await call("tokenize", "zip", OPENING) };
    const { L, G, E, ownLayers, groupSize } = one.model.shape;
    const lists = G * (ownLayers + (L - ownLayers) / groupSize);
    for (const length of [123, 75]) {
      const prompt = one.tokens.slice(0, length);
      const want = zipReply(one.model, prompt, 20, chosen(one, prompt, options));
      const got = await call("answer", "zip", job(prompt, 20));
      expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
      expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
      expect(got.evictedTokens).toBe(length - Math.ceil(KEEP * length));
      expect(got.kvBytesPerToken).toBe((lists * Math.ceil(KEEP * length) * 2 * E * 4) / length);
    }
    await call("close", "zip");
  });
}

test("later turns, and other questions after the same text, go on from what stays; also in an engine that opened it", async ({
  call,
}) => {
  const one = toy("llama-gqa-tied");
  const [text, question, other] = [one.tokens.slice(0, 100), one.tokens.slice(100, 109), one.tokens.slice(40, 52)];
  const settings = { kv: KV, context: 256, chunk: CHUNK, sequences: 2 };
  const got = await call("askedTwice", source("llama-gqa-tied"), settings, { text, question, other, opening: OPENING });
  const options = { keep: KEEP, rows: CHUNK - 1, opening: got.opening };
  const choice = chosen(one, text, options);
  const asked = [...text, ...question];
  const first = zipReply(one.model, asked, 8, choice, text.length);
  const again = zipReply(one.model, [...text, ...other], 8, choice, text.length);
  const turn = [...text, ...other, ...again.tokens, ...question];
  const next = zipReply(one.model, turn, 8, choice, text.length);
  expect(got.replies.map(({ tokens }) => tokens)).toEqual([first.tokens, again.tokens, next.tokens]);
  expect(got.replies.map(({ reusedTokens }) => reusedTokens)).toEqual([100, 100, turn.length - question.length - 1]);
  expect(got.computedTokens).toBe(100);
  // What is stored is what stays: of each list 36 tokens in two pages, and the page at the end.
  const { G, L, E } = one.model.shape;
  expect(got.bytes).toBe(3 * L * G * 32 * 2 * E * 4);
  const held = (tokens: number) => ({ evictedTokens: 60, kvBytes: L * G * (tokens - 60) * 2 * E * 4 });
  expect(got.replies).toMatchObject([held(asked.length), held(100 + other.length), held(turn.length)]);
  const reopened = { tokens: first.tokens, reusedTokens: 100, ...held(asked.length) };
  expect(got.reopened).toEqual({ computedTokens: 0, ...reopened });
});

test("an abort at any time leaves the engine as it was; with keep=1 nothing is repeated or given up", async ({
  call,
}) => {
  const { tokens, golden } = toy("llama-gqa-tied");
  await call("open", "abort", source("llama-gqa-tied"), { kv: KV, context: 192, chunk: CHUNK, sequences: 1 });
  const want = await call("answer", "abort", job(tokens, 12));
  for (const abortAfter of [-1, 1, 4]) {
    const got = await call("answer", "abort", { ...job(tokens, 20), abortAfter });
    expect(got.finish).toBe("abort");
  }
  expect((await call("answer", "abort", job(tokens, 12))).tokens).toEqual(want.tokens);
  await call("close", "abort");
  await call("open", "all", source("llama-gqa-tied"), { kv: "f32+kvzip:keep=1", context: 192, chunk: CHUNK });
  const got = await call("answer", "all", job(golden.prompt, 24));
  expect(got.tokens).toEqual(golden.greedy.tokens);
  expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
  expect(got.evictedTokens).toBe(0);
  await call("close", "all");
});

// A part of the prompt together with a second tier that loses nothing: the same tokens as without the second tier.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { random } from "../../kernels/spec.ts";
import { createModel } from "../../reference.ts";
import { stridedReply } from "../strided/rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));
const variant = "llama-gqa-tied";
const golden = readGolden(variant);
const { config, tensors } = makeCheckpoint(variant);
const model = createModel(config, tensors);
const text = [...golden.prompt, ...golden.prompt.toReversed(), ...golden.prompt, ...golden.prompt.toReversed()];

test("a prompt that stays in part takes over no sealed blocks: nothing can be selected from them", async ({ call }) => {
  await call("open", "both", source(variant), { kv: "f32+strided+exact:recent=0", context: 512, chunk: 64 });
  const want = stridedReply(model, text, 24, 24);
  for (const first of [text, text.slice(0, 100), text.slice(0, 40), text]) {
    const got = await call("answer", "both", job(first, 8));
    expect(got.tokens).toEqual(stridedReply(model, first, 8, 24).tokens);
  }
  const got = await call("answer", "both", job(text, 24));
  expect(got.tokens).toEqual(want.tokens);
  expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(golden));
  await call("close", "both");
});

test("no block is sealed while a prompt that will be selected from holds it", async ({ call }) => {
  const kv = "f32+strided+exact:recent=60";
  await call("open", "shared", source(variant), { kv, context: 1024, chunk: 8, sequences: 2 });
  const start = text.slice(0, 32);
  await call("answer", "shared", job([...start, 9], 1)); // from now on both find the first block
  const [short, long] = [[...start, 7, 8], [...start, ...text, ...text.slice(5), ...text].slice(0, 500)];
  const got = await call("answers", "shared", [job(short, 90), job(long, 12)]); // the short one's block is old first
  expect(got[0]!.tokens).toEqual(stridedReply(model, short, 90, 24).tokens);
  expect(got[1]!.tokens).toEqual(stridedReply(model, long, 12, 24).tokens);
  expect(got.map(({ reusedTokens }) => reusedTokens)).toEqual([32, 32]);
  await call("close", "shared");
});

test("random conversations with common beginnings and aborts", async ({ call }) => {
  for (let seed = 0; seed < 3; seed++) {
    const uniform = random(700 + seed);
    const upTo = (most: number) => Math.floor(uniform() * most);
    const kv = `f32+strided+exact:recent=${upTo(50)}`;
    const settings = { context: 192 + 32 * upTo(4), chunk: [8, 24, 64][seed]!, sequences: 2 + upTo(2) };
    await call("open", "random", source(variant), { kv, ...settings });
    for (let round = 0; round < 3; round++) {
      const jobs = Array.from({ length: 3 }, () => {
        const own = Array.from({ length: upTo(12) }, () => 3 + upTo(100));
        return {
          tokens: [...text.slice(0, 1 + upTo(120)), ...own],
          count: 1 + upTo(30),
          abortAfter: [0, 0, 3][upTo(3)]!,
        };
      });
      const asked = jobs.map(({ tokens, count, abortAfter }) => ({ ...job(tokens, count), abortAfter }));
      for (const [i, { tokens }] of (await call("answers", "random", asked)).entries()) {
        const want = stridedReply(model, jobs[i]!.tokens, tokens.length, 24).tokens;
        expect(tokens, `seed ${seed}, round ${round}, job ${i}`).toEqual(want);
      }
    }
  }
  await call("close", "random");
});

for (const turned of ["llama-gqa-tied", "mistral", "qwen3", "llama-swiftkv-g3"]) {
  test(`${turned}: pages in another basis change no token`, async ({ call }) => {
    const own = readGolden(turned);
    for (const chunk of [64, 40]) {
      const kv = "f32+exact:recent=0,turned=1";
      const stats = await call("open", "turned", source(turned), { kv, context: 256, chunk });
      expect(stats.kvBytes).toBeGreaterThan(0);
      const got = await call("answer", "turned", job(own.prompt, own.greedy.tokens.length));
      expect(got.tokens).toEqual(own.greedy.tokens);
      expect(worst(got.logprobs, own.greedy.logprobs)).toBeLessThan(tolerance(own));
    }
    await call("close", "turned");
  });
}

// The narrow system on toy models against float64: pages change their format once all their tokens are old enough.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel, type HeadView, logSoftmax, type Model } from "../../reference.ts";
import { greedyReply } from "../greedy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

/** Attention where the first `sealed` slots have half of their key channels, and a bias. */
function attendNarrow({ query, keys, values, begin }: HeadView, sealed: number): Float64Array {
  const E = query.length;
  const scores = keys.slice(begin).map((key, i) => {
    const slot = begin + i;
    const channels = slot < sealed ? Array.from({ length: E / 2 }, (_, c) => 2 * c + (c % 2)) : [...key.keys()];
    const product = channels.reduce((sum, e) => sum + query[e]! * key[e]!, 0) / Math.sqrt(E);
    return product + (slot < sealed ? (slot % 32) % 5 : 0) * -0.125;
  });
  const weights = logSoftmax(Float64Array.from(scores)).map(Math.exp);
  return query.map((_, e) => weights.reduce((sum, weight, i) => sum + weight * values[begin + i]![e]!, 0));
}

/** Slots sealed before a step: whole pages of tokens older than `recent`, of `known` tokens. */
const sealedOf = (known: number, recent: number): number => Math.max(0, Math.floor((known - recent) / 32) * 32);

function greedy(
  model: Model,
  prompt: readonly number[],
  count: number,
  { chunk, recent }: { chunk: number; recent: number },
) {
  let sealed = 0;
  return greedyReply(model, prompt, count, {
    attendHead: (head) => attendNarrow(head, sealed),
    onStep: (known) => (sealed = sealedOf(known, recent)),
    chunk,
  });
}

for (const variant of ["llama-gqa-tied", "mistral", "llama-swiftkv-g3"] as const) {
  test(`${variant}: older pages in a format of their own`, async ({ call }) => {
    const golden = readGolden(variant);
    const { config, tensors } = makeCheckpoint(variant);
    const model = createModel(config, tensors);
    const prompt = [...golden.prompt, ...golden.prompt.toReversed(), ...golden.prompt.slice(7, 30)];
    for (const { recent, chunk } of [
      { recent: 16, chunk: 64 },
      { recent: 0, chunk: 40 },
    ]) {
      const stats = await call("open", "narrow", source(variant), {
        kv: `f32+narrow:recent=${recent}`,
        context: 256,
        chunk,
      });
      expect(stats.kvBytes).toBeGreaterThan(256 * stats.kvBytesPerToken);
      for (const tokens of [prompt, prompt.slice(0, 20)]) {
        const want = greedy(model, tokens, 70, { recent, chunk });
        const got = await call("answer", "narrow", job(tokens, 70));
        expect(got.tokens, `recent ${recent}, ${tokens.length} tokens`).toEqual(want.tokens);
        expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(golden));
      }
    }
    await call("close", "narrow");
  });
}

test("where every token is recent nothing changes", async ({ call }) => {
  const golden = readGolden("llama-gqa-tied");
  await call("open", "recent", source("llama-gqa-tied"), { kv: "f32+narrow:recent=256", context: 256 });
  const got = await call("answer", "recent", job(golden.prompt, 24));
  expect(got.tokens).toEqual(golden.greedy.tokens);
  expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
  await call("close", "recent");
});

test("a sealed beginning is shared, in whole blocks", async ({ call }) => {
  const variant = "llama-gqa-tied";
  const { prompt } = readGolden(variant);
  const long = [...prompt, ...prompt.toReversed(), ...prompt];
  await call("open", "shared", source(variant), { kv: "f32+narrow:recent=0", context: 512, chunk: 64, sequences: 4 });
  const first = await call("answer", "shared", job(long, 12));
  const again = await call("answer", "shared", job([...long.slice(0, 110), 7, 8], 12));
  expect(again.reusedTokens).toBe(96); // the fourth block shares 14 tokens, and cannot be gone on with
  expect((await call("answers", "shared", [job(long, 12), job(long, 12)])).map(({ tokens }) => tokens)).toEqual([
    first.tokens,
    first.tokens,
  ]);
  await call("close", "shared");
});

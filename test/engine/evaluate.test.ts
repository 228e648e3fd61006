// A given reply through the cache: the fake's logits are 1 at the token that it would have sampled, 0 elsewhere.
import { expect, test } from "playwright/test";
import type { TokenEngine } from "../../src/engine/engine.ts";
import { evaluate } from "../../src/engine/evaluate.ts";
import { collect, make, request, words } from "./drive.ts";
import { continuation, retainingPlan, tieredPlan } from "./fake.ts";

/** The tokens that would have been sampled, where `given` were instead, and the log-probabilities of those. */
async function evaluated(engine: TokenEngine, prompt: readonly number[], given: readonly number[]) {
  const wanted: number[] = [];
  const onLogits = (logits: Float32Array, index: number) => {
    expect(index).toBe(wanted.length);
    wanted.push(logits.indexOf(1));
  };
  const { logprobs } = await evaluate(engine, prompt, given, { onLogits });
  return { wanted, logprobs: [...logprobs] };
}

/** What would be sampled after each beginning of `given`. */
const expected = (prompt: readonly number[], given: readonly number[]): number[] =>
  given.map((_, i) => continuation([...prompt, ...given.slice(0, i)], 1, 97)[0]!);

test("the given tokens are run as if sampled, their likelihoods and logits come back in order", async () => {
  const { engine, model } = make();
  const [prompt, given] = [words(1, 40), words(2, 20)];
  const { wanted, logprobs } = await evaluated(engine, prompt, given);
  expect(wanted).toEqual(expected(prompt, given));
  expect(logprobs).toEqual(given.map((token) => -token));
  expect(model.batches.length).toBe(3 + 19); // chunks of 16, then a row for every token but the last
  expect(engine.freeBlocks).toBe(64);
});

test("a reply's own tokens meet the cache that generation has: compressed, sealed", async () => {
  const caches = [retainingPlan(16, 40, 4), tieredPlan(16, 6, 32)];
  for (const cache of caches) {
    const { engine } = make({ cache });
    const prompt = words(3, 120);
    const reply = continuation(prompt, 40, 97, undefined, cache);
    expect((await collect(engine, request(prompt, 40))).tokens).toEqual(reply);
    expect((await evaluated(engine, prompt, reply)).wanted).toEqual(reply);
  }
});

test("nothing is reused; what an evaluation computed can be", async () => {
  const { engine, model } = make();
  const [prompt, given] = [words(5, 64), words(6, 33)];
  const rows = (from: number) => model.batches.slice(from).reduce((sum, batch) => sum + batch.rows.length, 0);
  await evaluated(engine, prompt, given);
  const before = model.batches.length;
  await evaluated(engine, prompt, given);
  expect(rows(before)).toBe(64 + 32);
  const after = await collect(engine, request([...prompt, ...given], 10));
  expect(after.reusedTokens).toBe(96);
  expect(after.tokens).toEqual(continuation([...prompt, ...given], 10, 97));
});

test("evaluations and replies that exceed the cache together give what they give alone", async () => {
  const { engine } = make({ blocks: 6 });
  const texts = [7, 8, 9].map((seed) => ({ prompt: words(seed, 30), given: words(seed + 10, 80) }));
  const [reply, ...results] = await Promise.all([
    collect(engine, request(texts[0]!.prompt, 60)),
    ...texts.map(({ prompt, given }) => evaluated(engine, prompt, given)),
  ]);
  expect(reply.tokens).toEqual(continuation(texts[0]!.prompt, 60, 97));
  for (const [i, { prompt, given }] of texts.entries()) expect(results[i]!.wanted).toEqual(expected(prompt, given));
  expect(engine.preemptions).toBeGreaterThan(0);
});

test("ordinary requests ask for no logits", async () => {
  const { engine, model } = make();
  await collect(engine, request(words(1, 20), 5));
  await evaluate(engine, words(2, 20), words(3, 5), {});
  expect(model.batches.flatMap(({ logitRows }) => logitRows).filter(({ logits }) => logits)).toEqual([]);
});

test("what cannot be evaluated is refused; an abort and an error of the caller's own function end it alone", async () => {
  const { engine } = make({ blocks: 4 });
  await expect(evaluate(engine, [1], [], {})).rejects.toThrow(/^continuation: got no tokens, want at least 1/);
  await expect(evaluate(engine, [1], [2, 97], {})).rejects.toThrow(/^continuation: got token id 97/);
  await expect(evaluate(engine, words(1, 100), words(2, 29), {})).rejects.toThrow(
    /^continuation: got 29 tokens after 100, want at most 128 together/,
  );
  const onLogits = () => {
    throw new Error("of the caller");
  };
  const other = collect(engine, request(words(3, 20), 10));
  await expect(evaluate(engine, words(1, 20), words(2, 10), { onLogits })).rejects.toThrow("of the caller");
  expect((await other).tokens).toHaveLength(10);
  const controller = new AbortController();
  const stopped = evaluate(engine, words(1, 20), words(2, 50), {
    signal: controller.signal,
    onLogits: (_, index) => index === 3 && controller.abort(new Error("enough")),
  });
  await expect(stopped).rejects.toThrow("enough");
  expect(engine.freeBlocks).toBe(4);
});

// Real models as GGUFs of K types, against transformers on the weights that PyPI's `gguf` reads (golden/real.py).
// Minutes on a CPU adapter.
import { readFileSync } from "node:fs";
import { expect } from "playwright/test";
import { CODER, CODER_GGUF, GEMMA, GEMMA_GGUF, skipWithout } from "./material.ts";
import { test } from "./page.ts";

interface Case {
  name: string;
  text: string;
  prompt: number[];
  /** Greedy, with the distance of the best logit from the second. */
  tokens: number[];
  margins: number[];
  /** Of prompt and tokens, without the first. */
  logprobs: number[];
  /** How much the log-probabilities of transformers change when it rounds scales to f16, as the engine does. */
  rounding: number;
}

/**
 * What rounding scales does, and as much again for the order of sums: both move a log-probability, which is a difference
 * of two logits.
 */
const toleranceOf = ({ rounding }: Case): number => 2 * rounding;

/** Tokens up to the first that is not clear. */
const clearTokens = (item: Case): number[] => {
  const unclear = item.margins.findIndex((margin) => margin < 2 * toleranceOf(item));
  return unclear < 0 ? item.tokens : item.tokens.slice(0, unclear);
};

// Tokens of a step: each step is a sign of life, and comes within a minute on a CPU.
for (const [model, file, chunk] of [
  [GEMMA, GEMMA_GGUF, 64],
  [CODER, CODER_GGUF, 16],
] as const) {
  const golden = new URL(`golden/${model}.json`, import.meta.url);
  const { cases } = JSON.parse(readFileSync(golden, "utf8")) as { cases: Case[] };
  test.describe(model, () => {
    skipWithout(model, file);
    test.beforeAll(async ({ call }) => {
      await call("open", model, `/test-models/${model}/${file}`, { kv: "f32", context: 1024, chunk });
    });
    test.afterAll(({ call }) => call("close", model));

    for (const item of cases) {
      test(`${item.name}: token ids, log-probabilities, greedy tokens`, async ({ call }) => {
        const clear = clearTokens(item);
        const prompt = { text: item.text };
        const got = await call("answer", model, { prompt, options: { maxTokens: clear.length, ignoreEnd: true } });
        expect(got.promptTokens).toEqual(item.prompt);
        expect(got.tokens).toEqual(clear);
        const scores = (await call("score", model, [...item.prompt, ...item.tokens])).slice(1);
        const furthest = Math.max(...scores.map((value, index) => Math.abs(value - item.logprobs[index]!)));
        console.log(
          `${model}, ${item.name}: ${clear.length} clear tokens, log-probabilities off by ${furthest.toFixed(5)} at most`,
        );
        expect(furthest).toBeLessThan(toleranceOf(item));
      });
    }
  });
}

// The real chat model against an independent float64 run: shared by the quick and the long test.
import { readFileSync } from "node:fs";
import { expect } from "playwright/test";
import { folderHolding, skipWithout, SMOLLM2, SMOLLM2_GGUF } from "./material.ts";
import { test } from "./page.ts";

interface Case {
  name: string;
  text: string;
  prompt: number[];
  tokens: number[];
  first_top8: [number, number][];
  first_logsumexp: number;
  reply: string;
}

interface GoldenModel {
  cases: Case[];
  scoring: { tokens: number[]; nll: number[]; mean_nll: number };
}

/**
 * A logit is a sum of √-growing rounding errors through 30 layers: about layers · 2⁻²⁴ · √(widest sum) of the largest
 * logit (27) = 30 · 6e-8 · √1536 · 27 ≈ 1.9e-3 at worst.
 */
const TOLERANCE = 30 * 2 ** -24 * Math.sqrt(1536) * 27;

export function smollm2(title: string, wanted: (item: Case) => boolean, { score }: { score: boolean }): void {
  const folder = folderHolding(SMOLLM2, "golden.json");
  test.describe(`SmolLM2-135M-Instruct, ${title}`, () => {
    skipWithout(SMOLLM2, SMOLLM2_GGUF, "golden.json");
    const golden = folder
      ? (JSON.parse(readFileSync(`${folder}/golden.json`, "utf8")) as GoldenModel)
      : { cases: [], scoring: null! };

    test.beforeAll(async ({ call }) => {
      await call("open", "smollm2", `/test-models/${SMOLLM2}/${SMOLLM2_GGUF}`, { kv: "f32", context: 1024 });
    });
    test.afterAll(({ call }) => call("close", "smollm2"));

    for (const {
      name,
      text,
      prompt,
      tokens,
      first_top8: top,
      first_logsumexp: logsumexp,
      reply,
    } of golden.cases.filter(wanted)) {
      test(`${name}: greedy tokens, first logit`, async ({ call }) => {
        const got = await call("answer", "smollm2", {
          prompt: { tokens: prompt },
          options: { maxTokens: tokens.length, ignoreEnd: true },
        });
        expect(got.tokens).toEqual(tokens);
        expect(Math.abs(got.logprobs[0]! - (top[0]![1] - logsumexp))).toBeLessThan(TOLERANCE);
        expect(got.text.startsWith(reply.replace(/<\|im_end\|>$/, ""))).toBe(true);
        // The second most likely first token, asked for by name.
        const forced = await call("score", "smollm2", [...prompt, top[1]![0]]);
        expect(Math.abs(forced.at(-1)! - (top[1]![1] - logsumexp))).toBeLessThan(TOLERANCE);
        const again = await call("answer", "smollm2", { prompt: { text }, options: { maxTokens: 1 } });
        expect(again.promptTokens).toEqual(prompt);
      });
    }

    if (!score) return;
    test("mean negative log-likelihood of 512 tokens of WikiText", async ({ call }) => {
      const { tokens, nll, mean_nll: mean } = golden.scoring;
      const scores = (await call("score", "smollm2", tokens)).slice(1);
      expect(Math.abs(scores.reduce((sum, value) => sum - value, 0) / scores.length - mean)).toBeLessThan(1e-3);
      expect(Math.max(...scores.map((value, i) => Math.abs(-value - nll[i]!)))).toBeLessThan(2 * TOLERANCE);
    });
  });
}

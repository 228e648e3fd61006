// SmolLM2 after 4,096 tokens against golden.json: an implementation of its own in float64 (golden.py), with a singular value decomposition.
import { readFileSync } from "node:fs";
import { expect } from "playwright/test";
import { skipWithout, SMOLLM2, SMOLLM2_GGUF } from "../../material.ts";
import { test } from "../../page.ts";
import type { LongReply, LongSetting } from "./long.ts";

interface Golden extends LongReply {
  prompt: number[];
  reply: number[];
  /** By token of the reply: the logit by which it was ahead. */
  gaps: number[];
}

const SHAPE = {
  chunk: 8,
  outliers: 24,
  selected: 64,
  local: 32,
  reply: null,
  rank: 48,
  width: 192,
  keyBits: 16,
  valueBits: 16,
  host: null,
  group: 32,
} as const;
const RECIPE = "f32+shadow:budget=512,rank=48,values=f16";

/** Factors are stored as f16 and found by four rounds of iteration: a logit moves by less than this (docs/shadowkv.md). */
const CLOSE = 0.1;

/** Share of the chunks of `want` that `got` has too. */
function shared(got: number[][][], want: number[][][]): number {
  const [all, ours] = [want.flat(), got.flat()];
  const common = all.map((chunks, i) => chunks.filter((chunk) => ours[i]!.includes(chunk)).length);
  const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
  return sum(common) / sum(all.map(({ length }) => length));
}

test.describe("ShadowKV after 4,096 tokens", () => {
  skipWithout(SMOLLM2, SMOLLM2_GGUF);

  test("selects the chunks and says the tokens of float64", async ({ harness }) => {
    const golden = JSON.parse(readFileSync("test/kv/shadow/golden.json", "utf8")) as Golden;
    harness.on("console", (message) => console.log(message.text()));
    const model = `/test-models/${SMOLLM2}/${SMOLLM2_GGUF}`;
    const { prompt, reply, gaps } = golden;
    const setting: LongSetting = { model, recipe: RECIPE, shape: SHAPE, prompt, count: reply.length };
    const got = await harness.evaluate(async (given) => {
      const { longReply } = (await import("/test/kv/shadow/long.ts" as string)) as typeof import("./long.ts");
      return longReply(given, console.log);
    }, setting);
    const near = gaps.findIndex((gap) => gap < CLOSE);
    const sure = near < 0 ? reply.length : near;
    console.log(`${sure} tokens of ${reply.length} are sure; chunks in common ${shared(got.first, golden.first)} at the prompt's end, ${shared(got.last, golden.last)} at the reply's`); // prettier-ignore
    expect(got.tokens.slice(0, sure)).toEqual(reply.slice(0, sure));
    expect(shared(got.first, golden.first)).toBeGreaterThan(0.99);
    if (sure === reply.length) expect(shared(got.last, golden.last)).toBeGreaterThan(0.99);
    expect(sure).toBeGreaterThan(0);
  });
});

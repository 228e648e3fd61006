// Every way of keeping keys and values on families beside Llama, against float64.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { asGguf } from "./golden/gguf.ts";
import { job, source, testWith, worst } from "./golden/serve.ts";
import { kiviReply } from "./kv/kivi/rule.ts";
import { pyramidReply } from "./kv/pyramid/rule.ts";
import { shadowReply } from "./kv/shadow/rule.ts";
import { createModel, greedy, type Model } from "./reference.ts";

/** `name`, or `name@gguf`. */
export const test = testWith((name) =>
  name.endsWith("@gguf")
    ? new Map([["model.gguf", asGguf(name.slice(0, -5))]])
    : toFiles(makeCheckpoint(name), readGolden(name).dtype),
);

const TOKENS = 110;
const CONTEXT = 128; // the original context of phi3-short

const KIVI = { kbits: 8, vbits: 8, rotate: false, recent: 32, chunk: 64 };
const SHADOW = {
  chunk: 4,
  outliers: 3,
  selected: 4,
  local: 16,
  select: "layer",
  rank: 1024,
  stored: { keys: "f16", values: "f16" },
} as const;
const PYRAMID = { budget: 48, window: 8, beta: 4 };

/** A recipe, and the reference's reply with it. */
const RECIPES: readonly (readonly [kv: string, reply: (model: Model, tokens: readonly number[]) => number[]])[] = [
  ["int8", (model, tokens) => greedy(model, tokens, 12, { kv: "int8" }).tokens],
  ["f32+kivi:bits=8,recent=32", (model, tokens) => kiviReply(model, tokens, 12, KIVI).tokens],
  ["f32+pyramid:budget=48,window=8,beta=4", (model, tokens) => pyramidReply(model, tokens, 12, PYRAMID).tokens],
  [
    "f32+shadow:chunk=4,outliers=3,budget=16,local=16,values=f16,rank=full",
    (model, tokens) => shadowReply(model, tokens, 12, SHADOW).tokens,
  ],
];

export function recipes(variant: string): void {
  test(`${variant}: every recipe gives the reference's tokens`, async ({ call }) => {
    const { config, tensors } = makeCheckpoint(variant);
    const { prompt } = readGolden(variant);
    const model = createModel(config, tensors);
    const tokens = [...prompt, ...prompt.toReversed(), ...prompt].slice(0, TOKENS);
    for (const [kv, reply] of RECIPES) {
      await call("open", variant, source(variant), { kv, context: CONTEXT, chunk: 64 });
      expect((await call("answer", variant, job(tokens, 12))).tokens, kv).toEqual(reply(model, tokens));
    }
    await call("close", variant);
  });
}

/** What enters the last layer makes its keys and values without loss. */
export function calibrated(variant: string): void {
  test(`${variant} with a calibrated last layer: the log-probabilities of transformers`, async ({ call }) => {
    const { config, prompt, logprobs } = readGolden(variant);
    const [layers, V] = [Number(config.num_hidden_layers) - 1, Number(config.vocab_size)];
    const calibrate = Array.from({ length: 900 }, (_, i) => 3 + ((31 * i * i + 17 * i + (i >> 3)) % (V - 3)));
    await call("open", "dense", source(variant), { kv: "f32", context: 128, chunk: 64 });
    await call("twin", "student", "dense", { layers, group: 1 }, { calibrate, window: 50 });
    // f16 rounds each weight by 2⁻¹² of itself, as in calibration.test.ts.
    expect(worst(await call("score", "student", prompt), logprobs)).toBeLessThan(5e-3);
    for (const name of ["dense", "student"]) await call("close", name);
  });
}

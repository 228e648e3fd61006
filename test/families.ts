// Every way of keeping keys and values on families beside Llama, against float64.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { asGguf } from "./golden/gguf.ts";
import { job, source, testWith } from "./golden/serve.ts";
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
const SHADOW = { chunk: 4, outliers: 3, selected: 4, local: 16, select: "layer", rank: 1024, half: true } as const;
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

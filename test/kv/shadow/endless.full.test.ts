// 10,000 tokens of a reply on the GPU: each old page is stood for, in its place; and 500 random requests leave nothing behind.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { source, testWith } from "../../golden/serve.ts";
import { halfOf } from "../../kernels/matrix.ts";
import { random } from "../../kernels/spec.ts";
import { linear, rmsNorm, rotate } from "../../reference.ts";
import type { Endless, Wandering } from "./endless.ts";
import { toy } from "./toy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const VARIANT = "llama-gqa-tied";
const RECIPE = "f32+shadow:chunk=8,outliers=4,budget=64,local=32,reply=64,rank=full,values=f16";

type Page = typeof import("./endless.ts");

test("10,000 tokens after a prompt: factors, values and landmarks of all old pages are those of float64", async ({
  harness,
}) => {
  harness.on("console", (message) => console.log(message.text()));
  const { model, tokens: prompt } = toy(VARIANT);
  const { G, E, V, eps } = model.shape;
  const uniform = random(3);
  const forced = Array.from({ length: 10_000 }, () => Math.floor(uniform() * V));
  const options = { kv: RECIPE, context: 10_240, chunk: 64, reserve: 64 };
  const setting = { address: source(VARIANT), options, prompt, count: forced.length, forced };
  const { blocks, state, kvBytes } = (await harness.evaluate(async (given) => {
    const { endless } = (await import("/test/kv/shadow/endless.ts" as string)) as Page;
    return endless(given, console.log);
  }, setting)) as Endless;
  expect(blocks).toBeLessThanOrEqual(Math.ceil((64 + 1) / 32) + 3);
  console.log(`${kvBytes} bytes of cache`);
  // The last token has not been run; the page before it is given up once its tokens are more than 64 tokens old.
  const text = [...prompt, ...forced.slice(0, -1)];
  const old = 32 * Math.floor((text.length - 64 - 2) / 32);
  const width = G * E;
  const { factors, map, values, landmarks, tokens: room, chunks } = state!;
  const half = (word: number, i: number) => halfOf((word >>> (16 * i)) & 0xffff);
  const weight = (name: string) => model.tensors.get(`model.${name}.weight`)!;
  const table = weight("embed_tokens");
  const worst = { keys: 0, values: 0, landmarks: 0 };
  let sums = new Float64Array(width);
  for (let t = 0; t < old; t++) {
    const x = Float64Array.from(table.data.subarray(text[t]! * model.shape.D, (text[t]! + 1) * model.shape.D));
    const normed = rmsNorm(x, weight("layers.0.input_layernorm").data, eps);
    const key = linear(normed, weight("layers.0.self_attn.k_proj"));
    const value = linear(normed, weight("layers.0.self_attn.v_proj"));
    for (let c = 0; c < width; c++) {
      let [got, rounding] = [map[width * width + c]!, Math.abs(map[width * width + c]!) * 2 ** -20];
      for (let j = 0; j < width; j++) {
        const part = half(factors[(t * width + j) >> 1]!, j % 2) * map[j * width + c]!;
        got += part;
        rounding += Math.abs(part) * 2 ** -10;
      }
      worst.keys = Math.max(worst.keys, Math.abs(got - key[c]!) / (rounding + 1e-5));
      const [g, e] = [Math.floor(c / E), c % E];
      const kept = half(values[(g * room + t) * (E / 2) + (e >> 1)]!, e % 2);
      worst.values = Math.max(worst.values, Math.abs(kept - value[c]!) / (Math.abs(value[c]!) * 2 ** -10 + 1e-6));
    }
    for (let g = 0; g < G; g++) {
      const turned = rotate(key.slice(g * E, (g + 1) * E), t, model.shape.turns[0]!.frequencies);
      for (let e = 0; e < E; e++) sums[g * E + e]! += turned[e]! / 8;
    }
    if (t % 8 < 7) continue;
    for (let c = 0; c < width; c++) {
      const [g, e] = [Math.floor(c / E), c % E];
      const got = half(landmarks[(g * (E / 2) + (e >> 1)) * chunks + (t >> 3)]!, e % 2);
      worst.landmarks = Math.max(worst.landmarks, Math.abs(got - sums[c]!) / (Math.abs(sums[c]!) * 2 ** -10 + 1e-4));
    }
    sums = new Float64Array(width);
  }
  console.log(`errors in units of rounding: ${JSON.stringify(worst)}`);
  for (const each of Object.values(worst)) expect(each).toBeLessThan(1);
});

test("neutral settings: 1,000 tokens are those of the dense cache", async ({ harness }) => {
  const { tokens: prompt } = toy(VARIANT);
  const replies: Endless[] = [];
  for (const kv of ["f32", "f32+shadow:rank=full,budget=all"]) {
    const options = { kv, context: 1_280, chunk: 64, reserve: 64 };
    const setting = { address: source(VARIANT), options, prompt, count: 1_000, forced: null };
    const reply = await harness.evaluate(async (given) => {
      const { endless } = (await import("/test/kv/shadow/endless.ts" as string)) as Page;
      return endless(given, console.log);
    }, setting);
    replies.push(reply as Endless);
  }
  expect([replies[1]!.tokens, replies[1]!.logprobs]).toEqual([replies[0]!.tokens, replies[0]!.logprobs]);
});

test("500 random follow-ups, branches and aborts hold nothing afterwards, and reply as an engine that never branched", async ({
  harness,
}) => {
  harness.on("console", (message) => console.log(message.text()));
  const { model } = toy(VARIANT);
  // f32: the rounding of a key does not hang on what else is in a step.
  const kv = RECIPE.replace("f16+", "f32+").replace("budget=64", "budget=32").replace("reply=64", "reply=32");
  const options = { kv, context: 2_048, chunk: 64, reserve: 64, sequences: 3 };
  const setting = { address: source(VARIANT), options, vocabulary: model.shape.V, requests: 500 };
  const { counts, differing } = (await harness.evaluate(async (given) => {
    const { wander } = (await import("/test/kv/shadow/endless.ts" as string)) as Page;
    return wander(given, console.log);
  }, setting)) as Wandering;
  console.log(JSON.stringify(counts), JSON.stringify(differing));
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(40);
  expect(differing).toEqual([]);
});

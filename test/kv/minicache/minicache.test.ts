// MiniCache on toy models, ordinary and SwiftKV, against float64 with the same joint pages; what it costs, and whose pages are joined.
import { expect } from "playwright/test";
import { ordinaryLayout } from "../../../src/kv/layout.ts";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { sharedLayout } from "../../../src/kv/systems/kvsharer/map.ts";
import { twinsOf } from "../../../src/kv/systems/minicache/twins.ts";
import { layoutOf } from "../../../src/kv/systems/swiftkv/layout.ts";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { random } from "../../kernels/spec.ts";
import { createModel } from "../../reference.ts";
import { jointReply, type JointRule } from "./rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = golden;
  const tokens = [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 30)];
  return { golden, model: createModel(config, tensors), tokens };
}

const RULE: JointRule = { twins: [0], exact: 2, toward: 0.6, recent: 32, chunk: 64 };

/** What the reference says; no slot that stays is so near to one that does not that rounding could swap them. */
function expected(model: ReturnType<typeof toy>["model"], prompt: readonly number[], count: number, rule = RULE) {
  const reply = jointReply(model, prompt, count, rule);
  expect(reply.margin, "the angles of this prompt are too close to test with").toBeGreaterThan(1e-6);
  return reply;
}

for (const [variant, twins, lengths] of [
  ["qwen3", [0], [123, 20]],
  ["llama-gqa-tied", [0], [123]],
  ["llama-swiftkv", [0, 3], [123]],
] as const) {
  test(`${variant}: pages of neighbouring layers become one, those of the reply too`, async ({ call }) => {
    const { golden, model, tokens } = toy(variant);
    const kv = "f32+minicache:start=0";
    for (const length of lengths) {
      const prompt = tokens.slice(0, length);
      await call("open", "joint", source(variant), { kv, context: 256, chunk: 64 }); // a fresh one: no sealed block to find
      const want = expected(model, prompt, 50, { ...RULE, twins });
      const got = await call("answer", "joint", job(prompt, 50));
      expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
      const lost = worst(jointReply(model, prompt, 50, { ...RULE, twins, recent: 1e6 }).logprobs, want.logprobs);
      expect(lost).toBeGreaterThan(20 * tolerance(golden));
      // Sines that are 2⁻¹¹ off move a direction by as much.
      expect(worst(got.logprobs, want.logprobs)).toBeLessThan(lost / 50);
    }
    await call("close", "joint");
  });
}

test("where every slot stays, every token is recent, or there are no twins, nothing changes", async ({ call }) => {
  const { golden } = toy("qwen3");
  for (const kv of [
    "f32+minicache:start=0,keep=1",
    "f32+minicache:start=0,keep=0,recent=256",
    "f32+minicache:start=7",
  ]) {
    await call("open", "neutral", source("qwen3"), { kv, context: 256 });
    const got = await call("answer", "neutral", job(golden.prompt, golden.greedy.tokens.length));
    expect(got.tokens, kv).toEqual(golden.greedy.tokens);
    expect(worst(got.logprobs, golden.greedy.logprobs), kv).toBeLessThan(tolerance(golden));
  }
  await call("close", "neutral");
});

test("int8: where every slot stays, units are what they were", async ({ call }) => {
  const { tokens } = toy("qwen3");
  const reply = async (kv: string) => {
    await call("open", "units", source("qwen3"), { kv, context: 256, chunk: 64 });
    return await call("answer", "units", job(tokens, 30));
  };
  const [want, got] = [await reply("int8"), await reply("int8+minicache:start=0,keep=1")];
  expect(got.tokens).toEqual(want.tokens);
  expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(toy("qwen3").golden));
  await call("close", "units");
});

test("two replies at once, a common beginning, a second turn and aborts", async ({ call }) => {
  const { model, tokens } = toy("qwen3");
  const uniform = random(43);
  const upTo = (most: number) => Math.floor(uniform() * most);
  const kv = "f32+minicache:start=0";
  await call("open", "shared", source("qwen3"), { kv, context: 384, chunk: 64, sequences: 3 });
  const first = await call("answer", "shared", job(tokens, 20));
  expect(first.tokens).toEqual(expected(model, tokens, 20).tokens);
  const turn = [...tokens, ...first.tokens, ...tokens.slice(11, 40)];
  const second = await call("answer", "shared", job(turn, 12));
  expect(second.reusedTokens).toBe(142); // all that was computed, joint pages too
  // No common beginnings: a prompt goes on from joint pages that it finds.
  const prompts = Array.from({ length: 5 }, (_, i) => [3 + 7 * i, ...tokens.slice(upTo(9), 60 + upTo(60))]);
  const jobs = prompts.map((prompt) => ({ ...job(prompt, 4 + upTo(40)), abortAfter: [0, 0, 3][upTo(3)]! }));
  for (const [i, { tokens: got }] of (await call("answers", "shared", jobs)).entries())
    expect(got, `job ${i}`).toEqual(expected(model, prompts[i]!, got.length).tokens);
  await call("close", "shared");
});

test("bytes reported are those of the formula and those allocated", async ({ call }) => {
  const model = { hiddenSize: 576, layers: 30, heads: 9, kvHeads: 3, headWidth: 64, windows: Array<number>(30).fill(0), context: 8192, swiftkv: null }; // prettier-ignore
  const price = (kv: string) => parseRecipe(kv).price(model, 4096).kvBytesPerToken;
  // Layers 15 … 28 are seven twins, 29 is alone. Of 32 slots 2 stay: 34 rows of keys and of values, two magnitudes for each slot and layer.
  const joint = (34 * 2 * 128 + 2 * 32 * 4 + 16) / 32;
  const older = 3 * (16 * 256 + 7 * joint);
  expect(price("minicache")).toBe((4064 * older + 32 * 90 * 256) / 4096);
  expect(price("int4+minicache:start=0")).toBeLessThan(0.6 * price("int4"));
  const settings = { context: 512, chunk: 64, sequences: 1 };
  const [layers, rows] = [3, 32];
  const { kvBytes } = await call("open", "bytes", source("qwen3"), {
    kv: "f16+minicache:start=0,keep=0.1",
    ...settings,
  });
  const { head_dim: width, num_key_value_heads: heads } = readGolden("qwen3").config as Record<string, number>;
  const page = rows * 2 * width! * 2;
  const twins = 36 * 2 * width! * 2 + 2 * rows * 4 + 16;
  expect(kvBytes).toBe(heads! * ((2 * 2 + 1 + 3) * layers * page + (512 / 32) * (page + twins)));
  await call("close", "bytes");
});

test("which layers are twins: neighbours that own what they read, and see alike", () => {
  const alike = Array<number>(9).fill(0);
  expect(twinsOf(ordinaryLayout(9), alike, 4)).toEqual([4, 6]);
  expect(twinsOf(ordinaryLayout(4), [0, 8, 8, 0], 0)).toEqual([1]);
  expect(twinsOf(ordinaryLayout(4), alike, 4)).toEqual([]);
  // Stores of layers 0, 1, 3, 4, 5; layer 2 reads those of 1.
  expect(twinsOf(sharedLayout(ordinaryLayout(6), [0, 1, 1, 3, 4, 5]), alike, 0)).toEqual([2]);
  // Three layers of their own; of the others each, or each two, reads a store that one projection fills.
  expect(twinsOf(layoutOf(9, { layers: 3, group: 1 }), alike, 0)).toEqual([0, 3, 5, 7]);
  expect(twinsOf(layoutOf(9, { layers: 3, group: 2 }), alike, 0)).toEqual([0]);
});

test("what it cannot do is refused", () => {
  expect(() => parseRecipe("minicache:start=late")).toThrow(
    "kv: minicache:start; got late, want a whole number from 0 to 1024 or middle.",
  );
  for (const other of ["kivi:bits=4", "think", "shadow"])
    expect(() => parseRecipe(`minicache+${other}`)).toThrow(/cannot go together/);
  expect(parseRecipe("minicache").toString()).toBe("minicache:start=middle,keep=0.05,toward=0.6,recent=32");
});

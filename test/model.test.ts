// Models against Hugging Face transformers: every architecture variant from its seeded checkpoint, then real weights.
import { readFileSync } from "node:fs";
import { expect } from "playwright/test";
import { type Checkpoint, makeCheckpoint, readGolden, VARIANTS } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "./golden/serve.ts";
import type { Job } from "./harness.ts";
import { folderHolding, skipWithout, STORIES } from "./material.ts";
import type { Call } from "./page.ts";
import { createModel, greedy, score, type Tensors } from "./reference.ts";

/** `name`, or `name@bits` for its quantised twin. */
function filesOf(name: string): Map<string, Uint8Array> {
  const [variant, bits] = name.split("@");
  return bits
    ? toFiles(quantised(variant!, Number(bits)), "F32")
    : toFiles(makeCheckpoint(name), readGolden(name).dtype);
}

const test = testWith(filesOf);
test.describe.configure({ mode: "parallel" });

for (const variant of VARIANTS) {
  test(`${variant}: tokens and log-probabilities of transformers`, async ({ call }) => {
    const golden = readGolden(variant);
    await call("open", variant, source(variant), { kv: "f32", context: 96 });
    const got = await call("answer", variant, job(golden.prompt, golden.greedy.tokens.length));
    expect(got.tokens).toEqual(golden.greedy.tokens);
    expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
    expect(worst(await call("score", variant, golden.prompt), golden.logprobs)).toBeLessThan(tolerance(golden));
    await call("close", variant);
  });
}

test("prompt chunks of 1, 7, 32 and 64 tokens give what one shot gives", async ({ call }) => {
  for (const variant of ["llama-gqa-tied", "mistral"]) {
    const golden = readGolden(variant);
    for (const chunk of [1, 7, 32, 64]) {
      await call("open", "chunked", source(variant), { kv: "f32", context: 96, chunk });
      const got = await call("answer", "chunked", job(golden.prompt, 24));
      expect(got.tokens, `${variant}, chunk ${chunk}`).toEqual(golden.greedy.tokens);
      expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
    }
  }
  await call("close", "chunked");
});

test("four replies in one batch, prefix reuse and abort change no token", async ({ call }) => {
  const golden = readGolden("qwen3");
  const prompts = [golden.prompt, golden.prompt.slice(0, 20), golden.prompt.slice(10), golden.prompt.slice(0, 33)];
  await call("open", "batch", source("qwen3"), { kv: "f32", context: 512, sequences: 4, chunk: 32 });
  const singles = [];
  for (const prompt of prompts) {
    await call("open", "single", source("qwen3"), { kv: "f32", context: 96 });
    singles.push(await call("answer", "single", job(prompt, 24)));
  }
  const batch = await call(
    "answers",
    "batch",
    prompts.map((prompt) => job(prompt, 24)),
  );
  expect(batch.map(({ tokens }) => tokens)).toEqual(singles.map(({ tokens }) => tokens));
  const again = await call("answer", "batch", job(golden.prompt, 24));
  expect(again.reusedTokens).toBe(49);
  expect(again.tokens).toEqual(golden.greedy.tokens);
  for (const abortAfter of [-1, -2, 1, 2, 5]) {
    const aborted = await call("answer", "batch", {
      ...job([...golden.prompt, 7, 8, 9, abortAfter + 20], 40),
      abortAfter,
    });
    expect(aborted.finish).toBe("abort");
  }
  expect((await call("answer", "batch", job(golden.prompt, 24))).tokens).toEqual(golden.greedy.tokens);
  for (const name of ["batch", "single"]) await call("close", name);
});

test("a decoded token costs one submit, one readback of 8 bytes, and makes no GPU object", async ({ call }) => {
  const golden = readGolden("llama3");
  await call("open", "counts", source("llama3"), { context: 256 });
  await call("answer", "counts", job(golden.prompt.slice(0, 5), 4)); // everything has been built once
  const before = await call("stats", "counts");
  await call("answer", "counts", job([3, ...golden.prompt.slice(0, 5)], 26));
  const after = await call("stats", "counts");
  const per = (name: "submits" | "readbacks" | "readbackBytes" | "objectsCreated" | "dispatches") =>
    after[name] - before[name];
  expect({
    submits: per("submits"),
    readbacks: per("readbacks"),
    bytes: per("readbackBytes"),
    objects: per("objectsCreated"),
  }).toEqual({
    submits: 26, // the prompt's six tokens are one step, then twenty-five
    readbacks: 26,
    bytes: 26 * 8,
    objects: 0,
  });
  // embed; per layer: heads, attention (one page: nothing to merge), output, gate·up, down; norm, logits, two for sampling
  expect(per("dispatches")).toBe(26 * (1 + 3 * 5 + 4));
  await call("close", "counts");
});

test("requests with penalties and biases cost one submit per step too, several that enter at once included", async ({
  call,
}) => {
  const golden = readGolden("llama3");
  const options = { repetitionPenalty: 1.3, presencePenalty: 0.2, logitBias: { 5: 1 } };
  const jobs = [0, 1, 2].map((i) => job([3 + i, ...golden.prompt.slice(0, 5)], 12, options));
  await call("open", "counts", source("llama3"), { context: 256 });
  await call("answers", "counts", jobs); // everything has been built once
  const before = await call("stats", "counts");
  await call("answer", "counts", job([9, ...golden.prompt.slice(0, 5)], 26, options));
  const middle = await call("stats", "counts");
  expect(middle.submits - before.submits).toBe(26);
  expect(middle.objectsCreated - before.objectsCreated).toBe(0);
  await call(
    "answers",
    "counts",
    jobs.map(({ prompt, options: asked }) => ({ prompt, options: { ...asked, frequencyPenalty: 0.1 } })),
  );
  const after = await call("stats", "counts");
  expect(after.submits - middle.submits).toBe(after.readbacks - middle.readbacks); // every step samples: prompts are short
  await call("close", "counts");
});

test("replies that exceed the context together give the tokens they give alone, with noise, penalties and biases", async ({
  call,
}) => {
  const golden = readGolden("llama3");
  const sampling = { temperature: 0.7, topK: 40, repetitionPenalty: 1.1, presencePenalty: 0.2, logitBias: { 5: 1 } };
  const jobs = [0, 1].map((i) => job([3 + i, ...golden.prompt.slice(0, 5)], 100, { ...sampling, seed: 40 + i }));
  const alone = [];
  for (const each of jobs) {
    await call("open", "crowded", source("llama3"), { kv: "f32", context: 128 });
    alone.push((await call("answer", "crowded", each)).tokens);
  }
  await call("open", "crowded", source("llama3"), { kv: "f32", context: 128 });
  const before = await call("stats", "crowded");
  const together = await call("answers", "crowded", jobs);
  const after = await call("stats", "crowded");
  expect(together.map(({ tokens }) => tokens)).toEqual(alone);
  // Both ran at once for a while, as 2 × 106 tokens do not fit into 128 and waiting alone would take 200 steps.
  expect(after.submits - before.submits).toBeLessThan(200);
  await call("close", "crowded");
});

test("a second engine on a device compiles nothing, whichever model of the shape it runs, and however long its context is", async ({
  call,
}) => {
  const { prompt } = readGolden("llama3");
  const compiledFor = async (model: string, context = 96): Promise<number> => {
    const before = await call("pipelinesCompiled");
    await call("open", model, source(model), { kv: "f32", context });
    await call("answer", model, job(prompt, 4));
    return (await call("pipelinesCompiled")) - before;
  };
  await compiledFor("llama3");
  expect(await compiledFor("llama3-parameters")).toBe(0);
  expect(await compiledFor("llama3", 1024)).toBe(0);
  for (const name of ["llama3", "llama3-parameters"]) await call("close", name);
});

test("f16 keys and values give the tokens of the reference with f16 keys and values", async ({ call }) => {
  for (const variant of ["llama-gqa-tied", "qwen2"]) {
    const { config, tensors } = makeCheckpoint(variant);
    const { prompt } = readGolden(variant);
    const want = greedy(createModel(config, tensors), prompt, 24, { kv: "f16" });
    const stats = await call("open", "half", source(variant), { kv: "f16", context: 256 });
    expect(stats.kvBytes).toBe(256 * stats.kvBytesPerToken);
    const got = await call("answer", "half", job(prompt, 24));
    expect(got.tokens).toEqual(want.tokens);
  }
  await call("close", "half");
});

for (const [kv, bytesPerHead] of [
  ["int8", (E: number) => 2 * E + 8],
  ["int4", (E: number) => E + 8],
] as const) {
  test(`${kv} keys and values: tokens of the reference with the same rounding`, async ({ call }) => {
    for (const variant of ["qwen3", "mistral"]) {
      const { config, tensors } = makeCheckpoint(variant);
      const golden = readGolden(variant);
      const model = createModel(config, tensors);
      const stats = await call("open", "bytes", source(variant), { kv, context: 256 });
      const { E, G, L } = model.shape;
      expect(stats.kvBytesPerToken).toBe(L * G * bytesPerHead(E));
      expect(stats.kvBytes).toBe(256 * stats.kvBytesPerToken);
      for (const prompt of [golden.prompt, golden.prompt.slice(0, 7)]) {
        const want = greedy(model, prompt, 24, { kv });
        const got = await call("answer", "bytes", job(prompt, 24));
        expect(got.tokens, variant).toEqual(want.tokens);
      }
    }
    await call("close", "bytes");
  });
}

test("a cache larger than a buffer lies in several, and gives the same tokens", async ({ call }) => {
  const golden = readGolden("llama-linear");
  await call("open", "parts", source("llama-linear"), { kv: "f32", context: 256, arenaBytes: 4096 });
  expect((await call("answer", "parts", job(golden.prompt, 24))).tokens).toEqual(golden.greedy.tokens);
  await call("close", "parts");
});

interface RealCase {
  name: string;
  text?: string;
  prompt: number[];
  tokens: number[];
  first_top8?: [number, number][];
  first_logsumexp?: number;
  reply?: string;
}

async function checkCases(call: Call, name: string, cases: readonly RealCase[]): Promise<void> {
  for (const { name: label, prompt, tokens, text, first_top8: top, first_logsumexp: logsumexp } of cases) {
    const got = await call("answer", name, job(prompt, tokens.length));
    expect(got.tokens, label).toEqual(tokens);
    if (top && logsumexp !== undefined)
      expect(Math.abs(got.logprobs[0]! - (top[0]![1] - logsumexp)), label).toBeLessThan(1e-3);
    if (text === undefined) continue;
    const again = await call("answer", name, { prompt: { text }, options: { maxTokens: 1 } });
    expect(again.promptTokens, label).toEqual(prompt);
  }
}

test("Fable: golden tokens, f32 keys and values", async ({ call }) => {
  const { cases } = JSON.parse(readFileSync("demo/models/fable/golden.json", "utf8")) as { cases: RealCase[] };
  await call("open", "fable", "/demo/models/fable/", { kv: "f32" });
  await checkCases(call, "fable", cases);
  await call("close", "fable");
});

test("an adapter without subgroups gives the same tokens and log-probabilities", async ({ call }) => {
  const golden = readGolden("llama-f16");
  await call("open", "plain", source("llama-f16"), { kv: "f32", context: 96, plain: true });
  const got = await call("answer", "plain", job(golden.prompt, golden.greedy.tokens.length));
  expect(got.tokens).toEqual(golden.greedy.tokens);
  expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
  expect(worst(await call("score", "plain", golden.prompt), golden.logprobs)).toBeLessThan(tolerance(golden));
  await call("close", "plain");
});

test("stories260K: 256 golden tokens in f32, the first 60 with f16 keys and values", async ({ call }) => {
  skipWithout(STORIES, "golden.json", "model.safetensors");
  const folder = folderHolding(STORIES, "golden.json");
  const golden = JSON.parse(readFileSync(`${folder}/golden.json`, "utf8")) as { tokens: number[] };
  const [first, ...rest] = golden.tokens;
  await call("open", "stories", "/test-models/stories260K/", { kv: "f32" });
  expect((await call("answer", "stories", job([first!], 256))).tokens).toEqual(rest);
  await call("open", "stories", "/test-models/stories260K/", { kv: "f16" });
  expect((await call("answer", "stories", job([first!], 60))).tokens).toEqual(rest.slice(0, 60));
  await call("close", "stories");
});

test("sampling: a seed gives the same reply, another seed another; penalties and bias act; log-probabilities stay raw", async ({
  call,
}) => {
  await call("open", "fable", "/demo/models/fable/", { kv: "f32", context: 512 });
  const reply = (options: Job["options"]) =>
    call("answer", "fable", {
      prompt: { messages: [{ role: "user", content: "Tell me a story." }] },
      options: { maxTokens: 24, ...options },
    });
  const drawn = { temperature: 1, topK: 40, topP: 0.95, minP: 0.02 };
  const [first, again, other] = [
    await reply({ ...drawn, seed: 1 }),
    await reply({ ...drawn, seed: 1 }),
    await reply({ ...drawn, seed: 2 }),
  ];
  expect(again.tokens).toEqual(first.tokens);
  expect(other.tokens).not.toEqual(first.tokens);
  const plain = await reply({});
  const scores = await call("score", "fable", [...plain.promptTokens, ...plain.tokens]);
  expect(worst(plain.logprobs, scores.slice(plain.promptTokens.length))).toBeLessThan(1e-4);
  const banned = await reply({ logitBias: { [plain.tokens[0]!]: -100 } });
  expect(banned.tokens).not.toContain(plain.tokens[0]);
  const varied = await reply({ repetitionPenalty: 5, frequencyPenalty: 2, presencePenalty: 2 });
  expect(new Set(varied.tokens).size).toBe(varied.tokens.length);
  expect((await reply({})).tokens).toEqual(plain.tokens);
  // What the penalties count of the prompt does not depend on how the prompt was cut.
  await call("open", "fable", "/demo/models/fable/", { kv: "f32", context: 512, chunk: 4 });
  expect((await reply({ repetitionPenalty: 5, frequencyPenalty: 2, presencePenalty: 2 })).tokens).toEqual(
    varied.tokens,
  );
  await call("close", "fable");
});

test("stop strings end a reply across token borders and are not part of it", async ({ call }) => {
  await call("open", "fable", "/demo/models/fable/", { kv: "f32", context: 512 });
  const prompt = { messages: [{ role: "user", content: "Tell me a story about a cat and a box." }] };
  const whole = await call("answer", "fable", { prompt, options: { maxTokens: 40 } });
  const stop = whole.text.slice(30, 37);
  const cut = await call("answer", "fable", { prompt, options: { maxTokens: 40, stop: [stop] } });
  expect(cut.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
  expect(cut.finish).toBe("stop");
  await call("close", "fable");
});

test("bad options and prompts that do not fit are refused with one clear sentence", async ({ call }) => {
  await call("open", "small", source("llama"), { kv: "f32", context: 64 });
  const refuse = (prompt: Job["prompt"], options: Job["options"], message: RegExp) =>
    expect(call("answer", "small", { prompt, options: options ?? {} })).rejects.toThrow(message);
  await refuse(
    { tokens: Array.from({ length: 64 }, () => 5) },
    {},
    /InputError: prompt: got 64 tokens, want at most 63/,
  );
  await refuse({ text: "a" }, { temperature: -1 }, /InputError: temperature: got -1/);
  await refuse({ text: "a" }, { topP: 2 }, /InputError: topP: got 2/);
  await refuse({ text: "a" }, { maxTokens: 0 }, /InputError: maxTokens: got 0/);
  await refuse({ text: "" }, {}, /InputError: prompt: got no tokens/);
  await expect(call("open", "bad", source("llama"), { context: 1 })).rejects.toThrow(/InputError: context: got 1/);
  await expect(call("open", "bad", "/demo/models/nowhere/", {})).rejects.toThrow(/ModelError/);
  await call("close", "small");
});

test("quantised while loading: the reference on the same weights", async ({ call }) => {
  const { prompt } = readGolden("llama-blocks");
  for (const [weights, bits] of [
    ["q8", 8],
    ["q4", 4],
  ] as const) {
    const { config, tensors } = quantised("llama-blocks", bits);
    const want = score(createModel(config, tensors), prompt);
    const stats = await call("open", "packed", `/golden/llama-blocks@${bits}/`, { kv: "f32", context: 256, weights });
    const got = await call("score", "packed", prompt);
    expect(worst(got.slice(1), Array.from(want.subarray(1))), weights).toBeLessThan(
      tolerance(readGolden("llama-blocks")),
    );
    expect(stats.weightBytes).toBeLessThan(parametersOf(tensors) * (bits / 8 + 4 / 32) * 1.2);
  }
  await call("close", "packed");
});

const parametersOf = (tensors: Tensors): number =>
  [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);

/**
 * The variant with every matrix rounded to what `bits` can hold. Quantising it again finds the same steps: no value lies
 * near the border of two, where a GPU's division may fall to either side.
 */
function quantised(variant: string, bits: number): Checkpoint {
  const { config, tensors } = makeCheckpoint(variant);
  const round = ({ shape, data }: { shape: number[]; data: Float32Array }) => ({
    shape,
    data: shape.length === 2 ? quantise(data, bits) : data,
  });
  return { config, tensors: new Map([...tensors].map(([name, tensor]) => [name, round(tensor)])) };
}

/** Groups of 32: scale and minimum rounded to f16 first, then the values to the nearest step. */
function quantise(data: ArrayLike<number>, bits: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let first = 0; first < data.length; first += 32) {
    const group = Array.from({ length: 32 }, (_, i) => data[first + i]!);
    const low = Math.min(...group);
    const minimum = half(low);
    const scale = half((Math.max(...group) - low) / (2 ** bits - 1));
    for (const [i, value] of group.entries()) {
      const step = Math.min(2 ** bits - 1, Math.max(0, Math.round(Math.fround(Math.fround(value - minimum) / scale))));
      out[first + i] = scale * step + minimum;
    }
  }
  return out;
}

/** Nearest f16. */
function half(value: number): number {
  if (value === 0) return 0;
  const exponent = Math.max(-14, Math.floor(Math.log2(Math.abs(value))));
  const unit = 2 ** (exponent - 10);
  const steps = value / unit;
  const low = Math.floor(steps);
  const rest = steps - low;
  return (rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low) * unit;
}

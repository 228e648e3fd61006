// KVSharer on toy models, ordinary and SwiftKV, against float64 in which layers read another one's keys and values.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { byDistance } from "../../../src/load/shares.ts";
import { attendOne, createCache, createModel, forward, type HeadView, type Model } from "../../reference.ts";
import { greedyReply } from "../greedy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = golden;
  return { golden, model: createModel(config, tensors), tokens: [...prompt, ...prompt.toReversed()] };
}

/** `shares`: layer → the layer whose keys and values it reads. The layer before has run when it does. */
function sharedReply(model: Model, prompt: readonly number[], count: number, shares: Readonly<Record<number, number>>) {
  const seen = new Map<string, Pick<HeadView, "keys" | "values">>();
  const attendHead = ({ query, keys, values, owner, group, position, begin }: HeadView) => {
    seen.set(`${owner}.${group}`, { keys, values });
    const read = seen.get(`${shares[owner] ?? owner}.${group}`)!;
    return attendOne(query, read.keys.slice(begin, position + 1), read.values.slice(begin, position + 1));
  };
  return greedyReply(model, prompt, count, { attendHead });
}

for (const [variant, map, shares] of [
  ["qwen3", "2-0", { 2: 0 }],
  ["llama-swiftkv-g3", "1-0", { 1: 0 }],
  ["olmo2", "1-0", { 1: 0 }],
] as const) {
  test(`${variant}: layers read another one's keys and values, and make none`, async ({ call }) => {
    const { golden, model, tokens } = toy(variant);
    const settings = { context: 256, chunk: 40, sequences: 2 };
    const dense = await call("open", "shared", source(variant), { kv: "f32", ...settings });
    const stats = await call("open", "shared", source(variant), { kv: `f32+kvsharer:map=${map}`, ...settings });
    const { L, ownLayers, groupSize } = model.shape;
    const stores = ownLayers + (L - ownLayers) / groupSize;
    expect(stats.kvBytes / dense.kvBytes).toBeCloseTo((stores - 1) / stores, 10);
    for (const length of [tokens.length, 9]) {
      const prompt = tokens.slice(0, length);
      const want = sharedReply(model, prompt, 24, shares);
      const got = await call("answer", "shared", job(prompt, 24));
      expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
      expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(golden));
    }
    const text = [...tokens.slice(0, 70), 5, 6];
    const again = await call("answers", "shared", [job(text, 8), { ...job(tokens, 30), abortAfter: 2 }]);
    expect(again[0]!.tokens).toEqual(sharedReply(model, text, 8, shares).tokens);
    expect(again[0]!.reusedTokens).toBeGreaterThanOrEqual(64);
    await call("close", "shared");
  });
}

test("a map that shares nothing changes nothing", async ({ call }) => {
  const { golden } = toy("qwen3");
  await call("open", "none", source("qwen3"), { kv: "f32+kvsharer:map=none", context: 256 });
  const got = await call("answer", "none", job(golden.prompt, golden.greedy.tokens.length));
  expect(got.tokens).toEqual(golden.greedy.tokens);
  expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
  await call("close", "none");
});

/** What a text of 64 tokens leaves in each layer of the reference. */
function statesOf(model: Model, windows: readonly (readonly number[])[]) {
  const caches = windows.map((window) => {
    const cache = createCache(model);
    forward(model, window, cache, { rows: "all" });
    return cache;
  });
  const flat = (rows: readonly Float64Array[]) => Float32Array.from(rows.flatMap((row) => [...row]));
  return (["keys", "values"] as const).map((kind) => caches.map((cache) => cache[kind].map(flat)));
}

test("the search tries the most different layers first, and keeps those that leave the model's direction", async ({
  call,
}) => {
  const { model, tokens } = toy("qwen3");
  const windows = [tokens.slice(0, 64), tokens.slice(20, 84)];
  const [keys, values] = statesOf(model, windows);
  const want = byDistance(keys!, values!, model.shape.E);
  await call("open", "search", source("qwen3"), { kv: "f16", context: 128 });
  const options = { layers: 2, texts: windows.flat() };
  const all = await call("shareLayers", "search", { ...options, cosine: -1 });
  const readers = want.filter(({ reader }, i) => want.findIndex((each) => each.reader === reader) === i).slice(0, 2);
  expect(all.pairs.map(({ reader, owner }) => [reader, owner])).toEqual(
    readers.map(({ reader, owner }) => [reader, owner]),
  );
  for (const [i, { distance, cosine }] of all.pairs.entries()) {
    expect(Math.abs(distance / readers[i]!.distance - 1)).toBeLessThan(1e-5);
    expect(cosine).toBeLessThan(0.9999);
  }
  expect(all).toMatchObject({ layers: 3, tokens: 128, map: "1-0/2-0" });
  const none = await call("shareLayers", "search", { ...options, cosine: 0.9999 });
  expect(none).toMatchObject({ map: "none", pairs: [], tried: [0, 1, 2] });
  await expect(call("shareLayers", "search", { ...options, layers: 3 })).rejects.toThrow(
    /InputError: share: layers; got 3, want a whole number from 1 to 2/,
  );
  await expect(call("shareLayers", "search", { ...options, texts: [1, 2, 3] })).rejects.toThrow(
    /InputError: share: too short/,
  );
  expect((await call("answer", "search", job(tokens, 4))).tokens.length).toBe(4); // the engine itself is as it was
  await call("close", "search");
});

test("a map of another model is refused", async ({ call }) => {
  const opened = call("open", "other", source("qwen3"), { kv: "kvsharer:map=30-2", context: 256 });
  await expect(opened).rejects.toThrow(/InputError: kv: kvsharer:map; got 30-2, want layers below/);
});

// Prompts of SwiftKV students that are streamed past the boundary: the same replies from fewer bytes.
import { expect } from "playwright/test";
import type { KvModel } from "../../../src/api.ts";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { continuingRows } from "../../../src/model/step.ts";
import { expected, toy } from "./toy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const VARIANT = "llama-swiftkv"; // L 6, K 3: three later stores
const SHADOW = "shadow:chunk=4,outliers=3,budget=16,local=16,values=f16";
const RULE = { chunk: 4, outliers: 3, selected: 4, local: 16, rank: 8, select: "layer" } as const;

const OPTIONS = { context: 256, chunk: 64 };
/** Rows of a prompt that CPU adapters take one by one, at most. */
const MOST_SHORT = 40;

test("streamed replies are those of the reference; only the first token's sums are in another order than with whole prompts", async ({
  call,
}) => {
  const one = toy(VARIANT);
  const kv = `f32+${SHADOW},rank=8`;
  const settings = { ...OPTIONS, chunk: 96, sequences: 2 };
  await call("open", "streamed", source(VARIANT), { kv, ...settings });
  await call("open", "whole", source(VARIANT), { kv: `${kv},stream=off`, ...settings });
  const prompts = expected(one, 16, RULE);
  let compared = 0;
  for (const { prompt, ...want } of prompts) {
    const got = await call("answer", "streamed", job(prompt, 16));
    expect(got.tokens, `${prompt.length} tokens`).toEqual(want.tokens);
    expect(worst(got.logprobs, want.logprobs)).toBeLessThan(want.allowed);
    const whole = await call("answer", "whole", job(prompt, 16));
    // Few rows at a prompt's end, or behind a beginning that is found, go through other kernels where it is not streamed.
    const isWide = whole.reusedTokens === 0 && prompt.length % settings.chunk > MOST_SHORT;
    if (isWide) expect(got.logprobs.slice(1)).toEqual(whole.logprobs.slice(1));
    compared += isWide ? 1 : 0;
    expect(whole.tokens).toEqual(got.tokens);
  }
  expect(compared).toBeGreaterThan(0);
  expect((await call("stats", "streamed")).kvPeakBytes).toBeLessThan((await call("stats", "whole")).kvPeakBytes);
  // One that stays whole and its reply, and what comes after a reply: found in the blocks, made anew from them.
  const beginning = one.tokens.slice(3, 43);
  const short = await call("answer", "streamed", job(beginning, 40));
  expect(short.tokens).toEqual((await call("answer", "whole", job(beginning, 40))).tokens);
  const next = [...beginning, ...short.tokens, ...one.tokens.slice(11, 90)];
  const [again, same] = [await call("answer", "streamed", job(next, 12)), await call("answer", "whole", job(next, 12))];
  expect(again.reusedTokens).toBeGreaterThanOrEqual(64);
  expect(again.tokens).toEqual(same.tokens);
  // Two at once, one of which stops early, and a step makes no GPU object.
  const jobs = prompts.map(({ prompt }) => job(prompt, 16));
  await call("answers", "streamed", jobs);
  await call("answers", "streamed", [jobs[0]!, { ...jobs[1]!, abortAfter: 5 }]);
  const before = (await call("stats", "streamed")).objectsCreated;
  const both = await call("answers", "streamed", [jobs[0]!, { ...jobs[1]!, abortAfter: 5 }]);
  expect(both[0]!.tokens).toEqual(prompts[0]!.tokens);
  expect(both[1]!.tokens).toEqual(prompts[1]!.tokens.slice(0, both[1]!.tokens.length));
  expect((await call("stats", "streamed")).objectsCreated).toBe(before);
  for (const name of ["streamed", "whole"]) await call("close", name);
});

test("values in JavaScript's memory: streamed replies, long ones and later turns are those of whole prompts", async ({
  call,
}) => {
  const { tokens, golden } = toy(VARIANT);
  const kv = "f32+shadow:chunk=4,outliers=3,budget=16,local=16,rank=8,reply=16,values=host";
  const replies = [];
  for (const each of [kv, `${kv},stream=off`]) {
    await call("open", "host", source(VARIANT), { kv: each, ...OPTIONS, sequences: 1 });
    const first = await call("answer", "host", job(tokens.slice(0, 120), 40));
    const next = [...tokens.slice(0, 120), ...first.tokens, ...tokens.slice(11, 50)];
    const second = await call("answer", "host", job(next, 12));
    const { kvStreaming, kvPeakBytes, recall } = await call("stats", "host");
    replies.push({ first, second, streaming: kvStreaming!, kvPeakBytes, host: recall!.hostBytes });
  }
  const [streamed, whole] = replies as [(typeof replies)[0], (typeof replies)[0]];
  expect(streamed.streaming).toMatch(/^streamed/);
  expect(streamed.kvPeakBytes).toBeLessThan(whole.kvPeakBytes);
  expect(streamed.host).toBe(whole.host);
  expect(streamed.first.logprobs.slice(1)).toEqual(whole.first.logprobs.slice(1));
  for (const turn of ["first", "second"] as const) {
    expect(streamed[turn].tokens).toEqual(whole[turn].tokens);
    expect(worst(streamed[turn].logprobs, whole[turn].logprobs)).toBeLessThan(tolerance(golden));
  }
  await call("close", "host");
});

test("bytes are those of the formula, allocated and held at most", async ({ call }) => {
  const { golden, tokens } = toy(VARIANT);
  const [L, K, D, G, E] = [6, 3, golden.config["hidden_size"] as number, 3, 8];
  const [kept, rank, context] = [28, 8, 256];
  const kv = `f16+${SHADOW},rank=${rank}`;
  await call("open", "bytes", source(VARIANT), { kv, context, sequences: 1 });
  await call("answer", "bytes", job(tokens, 2));
  const { kvBytes, kvPeakBytes } = await call("stats", "bytes");
  const store = 4 * G * E; // bytes of a token
  const block = 32 * (K * store + 2 * D + 4); // with what enters layer K, and its length
  const later = 32 * (L - K) * store;
  const own = 32 * L * store; // private pages
  const state = { token: L * (2 * rank + 2 * G * E + (2 * G * E) / 4), prompt: 4 * L * ((rank + 1) * G * E + G * 7) };
  const laterRoom = Math.ceil(kept / 32) + 4;
  expect(kvBytes).toBe((context / 32) * (block + 32 * store) + laterRoom * later + own + context * state.token + state.prompt); // prettier-ignore
  const [blocks, old] = [Math.ceil(tokens.length / 32), Math.floor((tokens.length - 16) / 32)];
  const held = blocks * block + own + 64 * Math.ceil(old / 2) * state.token + state.prompt;
  expect(kvPeakBytes).toBe(held + (blocks - old) * later + old * 32 * store);
  const kvShape = { hiddenSize: D, layers: L, heads: 6, kvHeads: G, headWidth: E, windows: Array<number>(L).fill(0), context, swiftkv: { layers: K, group: 1 } } as KvModel; // prettier-ignore
  expect(parseRecipe(kv).price(kvShape, tokens.length)).toMatchObject({
    peakBytes: kvPeakBytes,
    streaming: "streamed: what enters layer 3 takes 100 bytes a token and a store that passes 96, all later stores 288",
  });
  const reason = (options: string, model = kvShape) =>
    parseRecipe(`f16+${SHADOW}${options}`).price(model, 100).streaming;
  expect(reason("", { ...kvShape, hiddenSize: 512 })).toMatch(/^not streamed: what enters layer 3 takes 1028 bytes/);
  expect(reason(",stream=off")).toBe("not streamed: the recipe says stream=off");
  expect(reason("", { ...kvShape, swiftkv: null })).toBeNull();
  await call("close", "bytes");
});

test("a prompt that ends without logits, read again for a reply that was set back, still has its last row run all layers", () => {
  const row = { token: 1, position: 0, cacheIndex: 0, sequence: 0 };
  const rows = Array.from({ length: 9 }, () => row);
  const kept = { tokens: [], liveFrom: 1, pages: [], region: 0, standing: 0 };
  const none = { promptEnd: null, retiring: null, standing: [], arrivals: [] };
  const batch = { rows, decodeRows: 1, logitRows: [], lists: [], moves: [], ...none };
  const promptEnd = { sequence: 1, tokens: 40, rows: 8, kept };
  expect(continuingRows(batch, 1)).toEqual([]);
  expect(continuingRows({ ...batch, promptEnd }, 1)).toEqual([8]);
  expect(continuingRows({ ...batch, made: { sequence: 1, from: 0, to: 40 } }, 1)).toEqual([8]);
});

// How a prompt is read that is longer than the cache, block by block; and the choice itself, on given numbers. No GPU.
import { expect, test } from "playwright/test";
import { TokenEngine } from "../../../src/engine/engine.ts";
import type { KvModel } from "../../../src/index.ts";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { planOf } from "../../../src/kv/shape.ts";
import { collect, request, stepReached, words } from "../../engine/drive.ts";
import { chunkedPlan, continuation, FakeModel } from "../../engine/fake.ts";
import { best, streamed } from "./rule.ts";

/** A cache of `blocks` blocks for texts of up to 8192 tokens, of which lists keep 100. */
function engineOf(blocks: number, sequences = 2) {
  const plan = { ...chunkedPlan(blocks, 100, sequences), context: 8192, blockBytes: [1000], pageBytes: 10 };
  const fake = new FakeModel({ blocks, sequences, cache: plan, rows: 32 });
  return { plan, fake, engine: new TokenEngine(fake) };
}

test("a prompt of 8000 tokens is read in a cache of 128: a chunk's block, and what comes after it", async () => {
  const { plan, fake, engine } = engineOf(4);
  const prompt = words(1, 8000);
  const got = await collect(engine, request(prompt, 60));
  expect(got.tokens).toEqual(continuation(prompt, 60, 97, undefined, plan));
  const used = new Set(
    fake.batches.flatMap(({ lists }) => lists.flatMap(({ pages }) => pages.map(({ block }) => block))),
  );
  expect(used.size).toBe(3); // 7968 … 7999 and the reply
  expect(engine.peakBytes).toBe(3 * 1000 + 4 * 10); // blocks and private pages
  expect([engine.freeBlocks, engine.freePages]).toEqual([4, 2 * 4]);
});

test("chunks are whole pages, each but the last with more to come; a reply begins after the local tokens", async () => {
  const { fake, engine } = engineOf(8);
  await collect(engine, request(words(2, 150), 3));
  const ends = fake.batches.flatMap(({ promptEnd }) => promptEnd ?? []);
  expect(ends.map(({ tokens, rows, more }) => [tokens, rows, more])).toEqual([
    [32, 32, true],
    [64, 32, true],
    [96, 32, true],
    [128, 32, false],
  ]);
  expect(ends.map(({ kept }) => [kept.liveFrom, kept.tokens[0], kept.pages[0]!.length])).toEqual([
    [1, 32, 1],
    [2, 64, 2],
    [3, 96, 3],
    [4, 100, 4],
  ]);
  expect(fake.batches[4]!.rows.length).toBe(22);
});

test("what fits into the budget is read as ever, and found again", async () => {
  const { fake, engine } = engineOf(8);
  await collect(engine, request(words(3, 119), 3)); // 99 tokens before the local ones: three pages
  expect(fake.batches.every(({ promptEnd }) => promptEnd === null)).toBe(true);
  expect((await collect(engine, request(words(3, 119), 3))).reusedTokens).toBe(118);
  // Of a longer one nothing is, because nobody has its scores.
  expect((await collect(engine, request([...words(3, 119), ...words(4, 60)], 3))).reusedTokens).toBe(0);
});

test("an abort gives everything back, whenever it comes, and nothing rests of half a prompt", async () => {
  const { fake, engine } = engineOf(6);
  for (let step = 1; step < 24; step++) {
    const controller = new AbortController();
    const wanted = request(words(step, 600), 20, { rests: true });
    void stepReached(fake, fake.batches.length + step).then(() => controller.abort());
    const run = engine.generate(wanted, controller.signal);
    for await (const _ of run) continue;
    if (step < 18) expect(run.rested, `step ${step}`).toBeNull(); // the chunk after 18 others ends the prompt
    engine.release(run.rested);
    expect([run.finish, engine.freeBlocks, engine.freePages]).toEqual(["abort", 6, 2 * 4]);
  }
});

test("two at once are what they are alone, also where there is no room for both", async () => {
  for (const blocks of [4, 5, 6, 16]) {
    const { plan, engine } = engineOf(blocks);
    const prompts = [words(5, 700), words(6, 333), words(7, 90), words(8, 410)];
    const got = await Promise.all(prompts.map((prompt, i) => collect(engine, request(prompt, 20 - 3 * i))));
    for (const [i, { tokens }] of got.entries())
      expect(tokens, `${blocks} blocks`).toEqual(continuation(prompts[i]!, 20 - 3 * i, 97, undefined, plan));
    expect([engine.freeBlocks, engine.freePages]).toEqual([blocks, 2 * 4]);
  }
});

/** Numbers of ../../../../shared/vectors, seed 9: x ← 1664525·x + 1013904223 mod 2³², 2·x/2³² − 1. */
function lcg(seed: number, count: number): Float64Array {
  let x = seed;
  return Float64Array.from({ length: count }, () => (x = (Math.imul(1664525, x) + 1013904223) >>> 0) / 2 ** 31 - 1);
}

test("without stabilisers reading in chunks keeps what one choice of all would; with 8 of them 28 of 32", () => {
  const scores = lcg(9, 200).subarray(0, 190); // 10 are local
  const all = Array.from(scores, (score, position) => ({ score, position }));
  const chosen = best(all, 32);
  expect(streamed(scores, { budget: 32, stabilisers: 0, chunk: 24 })).toEqual(chosen);
  const stabilised = streamed(scores, { budget: 32, stabilisers: 8, chunk: 24 });
  const places = new Set(chosen.map(({ position }) => position));
  expect(stabilised.filter(({ position }) => places.has(position)).length).toBe(28);
});

const MODEL: KvModel = {
  hiddenSize: 192,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headWidth: 16,
  windows: [0, 0],
  context: 4096,
  swiftkv: null,
};

test("what it costs is known before: blocks of a chunk, pages that are kept, and its weights", () => {
  const recipe = parseRecipe("locret:budget=128,local=40");
  const price = recipe.price(MODEL, 4000);
  const token = 2 * 2 * 2 * 16 * 2; // keys and values of two layers and heads in f16
  const live = 4000 - 32 * 123;
  expect(price.kvBytes).toBe((live + 128) * token);
  expect(price.peakBytes).toBe((512 + 128) * token);
  expect(price.evictedTokens).toBe(32 * 123 - 128);
  expect(price.extraWeightBytes).toBe(2 * 4 * 64 * (8 * 16 + 2));
  expect(recipe.wholeUpTo(MODEL, 4000)).toBe(128 + 40 + 31);
  const bounds = { context: 4000, rows: 101, sequences: 2 };
  expect(planOf(recipe.resolve(MODEL, bounds), bounds).chunkTokens).toBe(96);
});

test("what cannot be is refused with its reason", () => {
  const create = (kv: string, rows = 64) => parseRecipe(kv).resolve(MODEL, { context: 1024, rows, sequences: 1 });
  expect(() => create("locret:budget=64,stabilisers=65")).toThrow("kv: locret:stabilisers; got 65, want at most 64");
  expect(() => create("locret", 31)).toThrow("chunk: got 31 tokens, want at least 32 with locret");
  const swift = { ...MODEL, swiftkv: { layers: 1, group: 1 } };
  expect(() => parseRecipe("locret").check(swift)).toThrow(
    /swiftkv and locret cannot go together: its heads read queries/,
  );
});

// The engine with a model that needs no GPU: paging, sharing, scheduling, abort.
import { expect, test } from "playwright/test";
import { plainPlan } from "../../src/kv/plan.ts";
import { collect, make, request, stepReached, words } from "./drive.ts";
import { continuation } from "./fake.ts";

test("one request: the model's own continuation, one prompt chunk at a time", async () => {
  const { model, engine } = make({ rows: 16 });
  const prompt = words(1, 50);
  const progress: number[] = [];
  const got = await collect(engine, request(prompt, 40, { onPrefill: (done) => progress.push(done) }));
  expect(got).toEqual({ tokens: continuation(prompt, 40, 97), finish: "length", reusedTokens: 0 });
  expect(progress).toEqual([0, 16, 32, 48, 50]);
  expect(model.batches.slice(0, 4).map(({ rows }) => rows.length)).toEqual([16, 16, 16, 2]);
  expect(engine.freeBlocks).toBe(64);
});

test("a step is launched before the one before it is read, and never two", async () => {
  const { model, engine } = make();
  await collect(engine, request(words(2, 5), 30));
  expect(model.mostUnderWay).toBe(2);
  expect(model.batches.length).toBe(30); // prompt + 29 more: nothing is launched in vain at maxTokens
});

test("where steps are short, two are launched before the one before them is read, and never three", async () => {
  const { model, engine } = make({ depth: 3 });
  const prompt = words(2, 5);
  const got = await collect(engine, request(prompt, 30));
  expect(got.tokens).toEqual(continuation(prompt, 30, 97));
  expect(model.mostUnderWay).toBe(3);
  expect(model.batches.length).toBe(30);
});

test("chunks of a prompt are as long as the model says, step by step", async () => {
  const { model, engine } = make({ rows: 16 });
  const lengths = [4, 16, 8, 1, 16];
  const asked: number[] = [];
  model.chunkRows = (left) => lengths[asked.push(left) - 1] ?? 16;
  const prompt = words(7, 50);
  const got = await collect(engine, request(prompt, 3));
  expect(got.tokens).toEqual(continuation(prompt, 3, 97));
  expect(model.batches.slice(0, 6).map(({ rows }) => rows.length)).toEqual([4, 16, 8, 1, 16, 5]);
  expect(asked).toEqual([50, 46, 30, 22, 21, 5]);
});

test("what is to be done in idle moments waits for all requests, and they for it alone", async () => {
  const { model, engine } = make();
  const reply = collect(engine, request(words(4, 5), 20));
  const second = stepReached(model, 10).then(() => collect(engine, request(words(5, 5), 20)));
  let steps = 0;
  const idle = engine.whenIdle(async () => {
    steps = model.batches.length;
    await Promise.all([Promise.resolve(), reply, second]);
    expect([model.underWay, model.batches.length]).toEqual([0, steps]);
  });
  await idle;
  expect(steps).toBeGreaterThan(30);
  await expect(engine.whenIdle(() => Promise.reject(new Error("told to fail")))).rejects.toThrow("told to fail");
  expect((await collect(engine, request(words(6, 5), 4))).tokens.length).toBe(4);
});

test("an end token finishes the request and is reported", async () => {
  const { engine } = make();
  const prompt = words(3, 9);
  const all = continuation(prompt, 20, 97);
  const end = all[7]!;
  const got = await collect(engine, request(prompt, 20, { endTokens: new Set([end]) }));
  expect(got.finish).toBe("stop");
  expect(got.tokens).toEqual(all.slice(0, all.indexOf(end) + 1));
  expect(engine.freeBlocks).toBe(64);
});

test("a batch gives each request what it gets alone, decode rows riding with prompt chunks", async () => {
  const { model, engine } = make({ rows: 16, sequences: 3 });
  const prompts = [words(4, 40), words(5, 3), words(6, 17), words(7, 64), words(8, 1)];
  const got = await Promise.all(prompts.map((prompt, i) => collect(engine, request(prompt, 10 + 7 * i))));
  for (const [i, prompt] of prompts.entries()) expect(got[i]!.tokens).toEqual(continuation(prompt, 10 + 7 * i, 97));
  expect(model.batches.some(({ rows, decodeRows }) => decodeRows > 0 && rows.length > decodeRows)).toBe(true);
  expect(model.batches.some(({ decodeRows }) => decodeRows === 3)).toBe(true);
  expect(engine.freeBlocks).toBe(64);
});

test("a second turn computes only what is new", async () => {
  const { engine } = make();
  const prompt = words(9, 45);
  const first = await collect(engine, request(prompt, 30));
  const second = [...prompt, ...first.tokens, ...words(10, 12)];
  const got = await collect(engine, request(second, 25));
  expect(got.reusedTokens).toBe(45 + 29); // the last token of the reply was never run
  expect(got.tokens).toEqual(continuation(second, 25, 97));
});

test("a prompt that branches off in the middle of a block leaves the other branch intact", async () => {
  const { model, engine } = make();
  const prompt = words(11, 50);
  const branch = [...prompt.slice(0, 40), ...words(12, 20)];
  const [a, b, c] = await Promise.all([
    collect(engine, request(prompt, 60)),
    // while the first still runs: block 1 is shared up to token 40 and must be copied
    stepReached(model, 25).then(() => collect(engine, request(branch, 50))),
    stepReached(model, 40).then(() => collect(engine, request([...prompt, 1, 2], 30))),
  ]);
  expect(a.tokens).toEqual(continuation(prompt, 60, 97));
  expect(b.tokens).toEqual(continuation(branch, 50, 97));
  expect(c.tokens).toEqual(continuation([...prompt, 1, 2], 30, 97));
  expect(b.reusedTokens).toBe(40);
  expect(model.batches.flatMap(({ moves }) => moves).length).toBeGreaterThan(0);
  expect(engine.freeBlocks).toBe(64);
});

test("an earlier prompt stays in the cache when another branches off it, while there is room", async () => {
  const { engine } = make();
  const long = words(13, 200);
  await collect(engine, request(long, 5));
  for (const length of [40, 150, 200]) {
    const other = [...long.slice(0, length), ...words(length, 10)];
    const got = await collect(engine, request(other, 20));
    expect(got.reusedTokens).toBe(length);
    expect(got.tokens).toEqual(continuation(other, 20, 97));
  }
  const again = await collect(engine, request(long, 5));
  expect(again.reusedTokens).toBe(199);
  expect(again.tokens).toEqual(continuation(long, 5, 97));
  expect(engine.freeBlocks).toBe(64);
});

test("abort at any step leaks no block and spoils no neighbour", async () => {
  for (let step = 0; step < 14; step++) {
    const { model, engine } = make({ rows: 16, blocks: 32 });
    const [longOne, other] = [words(20 + step, 90), words(40 + step, 33)];
    const controller = new AbortController();
    void stepReached(model, step).then(() => controller.abort());
    const [aborted, kept] = await Promise.all([
      collect(engine, request(longOne, 40), controller.signal),
      collect(engine, request(other, 25)),
    ]);
    expect(aborted.finish, `step ${step}`).toBe("abort");
    expect(kept.tokens, `step ${step}`).toEqual(continuation(other, 25, 97));
    expect(engine.freeBlocks, `step ${step}`).toBe(32);
    const again = await collect(engine, request(longOne, 20));
    expect(again.tokens, `step ${step}`).toEqual(continuation(longOne, 20, 97));
  }
});

test("a consumer that walks away gives everything back", async () => {
  const { engine } = make();
  for await (const _ of engine.generate(request(words(60, 20), 50))) break;
  expect(engine.freeBlocks).toBe(64);
  const prompt = words(61, 8);
  expect((await collect(engine, request(prompt, 5))).tokens).toEqual(continuation(prompt, 5, 97));
});

test("what does not fit is refused before any work", async () => {
  const { model, engine } = make({ blocks: 4 });
  await expect(collect(engine, request(words(70, 128)))).rejects.toThrow(/prompt: got 128 tokens, want at most 127/);
  await expect(collect(engine, request([]))).rejects.toThrow(/no tokens/);
  await expect(collect(engine, request([5, 97]))).rejects.toThrow(/token id 97/);
  await expect(collect(engine, request([5], 0))).rejects.toThrow(/maxTokens/);
  expect(model.batches.length).toBe(0);
  const got = await collect(engine, request(words(71, 120), 500));
  expect([got.tokens.length, got.finish]).toEqual([8, "length"]);
});

test("scoring asks for every token given those before it, and waits its turn", async () => {
  const { engine } = make();
  const tokens = words(95, 70);
  const [scores, reply] = await Promise.all([engine.score(tokens), collect(engine, request(words(96, 40), 12))]);
  expect(Number.isNaN(scores[0])).toBe(true);
  expect(Array.from(scores.subarray(1))).toEqual(tokens.slice(1).map((token) => -token));
  expect(reply.tokens).toEqual(continuation(words(96, 40), 12, 97));
  expect(engine.freeBlocks).toBe(64);
});

test("the peak is the most bytes that running requests held at once, shared blocks once", async () => {
  const { engine } = make({ cache: { ...plainPlan(64), blockBytes: [10] } });
  expect(engine.peakBytes).toBe(0);
  await collect(engine, request(words(70, 40), 20)); // 59 slots: 2 blocks
  expect(engine.peakBytes).toBe(20);
  await Promise.all([collect(engine, request(words(71, 90), 8)), collect(engine, request(words(72, 33), 8))]);
  expect(engine.peakBytes).toBe(10 * (4 + 2)); // 97 and 40 slots
  await collect(engine, request(words(70, 40), 5));
  expect(engine.peakBytes).toBe(60);
});

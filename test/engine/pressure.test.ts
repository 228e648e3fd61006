// Requests that together need more cache than there is: they wait or are set back, none fails because of another.
import { expect, test } from "playwright/test";
import { GREEDY, type RowSampling } from "../../src/model/model.ts";
import { collect, make, request, stepReached, words } from "./drive.ts";
import { continuation } from "./fake.ts";

/** Everything that a set-back could lose: noise by step, counts of prompt and reply, biases. */
const EVERYTHING: RowSampling = {
  ...GREEDY,
  temperature: 0.8,
  repetitionPenalty: 1.2,
  presencePenalty: 0.3,
  logitBias: [[5, 1.5]],
  seed: 11,
};

test("replies, and prompts, that exceed the context together: both complete", async () => {
  for (const [length, count] of [
    [20, 30],
    [40, 10],
    [63, 1],
  ] as const) {
    const { engine } = make({ blocks: 2 });
    const prompts = [words(80, length), words(81, length)];
    const got = await Promise.all(prompts.map((prompt) => collect(engine, request(prompt, count))));
    expect(got.map(({ tokens }) => tokens)).toEqual(prompts.map((prompt) => continuation(prompt, count, 97)));
    expect(engine.freeBlocks).toBe(2);
  }
});

test("the youngest is set back, and goes on with the tokens it has alone: noise, counts and biases are restored", async () => {
  const { model, engine } = make({ blocks: 8, sequences: 3 });
  const prompts = [words(82, 10), words(83, 12), words(84, 9)];
  const order: number[] = [];
  const got = await Promise.all(
    prompts.map(async (prompt, i) => {
      const result = await collect(engine, request(prompt, 120, { sampling: EVERYTHING }));
      order.push(i);
      return result;
    }),
  );
  for (const [i, prompt] of prompts.entries())
    expect(got[i]!.tokens, `request ${i}`).toEqual(continuation(prompt, 120, 97, EVERYTHING));
  expect(engine.preemptions).toBeGreaterThan(0);
  expect(order).toEqual([0, 1, 2]);
  const again = model.batches.flatMap(({ arrivals }) => arrivals).filter(({ generated }) => generated.length > 0);
  expect(again.length).toBe(engine.preemptions);
  expect(again.every(({ prompt }) => prompt.length <= 12)).toBe(true);
  expect(engine.freeBlocks).toBe(8);
});

test("a set-back does not show: progress never falls, reuse is what the first admission found", async () => {
  const { engine } = make({ blocks: 6, sequences: 2, rows: 8 });
  const cached = words(85, 33);
  await collect(engine, request(cached, 1));
  const prompts = [words(86, 20), [...cached.slice(0, 32), ...words(87, 20)]];
  const progress: number[][] = [[], []];
  const got = await Promise.all(
    prompts.map((prompt, i) =>
      collect(engine, request(prompt, 90, { onPrefill: (done) => void progress[i]!.push(done) })),
    ),
  );
  expect(engine.preemptions).toBeGreaterThan(0);
  expect(got.map(({ reusedTokens }) => reusedTokens)).toEqual([0, 32]);
  expect(progress.map(([first]) => first)).toEqual([0, 32]);
  for (const [i, seen] of progress.entries()) {
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(prompts[i]!.length);
    expect(got[i]!.tokens).toEqual(continuation(prompts[i]!, 90, 97));
  }
});

test("an end token that was in flight when its request was set back ends it", async () => {
  const prompts = [words(88, 6), words(89, 6)] as const;
  const alone = continuation(prompts[1], 100, 97);
  const run = async (end: readonly number[]) => {
    const { model, engine } = make({ blocks: 5, sequences: 2 });
    let sampled = 0; // tokens that the second request had launched when it was set back
    model.onStep = () => {
      if (engine.preemptions === 0)
        sampled += model.batches.at(-1)!.logitRows.filter(({ sequence }) => sequence === 1).length;
    };
    const both = [
      collect(engine, request(prompts[0], 100)),
      collect(engine, request(prompts[1], 100, { endTokens: new Set(end) })),
    ];
    const [first, second] = await Promise.all(both);
    expect(first!.tokens).toEqual(continuation(prompts[0], 100, 97));
    expect(engine.preemptions).toBe(1);
    expect(engine.freeBlocks).toBe(5);
    return { sampled, ...second! };
  };
  const { sampled, tokens } = await run([]);
  expect(tokens).toEqual(alone);
  const end = alone[sampled - 1]!;
  expect(alone.indexOf(end), "want a token that did not occur before").toBe(sampled - 1);
  expect(await run([end])).toMatchObject({ sampled, finish: "stop", tokens: alone.slice(0, sampled) });
});

test("nobody is let in only to be set back: a long prompt waits for its turn, and nobody overtakes it", async () => {
  const { model, engine } = make({ blocks: 8, sequences: 3 });
  const finished: string[] = [];
  const run = async (name: string, prompt: number[], count: number) => {
    const { tokens } = await collect(engine, request(prompt, count));
    expect(tokens).toEqual(continuation(prompt, count, 97));
    finished.push(name);
  };
  await Promise.all([
    run("first", words(100, 40), 60),
    run("long", words(101, 200), 5),
    run("short", words(102, 5), 5),
  ]);
  expect(finished).toEqual(["first", "long", "short"]);
  expect(engine.preemptions).toBe(0);
  const prefilled = model.batches.reduce((sum, { rows, decodeRows }) => sum + rows.length - decodeRows, 0);
  expect(prefilled).toBe(40 + 200 + 5);
});

test("a beginning that others hold costs a newcomer no room", async () => {
  const { model, engine } = make({ blocks: 8, sequences: 2 });
  const prompt = words(105, 161);
  const first = collect(engine, request(prompt, 30));
  const [got, other] = await Promise.all([
    first,
    stepReached(model, 15).then(() => collect(engine, request([...prompt, 1], 30))),
  ]);
  expect(got.tokens).toEqual(continuation(prompt, 30, 97));
  expect(other.tokens).toEqual(continuation([...prompt, 1], 30, 97));
  expect(other.reusedTokens).toBe(160);
  expect(model.batches.some(({ decodeRows }) => decodeRows === 2)).toBe(true);
});

test("a request that waits, or was set back, can be aborted", async () => {
  const { engine, model } = make({ blocks: 4, sequences: 2 });
  const waiting = new AbortController();
  const setBack = new AbortController();
  model.onStep = (step) => {
    if (step === 5) waiting.abort();
    if (engine.preemptions > 0) setBack.abort();
  };
  const prompt = words(110, 5);
  const [first, second, third] = await Promise.all([
    collect(engine, request(prompt, 110)),
    collect(engine, request(words(111, 5), 110), setBack.signal),
    collect(engine, request(words(112, 100), 20), waiting.signal),
  ]);
  expect(first.tokens).toEqual(continuation(prompt, 110, 97));
  expect(second.finish).toBe("abort");
  expect(second.tokens.length).toBeGreaterThan(10);
  expect(second.tokens).toEqual(continuation(words(111, 5), second.tokens.length, 97));
  expect([third.finish, third.tokens]).toEqual(["abort", []]);
  expect(engine.preemptions).toBe(1);
  expect(engine.freeBlocks).toBe(4);
});

test("more sequences than a step has rows take turns", async () => {
  const { engine } = make({ rows: 1, sequences: 4 });
  const prompts = [words(115, 3), words(116, 4), words(117, 2)];
  const got = await Promise.all(prompts.map((prompt) => collect(engine, request(prompt, 6))));
  expect(got.map(({ tokens }) => tokens)).toEqual(prompts.map((prompt) => continuation(prompt, 6, 97)));
});

test("scoring has its turn: after what came before it, before what came later, with a full cache too", async () => {
  const { engine, model } = make({ blocks: 4, sequences: 2 });
  const done: string[] = [];
  const named = <T>(name: string, work: Promise<T>) => work.then((value) => (done.push(name), value));
  const text = words(120, 128 - 1);
  const [, scores] = await Promise.all([
    named("before", collect(engine, request(words(121, 50), 40))),
    stepReached(model, 5).then(() => named("score", engine.score(text))),
    stepReached(model, 10).then(() => named("after", collect(engine, request(words(122, 5), 5)))),
  ]);
  expect(done).toEqual(["before", "score", "after"]);
  expect(Array.from(scores.subarray(1))).toEqual(text.slice(1).map((token) => -token));
  expect(engine.freeBlocks).toBe(4);
});

test("scoring that waits can be aborted, and whoever waited for it goes on", async () => {
  const { engine, model } = make({ blocks: 4, sequences: 2 });
  const controller = new AbortController();
  const running = collect(engine, request(words(125, 50), 40));
  const score = engine.score(words(126, 60), controller.signal);
  const later = collect(engine, request(words(127, 5), 5));
  void stepReached(model, 6).then(() => controller.abort());
  await expect(score).rejects.toThrow(/abort/);
  expect((await running).tokens).toEqual(continuation(words(125, 50), 40, 97));
  expect((await later).tokens).toEqual(continuation(words(127, 5), 5, 97));
  await expect(engine.score([1, 2], AbortSignal.abort())).rejects.toThrow(/abort/);
});

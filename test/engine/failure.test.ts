// Steps that fail: their requests do, everything comes back, and the engine goes on, any number of times.
import { expect, test } from "playwright/test";
import { collect, make, request, words } from "./drive.ts";
import { blocksFor } from "../../src/kv/blocks.ts";
import { GREEDY } from "../../src/model/model.ts";
import { plainPlan } from "../../src/kv/plan.ts";
import { continuation, recallingPlan, streamingPlan } from "./fake.ts";

for (const failure of ["failAt", "failLaunchAt"] as const) {
  test(`${failure}: whatever step fails, all launched steps are read, and later requests are right`, async () => {
    const { model, engine } = make({ sequences: 2 });
    const prompts = [words(90, 40), words(91, 6)];
    for (let step = 1; step < 12; step++) {
      // the second request is there from step 1 on
      model[failure] = model.batches.length + step;
      const results = await Promise.allSettled(prompts.map((prompt) => collect(engine, request(prompt, 20))));
      expect(
        results.map(({ status }) => status),
        `step ${step}`,
      ).toEqual(["rejected", "rejected"]);
      expect(model.underWay, `step ${step}`).toBe(0);
      expect(engine.freeBlocks, `step ${step}`).toBe(64);
      // The same prompts: what the failed steps were to write must not be found.
      const got = await Promise.all(prompts.map((prompt) => collect(engine, request(prompt, 20))));
      expect(
        got.map(({ tokens }) => tokens),
        `step ${step}`,
      ).toEqual(prompts.map((prompt) => continuation(prompt, 20, 97)));
    }
  });
}

test("where there is no memory for a request it fails alone; others have the replies that they would have had", async () => {
  for (const cache of [plainPlan(64), recallingPlan(64, 20, 3), streamingPlan(64, 20, 3)]) {
    const { model, engine } = make({ sequences: 3, cache });
    const prompts = [words(90, 70), words(91, 6), words(92, 90)];
    for (const mostPages of [3, 1, 2, 0, 4]) {
      model.mostPages = mostPages;
      const results = await Promise.allSettled(prompts.map((prompt) => collect(engine, request(prompt, 20))));
      for (const [i, result] of results.entries()) {
        if (blocksFor(prompts[i]!.length + 19) > mostPages) {
          const reason = { name: "UnsupportedError", code: "out-of-memory" };
          expect(result, `reply ${i}, ${mostPages} pages`).toMatchObject({ status: "rejected", reason });
        } else {
          const value = { tokens: continuation(prompts[i]!, 20, 97, GREEDY, cache) };
          expect(result, `reply ${i}, ${mostPages} pages`).toMatchObject({ status: "fulfilled", value });
        }
      }
      expect([model.underWay, engine.freeBlocks, engine.takenRegions, engine.takenLater]).toEqual([0, 64, 0, 0]);
    }
  }
});

test("before a request fails for want of memory, what is kept of others goes", async () => {
  const { model, engine } = make({ sequences: 2 });
  model.mostBlocks = 5;
  for (let seed = 0; seed < 20; seed++) {
    const prompts = [words(seed, 40), words(100 + seed, 20)];
    const got = await Promise.all(prompts.map((prompt) => collect(engine, request(prompt, 20))));
    expect(got.map(({ tokens }) => tokens)).toEqual(prompts.map((prompt) => continuation(prompt, 20, 97)));
  }
  await expect(collect(engine, request(words(300, 150), 20))).rejects.toMatchObject({ code: "out-of-memory" });
});

test("requests that wait survive a failed step, and so does one that was set back", async () => {
  const { model, engine } = make({ blocks: 4, sequences: 2 });
  model.onStep = (step) => {
    if (engine.preemptions > 0 && model.failAt < 0) model.failAt = step;
  };
  const prompts = [words(92, 5), words(93, 5), words(94, 100)];
  const results = await Promise.allSettled(
    prompts.map((prompt) => collect(engine, request(prompt, 20 + prompt.length))),
  );
  expect(results[0]!.status).toBe("fulfilled");
  expect(engine.preemptions).toBe(0);
  const long = await Promise.allSettled(prompts.map((prompt) => collect(engine, request(prompt, 120 - prompt.length))));
  expect(engine.preemptions).toBe(1);
  expect(long.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
  for (const [i, result] of long.entries())
    if (result.status === "fulfilled")
      expect(result.value.tokens).toEqual(continuation(prompts[i]!, 120 - prompts[i]!.length, 97));
  expect(engine.freeBlocks).toBe(4);
});

test("a failed scoring run rejects itself alone", async () => {
  const { model, engine } = make();
  const prompt = words(95, 40);
  model.failAt = 1;
  const [score, reply] = await Promise.allSettled([engine.score(prompt), collect(engine, request(prompt, 12))]);
  expect([score.status, reply.status]).toEqual(["rejected", "fulfilled"]);
  expect((await collect(engine, request(prompt, 12))).tokens).toEqual(continuation(prompt, 12, 97));
  expect(engine.freeBlocks).toBe(64);
});

test("a caller's onPrefill that throws ends its own request only", async () => {
  const { engine } = make({ rows: 8 });
  const onPrefill = (done: number) => {
    if (done > 0) throw new Error("the caller's own trouble");
  };
  const prompt = words(96, 20);
  const [bad, good] = await Promise.allSettled([
    collect(engine, request(words(97, 30), 5, { onPrefill })),
    collect(engine, request(prompt, 15)),
  ]);
  expect(String((bad as PromiseRejectedResult).reason)).toMatch(/the caller's own trouble/);
  expect(good).toMatchObject({ status: "fulfilled", value: { tokens: continuation(prompt, 15, 97) } });
  expect(engine.freeBlocks).toBe(64);
});

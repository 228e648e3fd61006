// Sessions that are saved, opened in another engine, and forked; beginnings of prompts that are kept. On toy models.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import type { Harness } from "./harness.ts";
import { source, testWith } from "./golden/serve.ts";
import { toy } from "./kv/shadow/toy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const VARIANT = "llama-gqa-tied";
const STUDENT = "llama-swiftkv-g3";
const SHADOW = "shadow:chunk=4,outliers=3,budget=16,local=16,reply=40";

const SAMPLINGS = [{}, { temperature: 1, topP: 0.95, seed: 7, frequencyPenalty: 0.3 }];

for (const [variant, kv, samplings] of [
  [VARIANT, "f16", SAMPLINGS],
  [VARIANT, "f32", [{}]],
  [VARIANT, "int8", [{}]],
  [VARIANT, "f32+kivi:bits=4,recent=32", [{}]],
  [VARIANT, "f32+pyramid:budget=50,window=8", [{}]],
  [VARIANT, "f32+think:keep=0.5", [{}]],
  [VARIANT, "f32+kvsharer:map=1-0", [{}]],
  [VARIANT, "f32+minicache:start=0", [{}]],
  [VARIANT, "f32+kvmerger:budget=50,window=8", [{}]],
  [VARIANT, "f32+kvzip:keep=0.4", [{}]],
  [VARIANT, `${SHADOW},values=int8`, [{}]],
  [VARIANT, `${SHADOW},values=host`, SAMPLINGS],
  [STUDENT, "f16", [{}]],
] as const) {
  test(`${variant}, ${kv}: a reply goes on in another engine with the same tokens, and reads what was there`, async ({
    call,
  }) => {
    const prompt = toy(variant).tokens.slice(0, 130);
    for (const reply of await call("resumed", source(variant), { kv }, { prompt, cut: 21, more: 64 }, samplings)) {
      expect(reply.tokens).toEqual(reply.undisturbed);
      expect(reply.fresh).toEqual(reply.undisturbed.slice(21));
      expect(reply.savedTokens).toBe(130 + 21);
      // All but the token that was sampled last, which nothing has computed yet.
      expect([reply.reusedTokens, reply.cachedTokens]).toEqual([150, 150]);
      if (!kv.includes("host")) expect(reply.submits).toBe(64); // a step for each new token, and nothing else
    }
  });
}

test("a session is refused by another recipe, another model, a smaller context, and where it is damaged; it can be deleted", async ({
  call,
}) => {
  const { tokens: prompt } = toy(VARIANT);
  const got = await call("refusedSessions", source(VARIANT), prompt, { source: source(STUDENT), kv: "int8" });
  expect(got.early).toMatch(/^InputError bad-option: save: got a session without a reply/);
  expect(got.listed).toMatchObject({ name: "a", bytes: got.bytes, tokens: 176, cachedTokens: 175 });
  expect(got.conversation).toMatchObject({ prompt: { tokens: prompt }, reply: { finish: "length" } });
  expect(got.others[0]).toMatch(
    /^InputError other-engine: session "a": it was made with .*kv f16; got .*kv int8, want the same/,
  );
  expect(got.others[1]).toMatch(/^InputError other-engine: .*hash [0-9a-f]+.*; got .*hash [0-9a-f]+/);
  expect(got.others[2]).toMatch(/^InputError context-too-small: open: session "a"; got 176 tokens, want at most 64/);
  expect(got.missing).toMatch(/^InputError bad-option: open: got "b", want the name of a saved session/);
  expect(got.damaged).toMatch(/^ModelError bad-file: session "a": it is damaged/);
  expect([got.deleted, got.left]).toEqual([got.bytes, 0]);
  for (const message of [got.disposed, ...got.late]) expect(message).toMatch(/^InputError disposed/);
});

for (const kv of ["f32", "f32+pyramid:budget=50,window=8", "f32+kvmerger:budget=50,window=8"])
  test(`${kv}: a fork and its original go on, each as if it was alone`, async ({ call }) => {
    const { tokens: prompt } = toy(VARIANT);
    const got = await call("forked", source(VARIANT), { kv }, prompt.slice(0, 100), prompt.slice(20, 29));
    expect(got.resumed).toEqual(got.want.resumed);
    expect([...got.tokens, ...got.again.slice(20)]).toEqual(got.want.asked);
    if (kv === "f32") expect(got.reusedTokens).toBe(119);
    expect(got.grown).toBe(0);
    expect(got.conversation).toMatchObject({ reply: { tokens: got.tokens } });
  });

test("MiniCache: of a fork and its original the one that goes first is as if it was alone; the other one finds pages sealed", async ({
  call,
}) => {
  const { tokens: prompt } = toy(VARIANT);
  const [text, question] = [prompt.slice(0, 100), prompt.slice(20, 29)];
  const kv = "f32+minicache:start=0";
  const fork = await call("forked", source(VARIANT), { kv }, text, question, "fork");
  expect([...fork.tokens, ...fork.again.slice(20)]).toEqual(fork.want.asked);
  const original = await call("forked", source(VARIANT), { kv }, text, question, "original");
  expect(original.resumed).toEqual(original.want.resumed);
  for (const { grown, resumed } of [fork, original]) expect([grown, resumed.length]).toEqual([0, 50]);
});

const FABLE = "/demo/models/fable/";
const SYSTEM = `You tell stories. ${"There was a small red house by the river, and in it lived a cat who liked to read. ".repeat(6)}`;
const asking = (content: string) => ({
  messages: [
    { role: "system", content: SYSTEM },
    { role: "user", content },
  ],
});

test("the beginning of prompts is computed once for all pages; what is chosen of it for one question reaches no other; JSON that was cut goes on as JSON", async ({
  call,
  harness,
}) => {
  const kv = "f32+pyramid:budget=64,window=8";
  const prefix = { messages: [{ role: "system", content: SYSTEM }] };
  await call("savingOpen", "one", FABLE, { kv });
  const one = await call("keepAndAsk", "one", prefix, asking("Who lived in the house?"), 12);
  expect(one.tokens).toBeGreaterThan(128);
  expect(one).toMatchObject({ computedTokens: one.tokens, answer: one.fresh });

  const [second] = await Promise.all([
    harness.waitForEvent("popup"),
    harness.evaluate(() => void window.open(location.href)),
  ]);
  await second.waitForFunction(() => "harness" in globalThis);
  const other = await second.evaluate(
    async ([source, settings, first, prompt]) => {
      const { harness: page } = globalThis as unknown as { harness: Harness };
      await page.savingOpen("two", source, settings);
      const answer = await page.keepAndAsk("two", first, prompt, 12);
      page.savingClose("two");
      return answer;
    },
    [FABLE, { kv }, prefix, asking("What did the cat like?")] as const,
  );
  await second.close();
  expect(other).toMatchObject({ id: one.id, tokens: one.tokens, bytes: one.bytes, computedTokens: 0, dispatches: 0 });
  expect(other.answer).toEqual(other.fresh);
  expect(other.reusedTokens).toBeGreaterThanOrEqual(one.tokens - 32);

  const size = { type: "integer", minimum: 100000, maximum: 999999 };
  const json = { type: "object", properties: { a: size, b: size, c: size }, required: ["a", "b", "c"] };
  const held = await call("constrained", "one", asking("Name three numbers."), json, 11);
  expect(Object.keys(JSON.parse(held.undisturbed) as object)).toEqual(["a", "b", "c"]);
  expect(() => JSON.parse(held.first)).toThrow();
  expect([held.resumed, held.reopened]).toEqual([held.undisturbed, held.undisturbed]);

  const text = { text: SYSTEM.slice(0, 200) };
  expect(await call("keepOnly", "one", text, 1000)).toMatch(
    /^InputError bad-option: prefixes: mostBytes; got 1000, want at least \d+ for this beginning/,
  );
  expect(await call("prefixes", "one")).toEqual([SYSTEM.slice(0, 80)]);
  expect(await call("keepOnly", "one", text, one.bytes)).toBe("fulfilled"); // the older one has gone for it
  expect(await call("prefixes", "one")).toEqual([text.text.slice(0, 80)]);
  expect(await call("deletePrefixes", "one")).toBeGreaterThan(0);
  expect(await call("prefixes", "one")).toEqual([]);
  await call("savingClose", "one");
});

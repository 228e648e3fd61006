// What model.test.ts shows with a toy and swiftkv.test.ts with pages of f32, with Fable.
import { readFileSync } from "node:fs";
import { expect } from "playwright/test";
import { job, worst } from "./golden/serve.ts";
import { test } from "./page.ts";

const FABLE = "/demo/models/fable/";
const { cases } = JSON.parse(readFileSync("demo/models/fable/golden.json", "utf8")) as {
  cases: { name: string; prompt: number[]; tokens: number[] }[];
};

test("an adapter without subgroups gives Fable's golden tokens", async ({ call }) => {
  const { prompt, tokens } = cases[0]!;
  await call("open", "plain", FABLE, { kv: "f32", plain: true });
  expect((await call("answer", "plain", job(prompt, tokens.length))).tokens).toEqual(tokens);
  await call("close", "plain");
});

test("skipping is exact with pages of 8 bits: a prompt of two chunks, scored 64 rows at a time through every layer", async ({
  call,
}) => {
  const prompt = cases.find(({ name }) => name === "notes")!.prompt.slice(0, 200);
  await call("open", "skip", FABLE, { kv: "int8", context: 256, chunk: 128, swiftkv: { layers: 4, group: 2 } });
  const { tokens, logprobs } = await call("answer", "skip", job(prompt, 12));
  const scores = await call("score", "skip", [...prompt, ...tokens]);
  // A value may fall to the other side of half a step, which is 1/255 of a head's range, in either run.
  expect(worst(logprobs, scores.slice(prompt.length))).toBeLessThan(10 / 255);
  await call("close", "skip");
});

// An engine in a worker: Fable, from picked files, loaded once.
import { readFileSync } from "node:fs";
import { expect } from "playwright/test";
import { test as base } from "./page.ts";

const FABLE = "/test-models/fable/";
const FILES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];

interface Case {
  name: string;
  text: string;
  prompt: number[];
  tokens: number[];
}
const { cases } = JSON.parse(readFileSync("demo/models/fable/golden.json", "utf8")) as { cases: Case[] };
const [story, hello] = ["story", "hello"].map((wanted) => cases.find(({ name }) => name === wanted)!);

const test = base.extend<object, { opened: null }>({
  opened: [
    async ({ call }, use) => {
      await call("open", "there", FABLE, { context: 512, kv: "f32", chunk: 32, worker: true, files: FILES });
      await use(null);
      await call("close", "there");
    },
    { scope: "worker", timeout: 120_000, auto: true },
  ],
});
test.describe.configure({ mode: "serial" }); // the last one ends the worker

test("two conversations at once give the recorded tokens, and stats count them", async ({ call }) => {
  const jobs = [story!, hello!].map(({ prompt: tokens }) => ({ prompt: { tokens }, options: { maxTokens: 16 } }));
  const before = (await call("stats", "there")).submits;
  const answers = await call("answers", "there", jobs);
  expect(answers.map(({ tokens }) => tokens)).toEqual([story!, hello!].map(({ tokens }) => tokens.slice(0, 16)));
  const { adapter, submits } = await call("stats", "there");
  expect(adapter.name).toMatch(/./);
  expect(submits - before).toBeGreaterThanOrEqual(16);
  expect(submits - before).toBeLessThan(32); // they share steps
  expect(await call("tokenize", "there", "Once upon a time")).toHaveLength(4);
  expect(await call("detokenize", "there", story!.prompt)).toBe(story!.text);
});

test("aborted while the prompt is read, and after some tokens, a reply ends within a step; the page's thread is free", async ({
  call,
}) => {
  const prompt = { text: "One day a little cat found a big box. ".repeat(24) };
  const submits = async () => (await call("stats", "there")).submits;
  const before = await submits();
  const reading = await call("answer", "there", { prompt, abortAfter: -1 });
  expect(reading).toMatchObject({ finish: "abort", tokens: [] });
  const aborted = await submits();
  const { turns } = await call("turns", "there", prompt, { maxTokens: 1 });
  expect(aborted - before).toBeLessThan((await submits()) - aborted); // what is left of the prompt takes more
  expect(turns).toBeGreaterThan(0);
  const writing = await call("answer", "there", { prompt: { tokens: hello!.prompt }, abortAfter: 3 });
  expect(writing.finish).toBe("abort");
  expect(writing.tokens.length).toBeLessThan(8); // of as many as fit
});

test("what cannot start or load says so, with class and code", async ({ call }) => {
  expect(await call("failures", FABLE)).toMatchObject({
    device: expect.stringMatching(/^InputError bad-option: worker: got a device/),
    script: expect.stringMatching(/^UnsupportedError no-worker: worker: it does not start/),
    policy: expect.stringMatching(/^UnsupportedError no-worker: .*SecurityError: not from here/),
    model: expect.stringMatching(/^ModelError not-found/),
    abort: "Error: enough",
  });
});

test("a worker that is ended takes the reply under way with it, and every later one", async ({ call }) => {
  const long = call("answer", "there", { prompt: { tokens: story!.prompt }, options: { ignoreEnd: true } });
  await call("terminate", "there");
  const lost =
    /WorkerLostError: worker: it went away; it ran out of memory, or was terminated\. Load the model again\./;
  await expect(long).rejects.toThrow(lost);
  await expect(call("answer", "there", { prompt: { text: "a" } })).rejects.toThrow(lost);
});

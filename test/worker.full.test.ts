// An engine in a worker against the same engine in the page: everything that an engine can be asked.
import { expect } from "playwright/test";
import type { ChatCompletion, ChatCompletionChunk } from "../src/api.ts";
import type { Job } from "./harness.ts";
import { test as base } from "./page.ts";

const FABLE = "/test-models/fable/";
const OPTIONS = { context: 512, kv: "f32", chunk: 32 } as const;

const test = base.extend<object, { opened: null }>({
  opened: [
    async ({ call }, use) => {
      await call("open", "here", FABLE, OPTIONS);
      await call("open", "there", FABLE, { ...OPTIONS, worker: true });
      await use(null);
      for (const name of ["here", "there"]) await call("close", name);
    },
    { scope: "worker", timeout: 240_000, auto: true },
  ],
});

const messages = [{ role: "user" as const, content: "Tell me a story about a cat." }];

/** Rows of a step are not the same here and there: when a request comes is a matter of messages. */
const near = (got: readonly number[], want: readonly number[]): void => {
  expect(got).toHaveLength(want.length);
  got.forEach((value, i) => expect(value).toBeCloseTo(want[i]!, 4));
};

test("replies, greedy and sampled, at once", async ({ call }) => {
  const sampling = { temperature: 0.8, topP: 0.9, seed: 5, repetitionPenalty: 1.1 };
  const jobs: Job[] = [{}, sampling].map((each) => ({ prompt: { messages }, options: { maxTokens: 24, ...each } }));
  const [here, there] = [await call("answers", "here", jobs), await call("answers", "there", jobs)];
  for (const [i, { logprobs, ...rest }] of there.entries()) {
    near(logprobs, here[i]!.logprobs);
    expect(rest).toEqual({ ...here[i], logprobs: undefined });
  }
  expect(await call("model", "there")).toEqual(await call("model", "here"));
});

test("completions, whole and streamed, under a schema too", async ({ call }) => {
  const request = { messages, temperature: 0, max_tokens: 12 };
  const format = { type: "json_schema", json_schema: { name: "a", schema: { enum: ["yes", "no"] } } } as const;
  const said = async (name: string) => {
    const streaming = { ...request, stream: true, stream_options: { include_usage: true } };
    const asked = [request, streaming, { ...request, response_format: format }];
    const [whole, chunks, held] = (await call("complete", name, asked)).answers;
    const pieces = (chunks as ChatCompletionChunk[]).map(({ choices, usage }) => [choices, usage?.completion_tokens]);
    return [(whole as ChatCompletion).choices, pieces, (held as ChatCompletion).choices];
  };
  expect(await said("there")).toEqual(await said("here"));
});

test("scores, and evaluation with logits", async ({ call }) => {
  const tokens = await call("tokenize", "there", "Once upon a time there was a cat.");
  expect(tokens).toEqual(await call("tokenize", "here", "Once upon a time there was a cat."));
  near((await call("score", "there", tokens)).slice(1), (await call("score", "here", tokens)).slice(1));
  const [here, there] = [
    await call("evaluate", "here", tokens, [5, 6], true),
    await call("evaluate", "there", tokens, [5, 6], true),
  ];
  near(there.logprobs, here.logprobs);
  near(there.logits.flat(), here.logits.flat());
});

test("a student is made in the worker, saved from it, and its errors are those of the page", async ({ call }) => {
  const text = "One day a little cat found a big box. She sat in it and slept. ".repeat(150);
  await call("twin", "student", "there", { layers: 4, group: 1 }, { calibrate: text });
  const answer = await call("answer", "student", { prompt: { messages }, options: { maxTokens: 8 } });
  expect(answer.tokens).toHaveLength(8);
  expect((await call("model", "student")).swiftkv).toEqual({ layers: 4, group: 1 });
  expect((await call("studentOf", "student")).length).toBeGreaterThan(1000);
  await expect(call("studentOf", "there")).rejects.toThrow(/InputError: saveStudent: got a model that was not calib/);
  await call("close", "student");
  expect((await call("answer", "there", { prompt: { messages }, options: { maxTokens: 4 } })).tokens).toHaveLength(4);
});

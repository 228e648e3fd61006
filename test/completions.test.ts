// engine.chat.completions with Fable on the GPU: masks and likeliest tokens come from its kernels.
import { expect } from "playwright/test";
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest } from "../src/api.ts";
import { test as base } from "./page.ts";

const test = base.extend<object, { engine: string }>({
  engine: [
    async ({ call }, use) => {
      await call("open", "completions", "/test-models/fable/", { context: 512, kv: "f32" });
      await use("completions");
      await call("close", "completions");
    },
    { scope: "worker", timeout: 120_000 },
  ],
});

const messages = [{ role: "user", content: "Tell me a story about a cat." }] as const;
const greedy = { messages, temperature: 0 } as const;
const schema = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 8 },
    age: { type: "integer", minimum: 0, maximum: 99 },
  },
  required: ["name", "age"],
  additionalProperties: false,
};
const json = (given: Record<string, unknown>) =>
  ({ type: "json_schema", json_schema: { name: "reply", schema: given } }) as const;
const contentOf = ({ choices }: ChatCompletion): string => choices[0]!.message.content!;

test("JSON of a schema, greedy and drawn, beside a reply that is what it is alone", async ({ call, engine }) => {
  const free: ChatCompletionRequest = { ...greedy, max_tokens: 24 };
  const bound: ChatCompletionRequest = { ...greedy, response_format: json(schema), max_tokens: 60 };
  const [alone] = (await call("complete", engine, [free])).answers as ChatCompletion[];
  const together = await call("complete", engine, [bound, free, { ...bound, temperature: 1.5, seed: 1 }]);
  const [first, beside, drawn] = together.answers as ChatCompletion[];
  for (const reply of [first!, drawn!]) {
    const { name, age } = JSON.parse(contentOf(reply)) as { name: string; age: number };
    expect(reply.choices[0]!.finish_reason).toBe("stop");
    expect([...name].length).toBeGreaterThan(0);
    expect([...name].length).toBeLessThanOrEqual(8);
    expect(age >= 0 && age <= 99 && Number.isInteger(age)).toBe(true);
  }
  expect(contentOf(drawn!)).not.toBe(contentOf(first!));
  expect(contentOf(beside!)).toBe(contentOf(alone!));
  const [chunks] = (await call("complete", engine, [{ ...bound, stream: true }])).answers as [ChatCompletionChunk[]];
  expect(chunks.map(({ choices }) => choices[0]!.delta.content ?? "").join("")).toBe(contentOf(first!));
});

test("a masked token costs a submit more and no byte; a likeliest token 8 bytes", async ({ call, engine }) => {
  const plain = { ...greedy, max_tokens: 8 };
  const masked = { ...plain, response_format: json({ type: "string", minLength: 40, maxLength: 60 }) };
  const listed = { ...plain, logprobs: true, top_logprobs: 3 };
  for (const request of [plain, masked, listed]) await call("complete", engine, [request]); // the prompt is there now
  const costs = [];
  for (const request of [plain, masked, listed]) costs.push((await call("complete", engine, [request])).cost);
  expect(costs).toEqual([
    { submits: 8, readbacks: 8, readbackBytes: 64 },
    { submits: 16, readbacks: 8, readbackBytes: 64 },
    { submits: 8, readbacks: 8, readbackBytes: 8 * (8 + 3 * 8) },
  ]);
});

test("the likeliest tokens: in order, and the greedy one is the first of them", async ({ call, engine }) => {
  const request = { ...greedy, max_tokens: 6, logprobs: true, top_logprobs: 5 };
  const [reply] = (await call("complete", engine, [request])).answers as ChatCompletion[];
  for (const { token, logprob, top_logprobs: top } of reply!.choices[0]!.logprobs!.content!) {
    expect(top.length).toBe(5);
    expect(top[0]).toMatchObject({ token });
    expect(Math.abs(top[0]!.logprob - logprob)).toBeLessThan(1e-4);
    expect(top.map((each) => each.logprob)).toEqual(top.map((each) => each.logprob).toSorted((a, b) => b - a));
    expect(new Set(top.map((each) => each.token)).size).toBe(5);
  }
});

test("a required call of a tool; a grammar of one's own with penalties and a bias", async ({ call, engine }) => {
  const parameters = {
    type: "object",
    properties: { animal: { enum: ["cat", "dog"] }, big: { type: "boolean" } },
    required: ["animal", "big"],
    additionalProperties: false,
  };
  const tools = [{ type: "function", function: { name: "draw", parameters } }] as const;
  const request = { ...greedy, tools, tool_choice: "required", parallel_tool_calls: false, max_tokens: 80 } as const;
  const [reply] = (await call("complete", engine, [request])).answers as ChatCompletion[];
  expect(reply!.choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
  const [called] = reply!.choices[0]!.message.tool_calls!;
  expect(called!.function.name).toBe("draw");
  expect(Object.keys(JSON.parse(called!.function.arguments) as object)).toEqual(["animal", "big"]);
  const bent = {
    ...greedy,
    response_format: json({ enum: ["one", "two"] }),
    presence_penalty: 2,
    logit_bias: { 9: -50 },
  };
  const [other] = (await call("complete", engine, [bent])).answers as ChatCompletion[];
  expect(["one", "two"]).toContain(JSON.parse(contentOf(other!)));
});

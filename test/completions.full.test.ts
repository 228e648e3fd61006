// 50 schemas with Fable on the GPU, greedy and drawn, and what a mask costs in time.
import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "playwright/test";
import type { ChatCompletion, ChatCompletionRequest } from "../src/api.ts";
import { SCHEMAS } from "./grammar/schemas.ts";
import { test } from "./page.ts";

const messages = [{ role: "user", content: "Tell me a story about a cat." }] as const;
const ajv = new Ajv2020({ strict: false, validateFormats: false });

const asked = (schema: object, more: Partial<ChatCompletionRequest>): ChatCompletionRequest => ({
  messages,
  response_format: { type: "json_schema", json_schema: { name: "reply", schema: schema as Record<string, unknown> } },
  max_tokens: 300,
  ...more,
});

test("every reply under 50 schemas is JSON of its schema, greedy and drawn", async ({ call }) => {
  await call("open", "schemas", "/test-models/fable/", { context: 2048 });
  for (const schema of SCHEMAS) {
    const requests = [asked(schema, { temperature: 0 }), asked(schema, { temperature: 1, seed: 3 })];
    const { answers } = await call("complete", "schemas", requests);
    for (const { choices } of answers as ChatCompletion[]) {
      const { content } = choices[0]!.message;
      const valid = choices[0]!.finish_reason === "stop" && ajv.validate(schema, JSON.parse(content!));
      expect(valid, `${content} of ${JSON.stringify(schema)}`).toBe(true);
    }
  }
  await call("close", "schemas");
});

test("tokens a second with a schema and without (printed, not judged)", async ({ call }) => {
  await call("open", "speed", "/test-models/fable/", { context: 512 });
  const count = 64;
  const free = { messages, temperature: 0, max_tokens: count, n: 1, logit_bias: { 0: -100, 4: -100 } };
  const person = {
    type: "object",
    properties: {
      name: { type: "string", minLength: 3, maxLength: 8 },
      age: { type: "integer", minimum: 0, maximum: 99 },
    },
    required: ["name", "age"],
  };
  const people = { type: "array", items: person, minItems: 20, maxItems: 20 };
  const bound = { ...free, response_format: asked(people, {}).response_format! };
  const times: Record<"free" | "bound", number[]> = { free: [], bound: [] };
  for (let round = 0; round < 4; round++)
    for (const [kind, request] of Object.entries({ free, bound }) as ["free" | "bound", ChatCompletionRequest][]) {
      const { answers, milliseconds } = await call("complete", "speed", [request]);
      expect((answers[0] as ChatCompletion).usage.completion_tokens).toBe(count);
      if (round > 0) times[kind].push(milliseconds);
    }
  const median = (list: number[]) => list.toSorted((a, b) => a - b)[1]!;
  const [without, under] = [median(times.free), median(times.bound)];
  console.log(
    `decode of ${count} tokens: ${without.toFixed(0)} ms without, ${under.toFixed(0)} ms with a schema: ${(without / under).toFixed(2)} of the speed`,
  );
  await call("close", "speed");
});

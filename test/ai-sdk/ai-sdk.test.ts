// The AI SDK over replies that are given: what its functions ask for, and what they make of the answers.
import { generateObject, generateText, jsonSchema, streamText, tool } from "ai";
import { expect, test } from "playwright/test";
import { languageModel } from "../../src/ai-sdk/index.ts";
import { PLAIN_TEMPLATE, scripted } from "../chat/scripted.ts";

async function modelOf(replies: readonly string[], template = PLAIN_TEMPLATE) {
  const { completions, asked, ended } = await scripted(replies, { template });
  const engine = { model: { name: "scripted" }, chat: { completions } } as unknown as Parameters<
    typeof languageModel
  >[0];
  return { model: languageModel(engine), asked, ended };
}

const HERMES = `{# <tool_call> #}{{ tools | tojson }}${PLAIN_TEMPLATE}`;

test("streamText: the text as it comes, the reason, the usage", async () => {
  const { model, asked } = await modelOf(["Once there was a cat."]);
  const { textStream, finishReason, usage } = streamText({
    model,
    system: "Be short.",
    prompt: "Tell me of a cat.",
    temperature: 0,
    maxOutputTokens: 20,
  });
  const pieces: string[] = [];
  for await (const piece of textStream) pieces.push(piece);
  expect(pieces.length).toBeGreaterThan(2);
  expect(pieces.join("")).toBe("Once there was a cat.");
  expect(await finishReason).toBe("stop");
  expect(await usage).toMatchObject({ inputTokens: 12, inputTokenDetails: { cacheReadTokens: 5 } });
  expect(asked[0]).toMatchObject({
    prompt: {
      messages: [
        { role: "system", content: "Be short." },
        { role: "user", content: "Tell me of a cat." },
      ],
    },
    options: { temperature: 0, maxTokens: 20 },
  });
});

test("generateText: a tool is called, its result goes back, the answer follows", async () => {
  const call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>';
  const { model, asked } = await modelOf([`Let me see. ${call}`, "It rains."], HERMES);
  const inputSchema = jsonSchema<{ city: string }>({
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
  });
  const cities: string[] = [];
  const weather = tool({
    description: "The weather",
    inputSchema,
    execute: async ({ city }) => (cities.push(city), { sky: "rain" }),
  });
  const { text, steps } = await generateText({
    model,
    prompt: "Rain in Oslo?",
    tools: { weather },
    stopWhen: ({ steps: done }) => done.length === 2,
  });
  expect(text).toBe("It rains.");
  expect(cities).toEqual(["Oslo"]);
  expect(steps[0]).toMatchObject({ finishReason: "tool-calls", text: "Let me see. " });
  expect(asked[1]!.prompt).toMatchObject({
    messages: [
      { role: "user" },
      { role: "assistant", tool_calls: [{ function: { name: "weather", arguments: { city: "Oslo" } } }] },
      { role: "tool", content: '{"sky":"rain"}' },
    ],
  });
});

test("thoughts are reasoning, in a stream and whole, and go back with their turn", async () => {
  const reply = "<think>Hm.</think>Tom.";
  const { model, asked } = await modelOf([reply, reply, "B."], `${PLAIN_TEMPLATE}{# <think> #}`);
  const parts: string[] = [];
  for await (const part of streamText({ model, prompt: "Name a cat." }).fullStream) parts.push(part.type);
  const order = ["reasoning-start", "reasoning-delta", "reasoning-end", "text-start", "text-delta", "text-end"];
  expect([...new Set(parts)].filter((type) => order.includes(type))).toEqual(order);
  const { reasoningText, text, usage, response } = await generateText({ model, prompt: "Name a cat." });
  expect([reasoningText, text]).toEqual(["Hm.", "Tom."]);
  expect(usage.outputTokenDetails.reasoningTokens).toBeGreaterThan(1);
  await generateText({ model, messages: [...response.messages, { role: "user", content: "And?" }] });
  expect(asked[2]!.prompt).toMatchObject({
    messages: [{ role: "assistant", content: "Tom.", reasoning_content: "Hm." }, { role: "user" }],
  });
});

test("streamText: a call comes as its parts", async () => {
  const { model } = await modelOf(['<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'], HERMES);
  const now = tool({
    execute: async () => "noon",
    inputSchema: jsonSchema<object>({ type: "object", properties: {} }),
  });
  const types: string[] = [];
  for await (const part of streamText({ model, prompt: "What time is it?", tools: { now } }).fullStream)
    types.push(part.type);
  expect(types).toEqual(expect.arrayContaining(["tool-input-start", "tool-input-end", "tool-call", "finish"]));
  expect(types).not.toContain("text-delta");
});

test("generateObject: the schema is a constraint of the reply", async () => {
  const { model, asked } = await modelOf(['{"name": "Tom"}']);
  const schema = jsonSchema<{ name: string }>({
    type: "object",
    properties: { name: { type: "string" } },
    required: ["name"],
    additionalProperties: false,
  });
  const { object } = await generateObject({ model, schema, prompt: "Name a cat." });
  expect(object).toEqual({ name: "Tom" });
  expect(asked[0]!.options.constraint).toBeDefined();
});

test("an abort ends the reply", async () => {
  const { model, ended } = await modelOf(["Once there was a cat and a dog and a box."]);
  const stop = new AbortController();
  const { textStream } = streamText({ model, prompt: "Tell me.", abortSignal: stop.signal, onError: () => {} });
  for await (const _ of textStream) stop.abort();
  await expect.poll(() => ended).toEqual(["abort"]);
});

// engine.chat.completions over replies that are given: what is asked of a session, and what becomes of its tokens.
import { expect, test } from "playwright/test";
import type { ChatCompletionChunk, ChatCompletionRequest, Message } from "../../src/api.ts";
import { CompiledConstraint } from "../../src/grammar/constraint.ts";
import { scripted } from "./scripted.ts";

const messages = [{ role: "user", content: "Tell me of a cat." }] as const;

async function chunksOf(stream: AsyncIterable<ChatCompletionChunk>): Promise<ChatCompletionChunk[]> {
  const chunks: ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

test("a whole completion: text, reason, usage with what was reused", async () => {
  const { completions, asked } = await scripted(["Once there was a cat."]);
  const got = await completions.create({ messages, model: "scripted" });
  expect(got).toMatchObject({
    object: "chat.completion",
    model: "scripted",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "Once there was a cat.", refusal: null },
        finish_reason: "stop",
        logprobs: null,
      },
    ],
    usage: { prompt_tokens: 12, prompt_tokens_details: { cached_tokens: 5 } },
  });
  expect(got.id).toMatch(/^chatcmpl-/);
  expect(got.choices[0]!.message).not.toHaveProperty("tool_calls");
  expect(got.usage.total_tokens).toBe(12 + got.usage.completion_tokens);
  expect(asked[0]!.options).toMatchObject({ temperature: 0.5, topP: 0.9 }); // as the model's files recommend
});

test("a stream: the role, the text in order, the reason; usage where it is asked for", async () => {
  const { completions } = await scripted(["Once there was a cat.", "Once there was a cat."]);
  const chunks = await chunksOf(await completions.create({ messages, stream: true }));
  expect(chunks[0]!.choices[0]!.delta).toEqual({ role: "assistant", content: "" });
  expect(chunks.map(({ choices: [choice] }) => choice!.delta.content ?? "").join("")).toBe("Once there was a cat.");
  expect(chunks.filter(({ choices }) => choices[0]!.finish_reason !== null)).toEqual([chunks.at(-1)]);
  expect(chunks.at(-1)).toMatchObject({ choices: [{ delta: {}, finish_reason: "stop" }] });
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  expect(chunks.some((chunk) => "usage" in chunk)).toBe(false);
  const counted = await completions.create({ messages, stream: true, stream_options: { include_usage: true } });
  const all = await chunksOf(counted);
  expect(all.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 12 } });
  expect(all.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
});

test("every sampling field reaches the engine under its own name", async () => {
  const { completions, asked } = await scripted(["A.", "B."]);
  await completions.create({
    messages,
    n: 2,
    seed: 7,
    temperature: 0.1,
    top_p: 0.2,
    top_k: 3,
    min_p: 0.4,
    repetition_penalty: 1.5,
    frequency_penalty: 0.6,
    presence_penalty: 0.7,
    logit_bias: { 8: 9 },
    max_tokens: 10,
    stop: "x",
    logprobs: true,
    top_logprobs: 2,
  });
  const sampling = { temperature: 0.1, topP: 0.2, topK: 3, minP: 0.4, repetitionPenalty: 1.5, logitBias: { 8: 9 } };
  const more = { frequencyPenalty: 0.6, presencePenalty: 0.7, maxTokens: 10, stop: ["x"], topLogprobs: 2 };
  expect(asked.map(({ options }) => options)).toMatchObject([
    { ...sampling, ...more, seed: 7 },
    { ...sampling, ...more, seed: 8 },
  ]);
});

test("several choices, each with its own text; a length that runs out", async () => {
  const { completions } = await scripted(["One.", "Two."], { finish: "length" });
  const { choices, usage } = await completions.create({ messages, n: 2 });
  expect(choices.map(({ index, message, finish_reason }) => [index, message.content, finish_reason])).toEqual([
    [0, "One.", "length"],
    [1, "Two.", "length"],
  ]);
  expect(usage.completion_tokens).toBeGreaterThan(2);
});

test("log-probabilities of every token and of the likeliest in its place", async () => {
  const { completions, tokenizer } = await scripted(["A cat."]);
  const { choices } = await completions.create({ messages, logprobs: true, top_logprobs: 2 });
  const content = choices[0]!.logprobs!.content!;
  const ids = tokenizer.encode("A cat.", { addSpecial: false });
  expect(content.length).toBe(ids.length + 1); // and the end
  expect(content[1]).toMatchObject({ token: tokenizer.decode([ids[1]!]), logprob: -1 / 8 });
  expect(content[1]!.bytes).toEqual([...new TextEncoder().encode(content[1]!.token)]);
  expect(content[1]!.top_logprobs.map(({ logprob }) => logprob)).toEqual([-0, -1]);
  expect(content.at(-1)).toMatchObject({ token: "<|end|>", bytes: null });
});

test("what is not known, or not possible, is refused by its name before any work", async () => {
  const { completions, asked } = await scripted([]);
  const bad: [object, RegExp][] = [
    [{ audio: {} }, /audio; got/],
    [{ store: true }, /store; got true/],
    [{ model: "gpt-9" }, /model; got "gpt-9", want "scripted"/],
    [{ messages: [] }, /messages; got \[\]/],
    [{ messages: [{ role: "robot", content: "" }] }, /messages\[0\]\.role/],
    [
      { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
      /messages\[0\]\.content\[0\]\.image_url\.url; got undefined, want a URL/,
    ],
    [{ messages: [{ role: "user", content: null }] }, /messages\[0\]\.content/],
    [{ n: 0 }, /n; got 0/],
    [{ top_logprobs: 3 }, /top_logprobs; got 3, want logprobs/],
    [{ tools: [{ type: "web_search" }] }, /tools\[0\]/],
    [{ tool_choice: "required" }, /tool_choice; got "required", want tools/],
    [{ response_format: { type: "xml" } }, /response_format\.type; got "xml"/],
    [
      { response_format: { type: "json_schema", json_schema: { schema: { type: "array", uniqueItems: true } } } },
      /uniqueItems/,
    ],
  ];
  for (const [field, message] of bad)
    await expect(completions.create({ messages, ...field } as ChatCompletionRequest)).rejects.toThrow(message);
  expect(asked).toEqual([]);
});

const THINKING = `{% for m in messages %}{{ m.content }}{% endfor %}{# <think> #}`;

test("what a model thinks first is a field of its own, whole and in a stream, and counted", async () => {
  const text = "<think>\nA cat? Yes.\n</think>\n\nOnce there was a cat.";
  for (const marks of [[], ["<think>", "</think>"]]) {
    const { completions, tokenizer } = await scripted([text, text], { template: THINKING, marks });
    const whole = await completions.create({ messages });
    const said = { reasoning_content: "A cat? Yes.", content: "Once there was a cat." };
    expect(whole.choices[0]!.message).toMatchObject(said);
    const tokens = tokenizer.encode(text.slice(0, text.indexOf("\n\n")), { addSpecial: false }).length;
    const counted = whole.usage.completion_tokens_details.reasoning_tokens;
    expect(counted).toBeGreaterThan(tokens - 9); // less what the first mark is made of
    expect(counted).toBeLessThanOrEqual(tokens);
    const chunks = await chunksOf(await completions.create({ messages, stream: true }));
    const deltas = chunks.map(({ choices: [choice] }) => choice!.delta);
    expect(deltas.map((delta) => delta.reasoning_content ?? "").join("")).toBe(said.reasoning_content);
    expect(deltas.map((delta) => delta.content ?? "").join("")).toBe(said.content);
    const places = deltas.flatMap((delta) => (delta.reasoning_content ? [0] : delta.content ? [1] : []));
    expect(places).toEqual(places.toSorted()); // no thought after the answer has begun
  }
});

test("a prompt that ends within a thought; one that is cut; none; one before a call", async () => {
  const call = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>';
  const open = `${THINKING}<think>\n`;
  const cases = [
    [open, "Hm.</think>A.", { reasoning_content: "Hm.", content: "A." }],
    [open, "Hm. </thi", { reasoning_content: "Hm. </thi", content: "" }],
    [`${open}</think>`, "A.", { content: "A." }],
    [THINKING, "A <think>b</think>", { content: "A <think>b</think>" }],
    [THINKING, `<think>Hm.</think>\n${call}`, { reasoning_content: "Hm.", content: null }],
  ] as const;
  const tools = [{ type: "function", function: { name: "now" } }] as const;
  for (const [template, text, want] of cases) {
    const { completions } = await scripted([text], { template });
    const { choices } = await completions.create({ messages, ...(text.includes(call) && { tools }) });
    const { role: _role, refusal: _refusal, tool_calls = [], ...said } = choices[0]!.message;
    expect(said).toEqual(want);
    expect(tool_calls.length).toBe(text.includes(call) ? 1 : 0);
  }
});

test("thoughts of earlier turns reach the template", async () => {
  const { completions, asked } = await scripted(["B."]);
  const said = { role: "assistant", content: "A.", reasoning_content: "Hm." } as const;
  await completions.create({ messages: [...messages, said, ...messages] });
  expect(promptMessages(asked[0]!.prompt)[1]).toEqual(said);
});

test("null is the same as left out", async () => {
  const { completions, asked } = await scripted(["A."]);
  const nothing = {
    stop: null,
    seed: null,
    n: null,
    tools: null,
    response_format: null,
    top_logprobs: null,
    audio: null,
  };
  await completions.create({ messages, ...nothing } as unknown as ChatCompletionRequest);
  expect(asked[0]!.options).not.toHaveProperty("seed");
});

test("JSON is a constraint of the session", async () => {
  const { completions, asked } = await scripted(["{}", "{}", "{}"]);
  const schema = { type: "object", properties: { a: { type: "boolean" } }, required: ["a"] };
  for (const response_format of [
    { type: "text" },
    { type: "json_object" },
    { type: "json_schema", json_schema: { name: "a", schema } },
  ] as const)
    await completions.create({ messages, response_format });
  const kinds = asked.map(({ options }) => options.constraint instanceof CompiledConstraint);
  expect(kinds).toEqual([false, true, true]);
});

test("an abort rejects with the signal's reason, streaming or not, and ends the reply", async () => {
  const { completions, ended } = await scripted(["Once there was a cat.", "Once there was a cat.", "no"]);
  const stop = new AbortController();
  const whole = completions.create({ messages }, { signal: stop.signal });
  stop.abort(new Error("enough"));
  await expect(whole).rejects.toThrow("enough");
  const second = new AbortController();
  const stream = await completions.create({ messages, stream: true }, { signal: second.signal });
  await expect(
    (async () => {
      for await (const chunk of stream) if (chunk.choices[0]!.delta.content) second.abort(new Error("enough"));
    })(),
  ).rejects.toThrow("enough");
  await expect.poll(() => ended.filter((how) => how !== "abort")).toEqual([]);
});

test("who leaves a stream ends its replies", async () => {
  const { completions, ended } = await scripted(["Once there was a cat.", "Once there was a dog."]);
  for await (const chunk of await completions.create({ messages, n: 2, stream: true }))
    if (chunk.choices[0]!.delta.content) break;
  await expect.poll(() => ended).toEqual(["abort", "abort"]);
});

const promptMessages = (prompt: unknown) => (prompt as { messages: readonly Message[] }).messages;

test("a developer is the system; parts are joined; further variables reach the template", async () => {
  const { completions, asked } = await scripted(["A."]);
  const parts = [
    { type: "text", text: "One " },
    { type: "text", text: "two" },
  ] as const;
  await completions.create({
    messages: [
      { role: "developer", content: "Be short." },
      { role: "user", content: parts },
    ],
    chat_template_kwargs: { enable_thinking: false },
  });
  expect(promptMessages(asked[0]!.prompt)).toEqual([
    { role: "system", content: "Be short." },
    { role: "user", content: "One two" },
  ]);
  expect(asked[0]!.prompt).toMatchObject({ variables: { enable_thinking: false } });
});

// Calls of functions in each family's own words: what the prompt carries, what is read, what a grammar holds a reply to.
import { expect, test } from "playwright/test";
import type { ChatCompletionChunk, Tool } from "../../src/api.ts";
import { formatOf } from "../../src/chat/tools/formats.ts";
import type { CompiledConstraint } from "../../src/grammar/constraint.ts";
import { CallReader } from "../../src/chat/tools/reader.ts";
import { PLAIN_TEMPLATE, scripted } from "./scripted.ts";

const tool = (name: string, properties: object): Tool => ({
  type: "function",
  function: {
    name,
    parameters: { type: "object", properties, required: Object.keys(properties), additionalProperties: false },
  },
});
const tools = [
  tool("weather", { city: { type: "string" } }),
  tool("add", { a: { type: "integer" }, b: { type: "integer" } }),
];
const messages = [{ role: "user", content: "Rain in Oslo?" }] as const;

const one = '{"name": "weather", "arguments": {"city": "Oslo {\\"x\\"}"}}';
const two = '{"name": "add", "arguments": {"a": 1, "b": [2, {"c": "]"}]}}';
const CALLS = [
  ["weather", { city: 'Oslo {"x"}' }],
  ["add", { a: 1, b: [2, { c: "]" }] }],
] as const;

/** A sign of each family's template, and two calls as its models write them. */
const FAMILIES: Record<string, { sign: string; reply: string; marks?: string[] }> = {
  "Qwen 2.5 and 3, Hermes": {
    sign: "<tool_call>",
    reply: `<tool_call>\n${one}\n</tool_call>\n<tool_call>\n${two}\n</tool_call>`,
  },
  SmolLM2: { sign: "<tool_call>", reply: `<tool_call>[${one}, ${two}]</tool_call>` },
  SmolLM3: { sign: "<tool_call>", reply: `<tool_call>${one}</tool_call>\n<tool_call>${two}</tool_call>` },
  "Llama 3": {
    sign: '"parameters": dictionary',
    reply: `${one}; ${two}`.replaceAll('"arguments"', '"parameters"'),
  },
  "Llama 3 with its mark": {
    sign: "<|python_tag|>",
    marks: ["<|python_tag|>"],
    reply: `<|python_tag|>${one}; ${two}`.replaceAll('"arguments"', '"parameters"'),
  },
  "Mistral 7B": { sign: "[TOOL_CALLS]", marks: ["[TOOL_CALLS]"], reply: `[TOOL_CALLS] [${one}, ${two}]` },
  "Ministral 3": {
    sign: "[TOOL_CALLS] [ARGS]",
    marks: ["[TOOL_CALLS]", "[ARGS]"],
    reply: '[TOOL_CALLS]weather[ARGS]{"city": "Oslo {\\"x\\"}"}[TOOL_CALLS]add[ARGS]{"a": 1, "b": [2, {"c": "]"}]}',
  },
  Granite: { sign: "<|tool_call|>", marks: ["<|tool_call|>"], reply: `<|tool_call|>[${one}, ${two}]` },
  "Phi-4-mini": {
    sign: "message['tools'] <|tool|> <|/tool_call|>",
    marks: ["<|tool_call|>", "<|/tool_call|>"],
    reply: `<|tool_call|>[${one}, ${two}]<|/tool_call|>`,
  },
  "Qwen3-Coder": {
    sign: "<tool_call> <function=",
    reply: `<tool_call>\n<function=weather>\n<parameter=city>\nOslo {"x"}\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n[2, {"c": "]"}]\n</parameter>\n</function>\n</tool_call>`,
  },
  FunctionGemma: {
    sign: "<start_function_call>",
    marks: ["<start_function_call>", "<end_function_call>", "<escape>"],
    reply:
      '<start_function_call>call:weather{city:<escape>Oslo {"x"}<escape>}<end_function_call><start_function_call>call:add{a:1,b:[2,{c:<escape>]<escape>}]}<end_function_call>',
  },
  "any other": { sign: "", reply: `<tool_call>\n${one}\n</tool_call>\n<tool_call>\n${two}\n</tool_call>` },
};

const templateOf = (sign: string): string =>
  sign === "" ? PLAIN_TEMPLATE : `{# ${sign} #}{{ tools | tojson }}${PLAIN_TEMPLATE}`;

for (const [family, { sign, reply, marks = [] }] of Object.entries(FAMILIES)) {
  test(`${family}: calls are read whole and in a stream, wherever the pieces end`, async () => {
    const { completions } = await scripted([reply, reply], { template: templateOf(sign), marks });
    const whole = await completions.create({ messages, tools });
    const [choice] = whole.choices;
    expect(choice).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
    const calls = choice!.message.tool_calls!;
    expect(calls.map(({ function: { name, arguments: inputs } }) => [name, JSON.parse(inputs)])).toEqual(CALLS);
    expect(new Set(calls.map(({ id }) => id)).size).toBe(2);
    for (const { id } of calls) expect(id).toMatch(/^[A-Za-z0-9]{9}$/);
    const chunks: ChatCompletionChunk[] = [];
    for await (const chunk of await completions.create({ messages, tools, stream: true })) chunks.push(chunk);
    const deltas = chunks.flatMap(({ choices }) => choices[0]!.delta.tool_calls ?? []);
    expect(deltas.map(({ index, function: { name, arguments: inputs } }) => [index, name, JSON.parse(inputs)])).toEqual(
      CALLS.map((call, i) => [i, ...call]),
    );
    expect(chunks.map(({ choices }) => choices[0]!.delta.content ?? "").join("")).toBe("");
    expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe("tool_calls");
    for (const size of [1, 2, 3, 7, reply.length])
      expect([size, ...piecewise(sign, reply, size)]).toEqual([size, "", ...CALLS.map(([name]) => name)]);
  });

  test(`${family}: a required call is one of the tools', in the family's form, and read back`, async () => {
    const { completions, asked } = await scripted(["x"], { template: templateOf(sign), marks });
    await completions.create({ messages, tools, tool_choice: "required", max_tokens: 5 });
    const { grammar } = asked[0]!.options.constraint!.spec as { grammar: string };
    expect(grammar).toContain("weather");
    expect(grammar).toContain("add");
    const [begin] = formatOf(templateOf(sign)).begins;
    if (family !== "Llama 3" && family !== "Llama 3 with its mark") expect(grammar).toContain(begin);
  });
}

/** The text and the names of calls that come of the reply in pieces of `size`. */
function piecewise(sign: string, reply: string, size: number): string[] {
  const reader = new CallReader(formatOf(templateOf(sign)), tools);
  const pieces = reply.match(new RegExp(`[^]{1,${size}}`, "g"))!;
  const readings = [...pieces.map((piece) => reader.push(piece)), reader.finish()];
  const names = readings.flatMap(({ calls }) => calls.map((call) => call.function.name));
  return [readings.map(({ text }) => text).join(""), ...names];
}

const HERMES = templateOf("<tool_call>");

test("text before a call is content; a mark that turns out to be none is, too", async () => {
  const texts = [
    `Let me look. <tool_call>${one}</tool_call>`,
    "a <tool",
    "<tool_call> is a mark",
    '<tool_call>{"x": 1}</tool_call>',
    `<tool_call>\n{"name": "wea`,
  ];
  const { completions } = await scripted(texts, { template: HERMES });
  const got = [];
  for (const _ of texts) got.push((await completions.create({ messages, tools })).choices[0]!);
  expect(got.map(({ message }) => message.content)).toEqual(["Let me look. ", ...texts.slice(1)]);
  expect(got.map(({ message }) => message.tool_calls?.length ?? 0)).toEqual([1, 0, 0, 0, 0]);
});

test("without tools nothing is read as a call; tool_choice none is without tools", async () => {
  const { completions, asked } = await scripted([one, one], { template: HERMES });
  for (const request of [{ messages }, { messages, tools, tool_choice: "none" } as const]) {
    const { choices } = await completions.create(request);
    expect(choices[0]!.message).toEqual({ role: "assistant", content: one, refusal: null });
  }
  for (const { prompt } of asked) expect(prompt).not.toHaveProperty("tools");
});

test("parallel_tool_calls false ends a reply with its first call", async () => {
  const { completions, ended } = await scripted([FAMILIES["Qwen 2.5 and 3, Hermes"]!.reply], { template: HERMES });
  const { choices } = await completions.create({ messages, tools, parallel_tool_calls: false });
  expect(choices[0]!.message.tool_calls!.length).toBe(1);
  await expect.poll(() => ended).toEqual(["abort"]);
});

test("what only begins as a call of Qwen3-Coder or FunctionGemma is text", () => {
  const broken = {
    "<function=": [
      "<tool_call> is a mark",
      "<function= >",
      "<function=add>\n<b>",
      "<tool_call>\n<function=add>\n<parameter=a>\n1",
    ],
    "<start_function_call>": [
      "<start_function_call>add{}",
      "<start_function_call>call:add{a:1",
      "<start_function_call>call:add{a:[1}",
      "<start_function_call>call:add{a:,}",
    ],
  };
  for (const [sign, replies] of Object.entries(broken))
    for (const reply of replies)
      for (const size of [1, 5, reply.length]) expect(piecewise(sign, reply, size)).toEqual([reply]);
});

test("the grammar of Qwen3-Coder's and FunctionGemma's calls takes them with and without what is optional", async () => {
  const parameters = {
    type: "object",
    properties: {
      note: { type: "string" },
      count: { type: "integer" },
      kind: { enum: ["a", "b"] },
      tags: { type: "array", items: { type: "string" } },
    },
    required: ["note"],
  };
  const optional = [{ type: "function", function: { name: "keep", parameters } }] as const;
  const written = {
    "<function=": [
      "<tool_call>\n<function=keep>\n<parameter=note>\na < b\n\nc\n</parameter>\n</function>\n</tool_call>",
      '<tool_call>\n<function=keep>\n<parameter=note>\nx\n</parameter>\n<parameter=count>\n12\n</parameter>\n<parameter=kind>\nb\n</parameter>\n<parameter=tags>\n["y"]\n</parameter>\n</function>\n</tool_call>',
    ],
    "<start_function_call>": [
      "<start_function_call>call:keep{note:<escape>a < b, {c}<escape>}<end_function_call>",
      "<start_function_call>call:keep{count:12,kind:<escape>b<escape>,note:<escape>x<escape>,tags:[<escape>y<escape>]}<end_function_call>",
    ],
  };
  const { marks = [] } = FAMILIES["FunctionGemma"]!;
  for (const [sign, replies] of Object.entries(written)) {
    const { completions, asked, tokenizer } = await scripted(["x"], { template: templateOf(sign), marks });
    await completions.create({ messages, tools: optional, tool_choice: "required", max_tokens: 5 });
    const constraint = asked[0]!.options.constraint as CompiledConstraint;
    for (const reply of [...replies, replies.join(sign === "<function=" ? "\n" : "")]) {
      const following = constraint.begin();
      await following.allowed();
      for (const token of tokenizer.encode(reply, { addSpecial: false })) following.accept(token);
      following.dispose();
      const reader = new CallReader(formatOf(sign), optional);
      expect(reader.push(reply).calls.length).toBe(replies.includes(reply) ? 1 : 2);
    }
    const wrong = constraint.begin();
    await wrong.allowed();
    const [begin] = replies;
    const without = begin!.replace(/note/, "nope");
    expect(() => {
      for (const token of tokenizer.encode(without, { addSpecial: false })) wrong.accept(token);
    }).toThrow("is not allowed");
    wrong.dispose();
  }
});

test("values of Qwen3-Coder's arguments are of the kind that their schema says", async () => {
  const properties = {
    text: { type: "string" },
    flag: { type: "boolean" },
    list: { type: "array", items: { type: "number" } },
    size: { enum: ["s", "m"] },
    any: {},
  };
  const given = { text: "1\n2", flag: "True", list: "[1, 2]", size: "m", any: "two words", other: "3" };
  const written = Object.entries(given).map(([name, value]) => `<parameter=${name}>\n${value}\n</parameter>\n`);
  const reader = new CallReader(formatOf("<function="), [tool("f", properties)]);
  const { calls } = reader.push(`<tool_call>\n<function=f>\n${written.join("")}</function>\n</tool_call>`);
  expect(JSON.parse(calls[0]!.function.arguments)).toEqual({
    text: "1\n2",
    flag: true,
    list: [1, 2],
    size: "m",
    any: "two words",
    other: "3",
  });
});

const history = [
  { role: "user", content: "Rain in Oslo?" },
  {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "abcdefghi", type: "function", function: { name: "weather", arguments: '{"city": "Oslo"}' } }],
  },
  { role: "tool", tool_call_id: "abcdefghi", content: "Sun." },
] as const;

test("calls of earlier turns reach a template as objects, and a template that knows no tools as text", async () => {
  for (const [template, want] of [
    [
      HERMES,
      [
        { tool_calls: [{ id: "abcdefghi", function: { name: "weather", arguments: { city: "Oslo" } } }] },
        { role: "tool", content: "Sun.", name: "weather" },
      ],
    ],
    [
      PLAIN_TEMPLATE,
      [
        { content: '<tool_call>\n{"name":"weather","arguments":{"city":"Oslo"}}\n</tool_call>' },
        { role: "user", content: "<tool_response>\nSun.\n</tool_response>" },
      ],
    ],
  ] as const) {
    const { completions, asked } = await scripted(["Sun."], { template });
    await completions.create({ messages: history, tools });
    const { messages: sent } = asked[0]!.prompt as { messages: object[] };
    expect(sent.slice(-2)).toMatchObject(want as unknown as object[]);
    if (template === PLAIN_TEMPLATE)
      expect(sent[0]).toMatchObject({ role: "system", content: expect.stringContaining('"name":"add"') });
    else expect(asked[0]!.prompt).toMatchObject({ tools });
  }
});

test("where the system's message carries the tools, they are there", async () => {
  const template = `{% for message in messages %}{{ message.content }}{% if 'tools' in message %}<|tool|>{{ message['tools'] }}{% endif %}{% endfor %}`;
  const { completions, asked } = await scripted(["x"], { template });
  await completions.create({ messages, tools });
  expect(asked[0]!.prompt).toMatchObject({
    messages: [{ role: "system", content: "", tools: expect.stringContaining("weather") }, { role: "user" }],
  });
});

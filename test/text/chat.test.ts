// Chat templates: those of real models, and two written here in the style of the large families.

import { join } from "node:path";
import { expect, test } from "playwright/test";
import type { Message } from "../../src/api.ts";
import { InputError, ModelError } from "../../src/errors.ts";
import { ChatTemplate } from "../../src/text/chat.ts";
import { tokenizerFromGguf } from "../../src/text/gguf.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { FABLE, ggufMetadata, golden, modelFiles, recorded } from "./materials.ts";
import { folderHolding, skipWithout, SMOLLM2, SMOLLM2_GGUF } from "../material.ts";

const system = (content: string): Message => ({ role: "system", content });
const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });
const OPEN = { addGenerationPrompt: true };

const goldenText = (folder: URL, name: string): string =>
  golden(folder).cases.find((entry) => entry.name === name)!.text;

test("fable: its golden prompt", async () => {
  const files = modelFiles(FABLE);
  const template = new ChatTemplate(files.config["chat_template"] as string, (await Tokenizer.create(files)).specials);
  const text = goldenText(FABLE, "hello");
  expect(template.render([user("Hello")], OPEN)).toBe(text);
  expect(template.render([user("Hello")])).toBe(text.replace("<|assistant|>\n", ""));
});

test("smollm2: the default system message, and none beside the caller's own", async () => {
  skipWithout(SMOLLM2, SMOLLM2_GGUF, "golden.json");
  const metadata = ggufMetadata(join(folderHolding(SMOLLM2, SMOLLM2_GGUF)!, SMOLLM2_GGUF));
  const source = metadata.get("tokenizer.chat_template") as string;
  const template = new ChatTemplate(source, (await Tokenizer.create(tokenizerFromGguf(metadata))).specials);
  expect(template.render([user("What is the capital of France?")], OPEN)).toBe(
    goldenText(recorded(SMOLLM2), "chat-capital"),
  );
  const turns = [
    system("You answer in one short sentence."),
    user("Name three fruits."),
    assistant("Apple, banana and orange."),
    user("Which of them is yellow? Write 12 + 30 too. 你好 😀"),
  ];
  expect(template.render(turns, OPEN)).toBe(goldenText(recorded(SMOLLM2), "chat-system-two-turns"));
});

const LLAMA_LIKE = `{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") if strftime_now is defined else "01 Jan 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday: " + date_string + "\\n\\n" + system_message + "<|eot_id|>" }}
{%- if tools is not none %}{{- "never" }}{%- endif %}
{%- for message in messages %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}`;

test("llama-like: date, trimmed contents, alternating roles", () => {
  const template = new ChatTemplate(LLAMA_LIKE, { bos_token: "<|begin_of_text|>" });
  const rendered = template.render([system(" Be brief. "), user(" Hi \n")], OPEN);
  const now = new Date();
  const month = now.toLocaleDateString("en-US", { month: "short" });
  const today = `${String(now.getDate()).padStart(2, "0")} ${month} ${now.getFullYear()}`;
  expect(rendered).toBe(
    `<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday: ${today}\n\nBe brief.<|eot_id|>` +
      "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
  );
  const refused = (): string => template.render([user("a"), user("b")]);
  expect(refused).toThrow(InputError);
  expect(refused).toThrow(/Roles must alternate/);
});

const QWEN_LIKE = `{%- if tools %}{{- '# Tools' }}{%- endif %}
{%- set ns = namespace(last=-1) %}
{%- for i in range(messages | length) %}
    {%- if messages[i].role == "user" %}{%- set ns.last = i %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == "assistant" and '</think>' in content and loop.index0 < ns.last %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}`;

test("qwen-like: thoughts of earlier turns are dropped", () => {
  const template = new ChatTemplate(QWEN_LIKE, {});
  expect(template.render([user("1"), assistant("<think>hm</think>\n\n2"), user("3 {{ 4 }}")], OPEN)).toBe(
    "<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n<|im_start|>user\n3 {{ 4 }}<|im_end|>\n<|im_start|>assistant\n",
  );
});

test("malformed messages are the caller's error", () => {
  const template = new ChatTemplate(QWEN_LIKE, {});
  const wrong: unknown[] = [null, "hi", [null], [{ role: "user" }], [{ role: 1, content: "" }], [{ content: "x" }]];
  for (const messages of wrong) expect(() => template.render(messages as Message[])).toThrow(InputError);
  expect(template.render([])).toBe("");
});

test("damaged templates are ModelErrors: at compile time, at run time, and when they would run forever", () => {
  for (const source of ["{% if %}", "{{ messages", "{% for x in %}{% endfor %}", "{{ 'a' 'b' ( }}"]) {
    expect(() => new ChatTemplate(source, {}), source).toThrow(ModelError);
  }
  for (const source of [
    "{{ messages | nosuchfilter }}",
    "{{ nothing.at.all() }}",
    "{% for i in range(1000000000000) %}{% endfor %}",
  ]) {
    expect(() => new ChatTemplate(source, {}).render([user("a")]), source).toThrow(ModelError);
  }
});

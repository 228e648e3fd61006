// How models write calls of functions: told from their chat template, read from their replies, held to by a grammar.
import { argumentsOf, type CallFormat, repeated } from "./call.ts";
import { functionGemma } from "./gemma.ts";
import { callSchema, readJsonCalls as read } from "./json.ts";
import { qwenCoder } from "./qwencoder.ts";
import { THOUGHT_MARKS } from "./thoughts.ts";
import type { TokenBytes } from "../../text/stream.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";

/** An object for each call, between marks. Hermes, Qwen 2.5 and 3, SmolLM3; SmolLM2 puts a list there, which is read too. */
const hermes: CallFormat = {
  name: "hermes",
  begins: ["<tool_call>"],
  ends: ["</tool_call>"],
  shape: (tools, single) => {
    const call = [{ text: "<tool_call>\n" }, { json: callSchema(tools) }, { text: "\n</tool_call>" }];
    return repeated({ sequence: call }, "\n", single);
  },
  read,
};

/** A list of all calls after a mark. */
const listed = (name: string, begins: readonly string[], end: string, written: string): CallFormat => ({
  name,
  begins,
  ends: end === "" ? [] : [end],
  shape: (tools, single) => {
    const items = callSchema(tools);
    const calls = { json: { type: "array", items, minItems: 1, ...(single && { maxItems: 1 }) } };
    return { sequence: [{ text: begins[0]! + written }, calls, ...(end === "" ? [] : [{ text: end }])] };
  },
  read,
});

/** The name before the arguments, each call with marks of its own. */
const ministral: CallFormat = {
  name: "ministral",
  begins: ["[TOOL_CALLS]"],
  ends: [],
  shape: (tools, single) => {
    const calls = tools.map(({ function: each }) => ({
      sequence: [{ text: `[TOOL_CALLS]${each.name}[ARGS]` }, { json: argumentsOf(each) }],
    }));
    return repeated({ choice: calls }, "", single);
  },
  read,
};

/** A bare object, or several after a mark with semicolons between. */
const llama3: CallFormat = {
  name: "llama3",
  begins: ["<|python_tag|>", ""],
  ends: [";"],
  shape: (tools, single) => repeated({ json: callSchema(tools, "parameters") }, "; ", single),
  read,
};

/** By a part of the chat template, the more special first. */
const FORMATS: readonly (readonly [RegExp, CallFormat])[] = [
  [/\[ARGS\]/, ministral],
  [/\[TOOL_CALLS\]/, listed("mistral", ["[TOOL_CALLS]"], "", " ")],
  [/<\|\/tool_call\|>/, listed("phi4", ["<|tool_call|>", "functools"], "<|/tool_call|>", "")],
  [/<\|tool_call\|>/, listed("granite", ["<|tool_call|>", "<tool_call>", "<function_call>"], "", "")],
  [/<start_function_call>/, functionGemma],
  [/<function=/, qwenCoder],
  [/<tool_call>/, hermes],
  [/<\|python_tag\|>|"parameters": ?dictionary/, llama3],
  [/<\|tool\|>/, listed("phi4", ["<|tool_call|>", "functools"], "<|/tool_call|>", "")],
];

/** The format of a model with this chat template. Where none is known, Hermes', which the prompt then explains. */
export const formatOf = (template: string): CallFormat => FORMATS.find(([sign]) => sign.test(template))?.[1] ?? hermes;

/** Control tokens that formats write: they count as text while calls are read. */
export const MARKS: readonly string[] = [
  "<tool_call>",
  "</tool_call>",
  "<|tool_call|>",
  "<|/tool_call|>",
  "<function_call>",
  "[TOOL_CALLS]",
  "[ARGS]",
  "[CALL_ID]",
  "<|python_tag|>",
  "<start_function_call>",
  "<end_function_call>",
  "<escape>",
];

/** A tokenizer whose control tokens are text where they mark calls or thoughts. */
export function withMarks(tokenizer: Tokenizer): TokenBytes {
  const ids = new Set([...MARKS, ...THOUGHT_MARKS].map((mark) => tokenizer.idOf(mark)));
  return {
    leadingSpaces: tokenizer.leadingSpaces,
    isText: (id) => ids.has(id) || tokenizer.isText(id),
    bytesOf: (id, first) => (ids.has(id) ? tokenizer.literal : tokenizer).bytesOf(id, first),
  };
}

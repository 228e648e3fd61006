// How models write calls of functions: told from their chat template, read from their replies, held to by a grammar.
import type { Tool } from "../../completions.ts";
import type { Shape } from "../../grammar/shape.ts";

export interface CallFormat {
  name: string;
  /** What calls begin with; "" stands for the beginning of a reply. */
  begins: readonly string[];
  /** What may come after a call. */
  end: string;
  /** The member of a call that holds its arguments. */
  member: "arguments" | "parameters";
  /** What a reply is that consists of calls: at least one, at most one where `single`. */
  shape: (tools: readonly Tool[], single: boolean) => Shape;
}

type Function = Tool["function"];

const argumentsOf = ({ parameters }: Function): object => parameters ?? { type: "object", properties: {} };

const required = (properties: Record<string, unknown>): object => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

/** A call of any of the tools as a JSON object. */
const callSchema = (tools: readonly Tool[], member: CallFormat["member"]): object => {
  const calls = tools.map(({ function: each }) =>
    required({ name: { const: each.name }, [member]: argumentsOf(each) }),
  );
  return calls.length === 1 ? calls[0]! : { anyOf: calls };
};

const repeated = (call: Shape, between: string, single: boolean): Shape => (single ? call : { repeat: call, between });

/** An object for each call, between marks. Hermes, Qwen 2.5 and 3, SmolLM3; SmolLM2 puts a list there, which is read too. */
const hermes: CallFormat = {
  name: "hermes",
  begins: ["<tool_call>"],
  end: "</tool_call>",
  member: "arguments",
  shape: (tools, single) => {
    const call = [{ text: "<tool_call>\n" }, { json: callSchema(tools, "arguments") }, { text: "\n</tool_call>" }];
    return repeated({ sequence: call }, "\n", single);
  },
};

/** A list of all calls after a mark. */
const listed = (name: string, begins: readonly string[], end: string, written: string): CallFormat => ({
  name,
  begins,
  end,
  member: "arguments",
  shape: (tools, single) => {
    const items = callSchema(tools, "arguments");
    const calls = { json: { type: "array", items, minItems: 1, ...(single && { maxItems: 1 }) } };
    return { sequence: [{ text: begins[0]! + written }, calls, ...(end === "" ? [] : [{ text: end }])] };
  },
});

/** The name before the arguments, each call with marks of its own. */
const ministral: CallFormat = {
  name: "ministral",
  begins: ["[TOOL_CALLS]"],
  end: "",
  member: "arguments",
  shape: (tools, single) => {
    const calls = tools.map(({ function: each }) => ({
      sequence: [{ text: `[TOOL_CALLS]${each.name}[ARGS]` }, { json: argumentsOf(each) }],
    }));
    return repeated({ choice: calls }, "", single);
  },
};

/** A bare object, or several after a mark with semicolons between. */
const llama3: CallFormat = {
  name: "llama3",
  begins: ["<|python_tag|>", ""],
  end: ";",
  member: "parameters",
  shape: (tools, single) => repeated({ json: callSchema(tools, "parameters") }, "; ", single),
};

/** By a part of the chat template, the more special first. */
const FORMATS: readonly (readonly [RegExp, CallFormat])[] = [
  [/\[ARGS\]/, ministral],
  [/\[TOOL_CALLS\]/, listed("mistral", ["[TOOL_CALLS]"], "", " ")],
  [/<\|\/tool_call\|>/, listed("phi4", ["<|tool_call|>", "functools"], "<|/tool_call|>", "")],
  [/<\|tool_call\|>/, listed("granite", ["<|tool_call|>", "<tool_call>", "<function_call>"], "", "")],
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
];

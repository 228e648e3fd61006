// Qwen3-Coder's calls, and Qwen 3.5's: marks around the function and each argument, whose text is that of the value.
//   <tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>
import type { Tool } from "../../completions.ts";
import type { Shape } from "../../grammar/shape.ts";
import {
  argumentsOf,
  type CallFormat,
  type Found,
  isText,
  listedTexts,
  membersOf,
  repeated,
  type Schema,
  textBefore,
  toCall,
} from "./call.ts";

export const qwenCoder: CallFormat = {
  name: "qwen-coder",
  begins: ["<tool_call>", "<function="],
  ends: ["</tool_call>"],
  shape: (tools, single) => repeated({ choice: tools.map(callShape) }, "\n", single),
  read,
};

// ---- what a grammar holds a call to ----

const callShape = ({ function: each }: Tool): Shape => ({
  sequence: [
    { text: `<tool_call>\n<function=${each.name}>\n` },
    ...membersOf(argumentsOf(each)).map((member) => {
      const parts = [{ text: `<parameter=${member.name}>\n` }, valueShape(member.schema, argumentsOf(each)), { text: "\n</parameter>\n" }]; // prettier-ignore
      return member.required ? { sequence: parts } : { choice: [{ sequence: parts }, { text: "" }] };
    }),
    { text: "</function>\n</tool_call>" },
  ],
});

function valueShape(schema: Schema, { $defs }: Schema): Shape {
  if (!isText(schema)) return { json: $defs === undefined ? schema : { ...schema, $defs } };
  const texts = listedTexts(schema);
  return texts ? { choice: texts.map((text) => ({ text })) } : textBefore("/");
}

// ---- what is read ----

const HEAD = /^(?:<tool_call>\s*)?<function=([^>\s]+)>/;
const ARGUMENT = /\s*<parameter=([^>\s]+)>([^]*?)<\/parameter>/y;
const END = /\s*<\/function>/y;

function read(text: string, _mark: string, tools: readonly Tool[]): Found {
  const head = HEAD.exec(text);
  if (!head) return isBegun(text) ? "open" : null;
  const tool = tools.find(({ function: { name } }) => name === head[1]);
  const members = tool ? membersOf(argumentsOf(tool.function)) : [];
  const given: [string, unknown][] = [];
  let at = head[0].length;
  for (;;) {
    ARGUMENT.lastIndex = END.lastIndex = at;
    const end = END.exec(text);
    if (end)
      return { calls: [toCall({ name: head[1], arguments: Object.fromEntries(given) })!], length: END.lastIndex };
    const [whole, name, value] = ARGUMENT.exec(text) ?? [];
    if (whole === undefined) return isBeginning(text.slice(at)) ? "open" : null;
    const schema = members.find((member) => member.name === name)?.schema;
    given.push([name!, valueOf(value!, schema)]);
    at += whole.length;
  }
}

/** Whether a call may come that has not come as far as the end of its name. */
function isBegun(text: string): boolean {
  const rest = text.replace(/^<tool_call>\s*/, "");
  return "<function=".startsWith(rest) || /^<function=[^>\s]*$/.test(rest);
}

/** Whether an argument or the end of the call may still come of what is there. */
function isBeginning(text: string): boolean {
  const rest = text.trimStart();
  return ["<parameter=", "</function>"].some((mark) => mark.startsWith(rest) || rest.startsWith(mark));
}

/** A text as it is, between the lines of its marks; any other value as JSON, where it is JSON. */
function valueOf(written: string, schema: Schema | undefined): unknown {
  const text = written.replace(/^\n/, "").replace(/\n$/, "");
  if (schema === undefined || isText(schema)) return text;
  try {
    return JSON.parse(PYTHON[text.trim()] ?? text);
  } catch {
    return text;
  }
}

/** As the model's template writes them in earlier turns. */
const PYTHON: Readonly<Record<string, string>> = { True: "true", False: "false", None: "null" };

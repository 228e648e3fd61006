// Calls that are JSON: one object, or a list of them.
import type { Tool } from "../../completions.ts";
import { argumentsOf, type Found, toCall } from "./call.ts";

/** The member of a call that holds its arguments. */
type Member = "arguments" | "parameters";

const required = (properties: Record<string, unknown>): object => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

/** A call of any of the tools as a JSON object. */
export const callSchema = (tools: readonly Tool[], member: Member = "arguments"): object => {
  const calls = tools.map(({ function: each }) =>
    required({ name: { const: each.name }, [member]: argumentsOf(each) }),
  );
  return calls.length === 1 ? calls[0]! : { anyOf: calls };
};

/** The calls after the mark at the beginning of `text`. */
export function readJsonCalls(text: string, mark: string): Found {
  const start = mark.length + spaceAt(text, mark.length);
  const head = /^([\w.-]+)(?:\[CALL_ID\]\w*)?(?:\[ARGS\])?\s*(?=\{|$)/.exec(text.slice(start));
  const from = start + (head?.[0].length ?? 0);
  if (from === text.length) return "open";
  if (!"{[".includes(text[from]!)) return /^[\w.-]+\[[A-Z_]*\]?\w*$/.test(text.slice(start)) ? "open" : null;
  const length = jsonLength(text, from);
  if (length === null) return "open";
  const body = parsed(text.slice(from, from + length));
  const found = head ? [{ name: head[1], arguments: body }] : [body].flat();
  const calls = found.map(toCall);
  return calls.length > 0 && calls.every((call) => call !== null) ? { calls, length: from + length } : null;
}

const spaceAt = (text: string, from: number): number => /^\s*/.exec(text.slice(from))![0].length;

/** Length of the JSON object or list that begins at `from`; null where it does not end. */
function jsonLength(text: string, from: number): number | null {
  let depth = 0;
  const signs = /"(?:\\.|[^"\\])*("|$)|[{}[\]]/gs;
  signs.lastIndex = from;
  for (let sign = signs.exec(text); sign; sign = signs.exec(text)) {
    if (sign[0].startsWith('"')) continue;
    depth += "{[".includes(sign[0]) ? 1 : -1;
    if (depth === 0) return signs.lastIndex - from;
  }
  return null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

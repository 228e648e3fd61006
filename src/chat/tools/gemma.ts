// FunctionGemma's calls: names without quotes, and texts between marks.
//   <start_function_call>call:add{a:1,note:<escape>one, two<escape>}<end_function_call>
import type { Tool } from "../../completions.ts";
import type { Shape } from "../../grammar/shape.ts";
import { argumentsOf, type CallFormat, type Found, isText, listedTexts, membersOf, repeated, type Schema, textBefore, toCall } from "./call.ts"; // prettier-ignore

const BEGIN = "<start_function_call>";
const END = "<end_function_call>";
const QUOTE = "<escape>";

export const functionGemma: CallFormat = {
  name: "function-gemma",
  begins: [BEGIN],
  ends: [END],
  shape: (tools, single) => repeated({ choice: tools.map(callShape) }, "", single),
  read,
};

// ---- what a grammar holds a call to ----

const callShape = ({ function: each }: Tool): Shape => ({
  sequence: [{ text: `${BEGIN}call:${each.name}` }, objectShape(argumentsOf(each)), { text: END }],
});

/** Members in the order of their names, as the model was trained; those that need not be there may be left out. */
function objectShape(schema: Schema): Shape {
  const members = membersOf(schema).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const written = members.map(({ name, schema: each }) => [{ text: `${name}:` }, valueShape(each)]);
  /** Of those from `from` on, where some are there before. */
  const following = (from: number): Shape[] =>
    members.slice(from).map(({ required }, i) => {
      const member = { sequence: [{ text: "," }, ...written[from + i]!] };
      return required ? member : { choice: [member, { text: "" }] };
    });
  const need = members.findIndex(({ required }) => required);
  const firsts = members.slice(0, need < 0 ? members.length : need + 1);
  const lists: Shape[] = firsts.map((_, i) => ({ sequence: [...written[i]!, ...following(i + 1)] }));
  return { sequence: [{ text: "{" }, { choice: need < 0 ? [...lists, { text: "" }] : lists }, { text: "}" }] };
}

const text = (inner: Shape): Shape => ({ sequence: [{ text: QUOTE }, inner, { text: QUOTE }] });

function valueShape(schema: Schema): Shape {
  const { type, items } = schema;
  const texts = listedTexts(schema);
  if (isText(schema)) return text(texts ? { choice: texts.map((each) => ({ text: each })) } : textBefore("e"));
  if (type === "object") return objectShape(schema);
  if (type === "array") {
    const list = { repeat: valueShape((items as Schema | undefined) ?? {}), between: "," };
    return { sequence: [{ text: "[" }, { choice: [list, { text: "" }] }, { text: "]" }] };
  }
  if (type !== undefined || texts) return { json: schema };
  return { choice: [text(textBefore("e")), { json: { type: ["number", "boolean", "null"] } }] };
}

// ---- what is read ----

function read(written: string, mark: string): Found {
  const rest = written.slice(mark.length);
  const head = /^call:([^{\s]+)(?=\{)/.exec(rest);
  if (!head) return "call:".startsWith(rest) || /^call:[^{\s]*$/.test(rest) ? "open" : null;
  const reader = new ValueReader(written, mark.length + head[0].length);
  try {
    const call = toCall({ name: head[1], arguments: reader.value() });
    return call && { calls: [call], length: reader.at };
  } catch (error) {
    if (error === OPEN) return "open";
    if (error === WRONG) return null;
    throw error;
  }
}

/** Thrown where the text ends within a value, and where it is none. */
const OPEN = new Error("more must come");
const WRONG = new Error("no value");

/** Values from a place on, each of which it stands behind afterwards. */
class ValueReader {
  at: number;
  readonly #text: string;

  constructor(all: string, at: number) {
    this.#text = all;
    this.at = at;
  }

  value(): unknown {
    if (this.#takes("{")) return Object.fromEntries(this.#list("}", () => [this.#name(), this.value()] as const));
    if (this.#takes("[")) return this.#list("]", () => this.value());
    if (this.#takes(QUOTE)) return this.#until(QUOTE);
    return this.#bare();
  }

  #list<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.#takes(end)) {
      if (items.length > 0 && !this.#takes(",")) throw WRONG;
      items.push(item());
    }
    return items;
  }

  #name(): string {
    return this.#until(":").trim();
  }

  /** A number, true, false or null; whatever else is there is a text. */
  #bare(): unknown {
    const [found] = /^[^,}\]<]*/.exec(this.#text.slice(this.at))!;
    if (this.at + found.length === this.#text.length) throw OPEN;
    if (found === "") throw WRONG;
    this.at += found.length;
    try {
      return JSON.parse(found);
    } catch {
      return found.trim();
    }
  }

  #until(end: string): string {
    const to = this.#text.indexOf(end, this.at);
    if (to < 0) throw OPEN;
    const found = this.#text.slice(this.at, to);
    this.at = to + end.length;
    return found;
  }

  /** Whether the sign comes next, which it then is behind. Where only a part of it is there, more must come. */
  #takes(sign: string): boolean {
    const rest = this.#text.slice(this.at, this.at + sign.length);
    if (rest !== sign && sign.startsWith(rest)) throw OPEN;
    if (rest === sign) this.at += sign.length;
    return rest === sign;
  }
}

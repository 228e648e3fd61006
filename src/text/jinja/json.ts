// json.dumps of Python.
import { floatText, repr } from "./print.ts";
import { Dict, Tuple, type Value, fail, isList, isNumeric, toIndex, toText, typeName } from "./values.ts";

export interface JsonStyle {
  ascii: boolean;
  /** Of one level; null writes all on one line. */
  indent: string | null;
  /** Between items, and after a key. */
  separators: readonly [string, string];
  sorted: boolean;
}

export function jsonStyle(ascii: boolean, indent: Value, separators: Value, sorted: boolean): JsonStyle {
  const step =
    indent === null || typeof indent === "string" ? indent : " ".repeat(Math.max(0, toIndex(indent, "indent")));
  if (separators === null) return { ascii, indent: step, separators: [step === null ? ", " : ",", ": "], sorted };
  const pair = separators instanceof Tuple ? separators.items : isList(separators) ? separators : [];
  if (pair.length !== 2) return fail("tojson: separators; want two texts");
  return { ascii, indent: step, separators: [toText(pair[0]!, "separators"), toText(pair[1]!, "separators")], sorted };
}

/** `margin`: what the lines of this level begin with. */
export function dumps(value: Value, style: JsonStyle, margin = "\n"): string {
  if (value === null) return "null";
  if (typeof value === "string") return quoted(value, style.ascii);
  if (isNumeric(value)) return typeof value === "number" ? jsonFloat(value) : String(value);
  const inner = margin + (style.indent ?? "");
  if (isList(value))
    return block(
      "[]",
      value.map((item) => dumps(item, style, inner)),
      style,
      margin,
    );
  if (value instanceof Tuple) return dumps(value.items, style, margin);
  if (value instanceof Dict) return block("{}", members(value, style, inner), style, margin);
  return fail(`tojson: a ${typeName(value)} is not JSON serializable`);
}

function members(dict: Dict, style: JsonStyle, inner: string): string[] {
  const entries = dict.entries().map(([key, value]) => [keyText(key), value] as const);
  if (style.sorted) entries.sort(([left], [right]) => (left < right ? -1 : 1));
  return entries.map(([key, value]) => quoted(key, style.ascii) + style.separators[1] + dumps(value, style, inner));
}

function keyText(key: Value): string {
  if (typeof key === "string") return key;
  if (key === null || isNumeric(key)) return dumps(key, jsonStyle(false, null, null, false));
  return fail(`tojson: a key that is ${repr(key)}`);
}

function block(brackets: string, parts: readonly string[], { indent, separators }: JsonStyle, margin: string): string {
  if (parts.length === 0) return brackets;
  const [open, close] = indent === null ? ["", ""] : [margin + indent, margin];
  return brackets[0]! + open + parts.join(separators[0] + open) + close + brackets[1]!;
}

const jsonFloat = (value: number): string =>
  Number.isFinite(value) ? floatText(value) : Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\f": "\\f",
  "\b": "\\b",
};

const escapeOf = (unit: string): string => SHORT[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

const quoted = (text: string, ascii: boolean): string =>
  // oxlint-disable-next-line no-control-regex -- these are what JSON escapes
  `"${text.replace(ascii ? /["\\]|[^ -~]/g : /["\\\x00-\x1f]/g, escapeOf)}"`;

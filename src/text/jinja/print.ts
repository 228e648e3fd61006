// str() and repr() of Python.
import {
  Dict,
  Markup,
  Namespace,
  Once,
  Range,
  Tuple,
  Undefined,
  type Value,
  View,
  fail,
  isList,
  typeName,
} from "./values.ts";

/** What `{{ value }}` writes. */
export function str(value: Value): string {
  if (typeof value === "string") return value;
  if (value instanceof Undefined) return "";
  return value instanceof Markup ? value.text : repr(value);
}

export function repr(value: Value): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return floatText(value);
  return typeof value === "string" ? quoted(value) : objectText(value);
}

function objectText(value: Value & object): string {
  if (isList(value)) return `[${value.map(repr).join(", ")}]`;
  if (value instanceof Tuple) return tupleText(value);
  if (value instanceof Dict) return dictText(value.entries());
  if (value instanceof View) return `${value.kind}([${value.items.map(repr).join(", ")}])`;
  if (value instanceof Range) return rangeText(value);
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Markup) return `Markup(${quoted(value.text)})`;
  if (value instanceof Namespace) return `<Namespace ${dictText([...value.fields])}>`;
  return fail(`${value instanceof Once ? "a generator (add `| list`)" : `a ${typeName(value)}`} cannot be printed`);
}

function tupleText({ items, names }: Tuple): string {
  if (names.length > 0) return `(${items.map((item, index) => `${names[index]}=${repr(item)}`).join(", ")})`;
  return items.length === 1 ? `(${repr(items[0]!)},)` : `(${items.map(repr).join(", ")})`;
}

const dictText = (entries: readonly (readonly [Value, Value])[]): string =>
  `{${entries.map(([key, value]) => `${repr(key)}: ${repr(value)}`).join(", ")}}`;

function rangeText({ start, length, step }: Range): string {
  const stop = start + length * step;
  return step === 1 ? `range(${start}, ${stop})` : fail("a range with a step cannot be printed (add `| list`)");
}

/** The fewest digits that give the number back, with an exponent from 1e16 on and below 1e-4. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const [digits, exponent] = value.toExponential().split("e") as [string, string];
  const power = Number(exponent);
  const sign = Object.is(value, -0) ? "-" : "";
  if (power < -4 || power >= 16) return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  const plain = power < 0 ? value.toFixed(Math.max(0, digits.replace(/[-.]/g, "").length - 1 - power)) : String(value);
  return sign + (plain.includes(".") ? plain : `${plain}.0`);
}

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\\p{C}\p{Z}'"]/gu, (character) => escapeOf(character, quote));
  return quote + escaped + quote;
}

function escapeOf(character: string, quote: string): string {
  if (character === " ") return character;
  if (character === "'" || character === '"') return character === quote ? `\\${character}` : character;
  if (ESCAPES[character]) return ESCAPES[character];
  const code = character.codePointAt(0)!;
  const hex = (prefix: string, width: number): string => `\\${prefix}${code.toString(16).padStart(width, "0")}`;
  return code < 0x100 ? hex("x", 2) : code < 0x10000 ? hex("u", 4) : hex("U", 8);
}

// int(), float() and round() as filters.
import { fixed } from "./format.ts";
import { stripped } from "./characters.ts";
import { type Value, Undefined, fail, isNumeric, toIndex, toText, typeName, unusable } from "./values.ts";

const DECIMAL = /^[-+]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[-+]?\d+)?$/i;
const SPECIAL: Readonly<Record<string, number>> = { inf: Infinity, infinity: Infinity, nan: NaN };

/** float(); null where Python raises an error. */
function floatOf(value: Value): number | null {
  if (isNumeric(value)) return Number(value);
  if (value instanceof Undefined) return unusable(value);
  if (typeof value !== "string") return null;
  const text = stripped(value, "both", null);
  if (DECIMAL.test(text)) return Number(text.replaceAll("_", ""));
  const special = SPECIAL[text.replace(/^[-+]/, "").toLowerCase()];
  return special === undefined ? null : text.startsWith("-") ? -special : special;
}

/** int(), of a text by way of float() where it is no int; null where Python raises an error. */
function intOf(value: Value, base: number): bigint | null {
  if (typeof value === "bigint") return value;
  const whole = typeof value === "string" ? wholeOf(stripped(value, "both", null), base) : null;
  if (whole !== null) return whole;
  const float = floatOf(value);
  return float !== null && Number.isFinite(float) ? BigInt(Math.trunc(float)) : null;
}

const PREFIXES: Readonly<Record<number, string>> = { 2: "0b", 8: "0o", 16: "0x" };

function wholeOf(text: string, base: number): bigint | null {
  const [, sign, rest] = /^([-+]?)(.*)$/s.exec(text.toLowerCase())!;
  const prefix = PREFIXES[base] ?? "";
  if (prefix === "" && base !== 10) return fail(`int: base ${base} is not supported`);
  const digits = rest!.startsWith(prefix) ? rest!.slice(prefix.length) : rest!;
  const allowed = { 2: /^[01]+(_[01]+)*$/, 8: /^[0-7]+(_[0-7]+)*$/, 10: /^\d+(_\d+)*$/, 16: /^[\da-f]+(_[\da-f]+)*$/ }[
    base
  ]!;
  if (!allowed.test(digits)) return null;
  const number = BigInt(prefix + digits.replaceAll("_", ""));
  return sign === "-" ? -number : number;
}

export const toInt = (value: Value, otherwise: Value = 0n, base: Value = 10n): Value =>
  intOf(value, toIndex(base, "int: base")) ?? otherwise;

export const toFloat = (value: Value, otherwise: Value = 0): Value => floatOf(value) ?? otherwise;

/** `method`: common (a tie to the even digit), ceil or floor. */
export function round(value: Value, precision: Value = 0n, method: Value = "common"): Value {
  const digits = toIndex(precision, "round");
  if (!isNumeric(value)) return value instanceof Undefined ? unusable(value) : fail(`round: got ${typeName(value)}`);
  const name = toText(method, "round");
  if (name === "ceil" || name === "floor") return Math[name](Number(value) * 10 ** digits) / 10 ** digits;
  if (name !== "common") return fail("round: the method; want common, ceil or floor");
  if (digits < 0) return fail("round: a negative precision is not supported");
  if (typeof value !== "number") return BigInt(value);
  return Number.isFinite(value) ? Number(fixed(value, digits)) : value;
}

// The two ways in which Python formats: "%s" % value and "{}".format(value).
import { floatText, repr, str } from "./print.ts";
import {
  type Call,
  Dict,
  Tuple,
  type Value,
  checkCount,
  fail,
  isList,
  isNumeric,
  toIndex,
  typeName,
} from "./values.ts";

/** `[[fill]align][sign][#][0][width][,][.precision][type]` of a format, in its parts. */
interface Spec {
  fill: string;
  align: string;
  sign: string;
  width: number;
  comma: boolean;
  precision: number | null;
  type: string;
}

const PERCENT = /%(?:\(([^)]*)\))?([-+ 0]*)(\d*)(?:\.(\d+))?([a-zA-Z%])/g;

/** `%d %i %s %r %f %e %x %X %o %%` with flags, width, precision and names. Errors: TemplateFailure for any other. */
export function formatPercent(pattern: string, value: Value): string {
  const list = value instanceof Tuple ? [...value.items] : [value];
  let used = 0;
  const next = (name: string | undefined): Value => {
    if (name !== undefined) return fieldOf(value, name);
    return used < list.length ? list[used++]! : fail(`"%": not enough arguments for ${repr(pattern)}`);
  };
  if (pattern.replace(PERCENT, "").includes("%")) return fail(`"%": unsupported format ${repr(pattern)}`);
  const text = pattern.replace(PERCENT, (_, name, flags: string, width, precision, type: string) =>
    type === "%" ? "%" : formatted(next(name), percentSpec(flags, width, precision, type), type),
  );
  if (used < list.length && !(value instanceof Dict)) return fail(`"%": more arguments than ${repr(pattern)} takes`);
  return text;
}

function fieldOf(value: Value, name: string): Value {
  const field = value instanceof Dict ? value.get(name) : fail(`"%(${name})": got ${typeName(value)}, want a dict`);
  return field ?? fail(`"%(${name})": there is no such key`);
}

function percentSpec(flags: string, width: string, precision: string | undefined, type: string): Spec {
  const zero = flags.includes("0") && !flags.includes("-");
  const numeric = !"sr".includes(type);
  return {
    fill: zero && numeric ? "0" : " ",
    align: flags.includes("-") ? "<" : zero && numeric ? "=" : ">",
    sign: flags.includes("+") ? "+" : flags.includes(" ") ? " " : "-",
    width: Number(width),
    comma: false,
    precision: precision === undefined ? null : Number(precision),
    type: type === "i" ? "d" : type,
  };
}

function formatted(value: Value, spec: Spec, type: string): string {
  if (type === "s" || type === "r") return padded(cut(type === "s" ? str(value) : repr(value), spec.precision), spec);
  if (!isNumeric(value)) return fail(`"%${type}": got ${typeName(value)}, want a number`);
  const whole = "dixXo".includes(type);
  return numberText(whole && typeof value === "number" ? BigInt(Math.trunc(value)) : value, spec);
}

const FIELD = /\{\{|\}\}|\{([^{}!:]*)(?:!([rs]))?(?::([^{}]*))?\}|[{}]/g;

/** `{}`, `{0}`, `{name}`, `{0[key]}`, `!r`, `!s` and format specifications. Errors: TemplateFailure for any other. */
export function formatBraces(pattern: string, call: Call): string {
  let used = 0;
  return pattern.replace(FIELD, (match, field: string | undefined, conversion, spec: string | undefined) => {
    if (match === "{{" || match === "}}") return match[0]!;
    if (field === undefined) return fail(`format(): unsupported pattern ${repr(pattern)}`);
    const value = lookUp(field === "" ? String(used++) : field, call);
    const text = conversion === "r" ? repr(value) : conversion === "s" ? str(value) : value;
    return formatValue(text, spec ?? "");
  });
}

function lookUp(field: string, { positional, named }: Call): Value {
  const [, name, keys] = /^(\w+)((?:\[[^[\]]+\])*)$/.exec(field) ?? fail(`format(): unsupported field {${field}}`);
  const first = /^\d+$/.test(name!) ? positional[Number(name)] : named.get(name!);
  if (first === undefined) return fail(`format(): there is no argument for {${field}}`);
  return [...keys!.matchAll(/\[([^[\]]+)\]/g)].reduce((value, [, key]) => itemOf(value, key!), first);
}

function itemOf(value: Value, key: string): Value {
  const item =
    value instanceof Dict ? value.get(key) : isList(value) && /^\d+$/.test(key) ? value[Number(key)] : undefined;
  return item ?? fail(`format(): there is no [${key}]`);
}

const SPEC = /^(?:(.)?([<>^=]))?([-+ ])?(0)?(\d*)(,)?(?:\.(\d+))?([bdeEfgFsxXo%])?$/su;

/** format(value, specification). */
function formatValue(value: Value, text: string): string {
  if (text === "") return str(value);
  const found = SPEC.exec(text);
  if (!found || found[8] === "g" || found[8] === "b") return fail(`format(): unsupported specification "${text}"`);
  const [, fill, align, sign, zero, width, comma, precision, type] = found;
  const numeric = isNumeric(value) && typeof value !== "boolean";
  const spec = {
    fill: fill ?? (zero ? "0" : " "),
    align: align ?? (numeric ? (zero ? "=" : ">") : "<"),
    sign: sign ?? "-",
    width: Number(width),
    comma: comma !== undefined,
    precision: precision === undefined ? null : Number(precision),
    type: type ?? "",
  };
  if (numeric) return spec.type === "s" ? fail("format(): 's' for a number") : numberText(value, spec);
  if (typeof value !== "string" || !["", "s"].includes(spec.type))
    return fail(`format(): "${text}" for ${typeName(value)}`);
  return padded(cut(value, spec.precision), spec);
}

const cut = (text: string, precision: number | null): string =>
  precision === null ? text : [...text].slice(0, precision).join("");

function numberText(value: bigint | number | boolean, spec: Spec): string {
  const body = magnitude(value, spec);
  const negative = Number(value) < 0 || Object.is(value, -0);
  const sign = negative ? "-" : spec.sign === "-" ? "" : spec.sign;
  if (spec.align !== "=") return padded(sign + body, spec);
  return sign + body.padStart(spec.width - sign.length, spec.fill);
}

/** The number without its sign. */
function magnitude(value: bigint | number | boolean, { type, precision, comma }: Spec): string {
  const float = Math.abs(Number(value));
  if (type === "f" || type === "F") return grouped(fixed(float, precision ?? 6), comma);
  if (type === "%") return `${fixed(float * 100, precision ?? 6)}%`;
  if (type === "e" || type === "E") return exponential(float, precision ?? 6, type);
  if (precision !== null) return fail("a precision without a type in a format");
  if (typeof value === "number")
    return type === "" ? grouped(floatText(float), comma) : fail(`format "${type}" for a float`);
  const whole = BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
  if (type === "" || type === "d") return grouped(whole.toString(), comma);
  const digits = whole.toString(type === "o" ? 8 : 16);
  return type === "X" ? digits.toUpperCase() : digits;
}

function exponential(value: number, precision: number, type: string): string {
  const text = value.toExponential(precision).replace(/e([-+])(\d)$/, "e$10$2");
  return type === "E" ? text.toUpperCase() : text;
}

const grouped = (text: string, comma: boolean): string =>
  comma ? text.replace(/^\d+/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",")) : text;

/** Rounded to `digits` decimals, a tie to the even digit. */
export function fixed(value: number, digits: number): string {
  if (digits > 100) return fail("more than 100 decimals");
  if (!Number.isFinite(value)) return floatText(value);
  const scaled = Math.abs(value) * 10 ** digits;
  // Only a number of at most digits + 1 binary decimals can lie half-way.
  const isTie = Number.isInteger(value * 2 ** (digits + 1)) && scaled % 1 === 0.5;
  if (!isTie || Math.floor(scaled) % 2 === 1) return tenths(value, digits);
  return tenths(Math.sign(value) * (Math.floor(scaled) / 10 ** digits), digits);
}

/** toFixed, which from 1e21 on writes an exponent. */
const tenths = (value: number, digits: number): string =>
  Math.abs(value) < 1e21
    ? value.toFixed(digits)
    : BigInt(value).toString() + (digits > 0 ? `.${"0".repeat(digits)}` : "");

/** Widths count code points. */
export function padded(text: string, { fill, align, width }: Pick<Spec, "fill" | "align" | "width">): string {
  const missing = width - [...text].length;
  if (missing <= 0) return text;
  checkCount(missing, "text");
  if (align !== "^") return align === "<" ? text + fill.repeat(missing) : fill.repeat(missing) + text;
  const left = missing >> 1;
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

/** str.center(), which puts the odd space left or right by the width. */
export function centred(text: string, width: number, fill: string): string {
  const missing = width - [...text].length;
  if (missing <= 0) return text;
  checkCount(missing, "text");
  const left = (missing >> 1) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

export const toWidth = (value: Value): number => toIndex(value, "width");

// Python's operators.
import { formatPercent } from "./format.ts";
import {
  Dict,
  Range,
  Tuple,
  Undefined,
  type Value,
  View,
  checkCount,
  checkText,
  fail,
  isList,
  isNumeric,
  iterate,
  toIndex,
  typeName,
  unusable,
} from "./values.ts";

export type BinaryOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**";
export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

type Arithmetic = Record<BinaryOperator, (left: number, right: number) => number>;

/** Largest int that a template may compute. */
const MAX_INT = 2n ** 4096n;

const whole = (value: bigint | boolean): bigint => BigInt(value);

const floorDivide = (left: bigint, right: bigint): bigint => {
  const quotient = left / right;
  return left % right !== 0n && left < 0n !== right < 0n ? quotient - 1n : quotient;
};

/** Takes the sign of the right side. */
const modulo = (left: number, right: number): number => {
  const rest = left % right;
  return rest !== 0 && rest < 0 !== right < 0 ? rest + right : rest;
};

const FLOATS: Arithmetic = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / right,
  "//": (left, right) => Math.floor((left - modulo(left, right)) / right + 0.5),
  "%": modulo,
  "**": (left, right) => left ** right,
};

const INTS: Record<Exclude<BinaryOperator, "/">, (left: bigint, right: bigint) => bigint> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "//": floorDivide,
  "%": (left, right) => left - right * floorDivide(left, right),
  "**": (left, right) => left ** right,
};

/** Errors: TemplateFailure where Python raises one. */
export function binary(operator: BinaryOperator, left: Value, right: Value): Value {
  if (isNumeric(left) && isNumeric(right)) return arithmetic(operator, left, right);
  if (operator === "%" && typeof left === "string") return formatPercent(left, right);
  if (operator === "+") return joined(left, right);
  if (operator === "*" && isNumeric(right)) return repeated(left, right);
  if (operator === "*" && isNumeric(left)) return repeated(right, left);
  return mismatch(operator, left, right);
}

function mismatch(operator: string, left: Value, right: Value): never {
  for (const side of [left, right]) if (side instanceof Undefined) unusable(side);
  return fail(`'${operator}' does not go with '${typeName(left)}' and '${typeName(right)}'`);
}

type Numeric = bigint | number | boolean;

function arithmetic(operator: BinaryOperator, left: Numeric, right: Numeric): Value {
  if (["/", "//", "%"].includes(operator) && Number(right) === 0) return fail("division by zero");
  const isFloat = typeof left === "number" || typeof right === "number";
  if (operator === "**") return power(left, right);
  if (isFloat || operator === "/") return FLOATS[operator](Number(left), Number(right));
  const result = INTS[operator](whole(left as bigint), whole(right as bigint));
  return result < MAX_INT && result > -MAX_INT ? result : fail("an int that is too large");
}

function power(left: Numeric, right: Numeric): Value {
  const [base, exponent] = [Number(left), Number(right)];
  if (base === 0 && exponent < 0) return fail("zero to a negative power");
  if (base < 0 && !Number.isInteger(exponent)) return fail("a power with a complex value");
  if (typeof left === "number" || typeof right === "number" || exponent < 0) return base ** exponent;
  if (Math.log2(Math.abs(base) + 1) * exponent > 4096) return fail("a power that is too large");
  return INTS["**"](whole(left), whole(right));
}

function joined(left: Value, right: Value): Value {
  if (typeof left === "string" && typeof right === "string") return checkText(left + right);
  if (isList(left) && isList(right)) return joinedItems(left, right);
  if (left instanceof Tuple && right instanceof Tuple) return new Tuple(joinedItems(left.items, right.items));
  return mismatch("+", left, right);
}

function joinedItems(left: readonly Value[], right: readonly Value[]): Value[] {
  checkCount(left.length + right.length, "items");
  return [...left, ...right];
}

function repeated(value: Value, times: Numeric): Value {
  if (typeof times === "number") return mismatch("*", value, times);
  const count = Math.max(0, toIndex(times, "*"));
  if (typeof value === "string") {
    checkCount(value.length * count, "text");
    return value.repeat(count);
  }
  if (isList(value)) return repeatedItems(value, count);
  return value instanceof Tuple ? new Tuple(repeatedItems(value.items, count)) : mismatch("*", value, times);
}

function repeatedItems(items: readonly Value[], count: number): Value[] {
  checkCount(items.length * count, "items");
  return Array.from({ length: count }, () => items).flat();
}

export function signed(minus: boolean, value: Value): Value {
  if (!isNumeric(value)) return value instanceof Undefined ? unusable(value) : fail(`a sign before ${typeName(value)}`);
  const number = typeof value === "boolean" ? BigInt(value) : value;
  return minus ? -number : number;
}

export function equal(left: Value, right: Value): boolean {
  if (isNumeric(left) && isNumeric(right)) return numberOf(left) == numberOf(right);
  if (left instanceof Undefined) return right instanceof Undefined;
  if (isList(left)) return isList(right) && sameItems(left, right);
  if (left instanceof Tuple) return right instanceof Tuple && sameItems(left.items, right.items);
  if (left instanceof Dict) return right instanceof Dict && sameEntries(left, right);
  if (left instanceof Range) return right instanceof Range && sameItems([...iterate(left)], [...iterate(right)]);
  return left === right;
}

/** bigint and number compare by value in JavaScript; a boolean would not. */
const numberOf = (value: Numeric): bigint | number => (typeof value === "boolean" ? BigInt(value) : value);

const sameItems = (left: readonly Value[], right: readonly Value[]): boolean =>
  left.length === right.length && left.every((item, index) => equal(item, right[index]!));

const sameEntries = (left: Dict, right: Dict): boolean =>
  left.size === right.size &&
  left.entries().every(([key, value]) => {
    const other = right.get(key);
    return other !== undefined && equal(value, other);
  });

/** Negative, 0 or positive; NaN for numbers that do not compare. Texts by code point. Errors: TemplateFailure for types without an order. */
export function order(left: Value, right: Value): number {
  if (isNumeric(left) && isNumeric(right)) return orderOf(numberOf(left), numberOf(right));
  if (typeof left === "string" && typeof right === "string") return orderOfTexts(left, right);
  if (isList(left) && isList(right)) return orderOfItems(left, right);
  if (left instanceof Tuple && right instanceof Tuple) return orderOfItems(left.items, right.items);
  return mismatch("<", left, right);
}

const orderOf = <T extends bigint | number>(left: T, right: T): number =>
  left < right ? -1 : left > right ? 1 : left == right ? 0 : NaN;

function orderOfTexts(left: string, right: string): number {
  let at = 0;
  while (at < left.length && left[at] === right[at]) at++;
  const start = at > 0 && /[\ud800-\udbff]/.test(left[at - 1]!) ? at - 1 : at;
  return orderOf(left.codePointAt(start) ?? -1, right.codePointAt(start) ?? -1);
}

function orderOfItems(left: readonly Value[], right: readonly Value[]): number {
  const at = left.findIndex((item, index) => index >= right.length || !equal(item, right[index]!));
  if (at < 0) return left.length - right.length;
  return at >= right.length ? 1 : order(left[at]!, right[at]!);
}

export function isIn(item: Value, container: Value): boolean {
  if (typeof container === "string") {
    return typeof item === "string" ? container.includes(item) : mismatch("in", item, container);
  }
  if (container instanceof Dict) return container.get(item) !== undefined;
  if (container instanceof View && container.kind === "dict_keys")
    return container.items.some((key) => equal(key, item));
  for (const each of iterate(container)) if (equal(each, item)) return true;
  return false;
}

const COMPARISONS: Record<Comparison, (left: Value, right: Value) => boolean> = {
  "==": equal,
  "!=": (left, right) => !equal(left, right),
  "<": (left, right) => order(left, right) < 0,
  "<=": (left, right) => order(left, right) <= 0,
  ">": (left, right) => order(left, right) > 0,
  ">=": (left, right) => order(left, right) >= 0,
  in: isIn,
  "not in": (left, right) => !isIn(left, right),
};

export const compare = (operator: Comparison, left: Value, right: Value): boolean => COMPARISONS[operator](left, right);

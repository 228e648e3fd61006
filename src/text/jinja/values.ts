// The values of a template, as Python has them. An int is a bigint, a float a number: 1 and 1.0 print differently.

/** What a template does that Python would raise an error for, or that is not supported. Reaches callers as ModelError. */
export class TemplateFailure extends Error {}

/** The template called raise_exception: it does not accept these messages. */
export class Refusal extends Error {}

export const fail = (what: string): never => {
  throw new TemplateFailure(what);
};

/** Longest text and longest list that a template may make: a damaged one must not hang the page. */
const MAX_TEXT = 1 << 26;
const MAX_ITEMS = 1e6;

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | readonly Value[]
  | Tuple
  | Dict
  | Undefined
  | Range
  | View
  | Once
  | Markup
  | Callable
  | Thing;

/** A name or attribute that does not exist: prints as nothing, is false and empty; to look into it is an error. */
export class Undefined {
  readonly why: string;

  constructor(why: string) {
    this.why = why;
  }
}

/** `names`: of a named tuple, as groupby makes them. */
export class Tuple {
  readonly items: readonly Value[];
  readonly names: readonly string[];

  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

/** Keeps the order of insertion. 1, 1.0 and true are one key, as in Python. */
export class Dict {
  readonly #entries = new Map<unknown, readonly [Value, Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  get size(): number {
    return this.#entries.size;
  }

  set(key: Value, value: Value): void {
    const hash = hashOf(key);
    this.#entries.set(hash, [this.#entries.get(hash)?.[0] ?? key, value]);
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hashOf(key))?.[1];
  }

  entries(): (readonly [Value, Value])[] {
    return [...this.#entries.values()];
  }

  keys(): Value[] {
    return this.entries().map(([key]) => key);
  }
}

/** Equal for equal keys of a dict, as JavaScript's Map compares. */
export function hashOf(key: Value): unknown {
  if (key instanceof Tuple) return `(${key.items.map((item) => JSON.stringify(String(hashOf(item)))).join()})`;
  if (typeof key === "boolean") return BigInt(key);
  if (typeof key === "number" && Number.isInteger(key)) return BigInt(key);
  if (Array.isArray(key) || key instanceof Dict) return fail(`unhashable type: '${typeName(key)}'`);
  return typeof key === "string" ? `"${key}` : key;
}

export class Range {
  readonly start: number;
  readonly step: number;
  readonly length: number;

  constructor(start: number, length: number, step: number) {
    this.start = start;
    this.length = length;
    this.step = step;
  }

  at(index: number): bigint {
    return BigInt(this.start + index * this.step);
  }
}

/** What keys(), values() and items() of a dict give. */
export class View {
  readonly kind: "dict_keys" | "dict_values" | "dict_items";
  readonly items: readonly Value[];

  constructor(kind: View["kind"], items: readonly Value[]) {
    this.kind = kind;
    this.items = items;
  }
}

/** A generator, as `map` and `select` give: always true, without a length, empty once it was read. */
export class Once {
  readonly items: Iterator<Value>;

  constructor(items: Iterable<Value>) {
    this.items = items[Symbol.iterator]();
  }
}

/** Text that the filters `safe` and `escape` marked. It can be printed; anything else would escape what it meets. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Arguments of a call, a filter or a test. */
export interface Call {
  positional: readonly Value[];
  named: ReadonlyMap<string, Value>;
}

export class Callable {
  readonly name: string;
  readonly call: (call: Call) => Value;

  constructor(name: string, call: (call: Call) => Value) {
    this.name = name;
    this.call = call;
  }
}

/** An object with attributes: a namespace, `loop`, a cycler. Only a namespace can be assigned to. */
export class Thing {
  readonly kind: string;
  readonly attribute: (name: string) => Value | undefined;
  readonly call: Callable["call"] | null;

  constructor(kind: string, attribute: Thing["attribute"], call: Callable["call"] | null = null) {
    this.kind = kind;
    this.attribute = attribute;
    this.call = call;
  }
}

export class Namespace extends Thing {
  readonly fields: Map<string, Value>;

  constructor(fields: Map<string, Value>) {
    super("Namespace", (name) => fields.get(name));
    this.fields = fields;
  }
}

export const isNumeric = (value: Value): value is bigint | number | boolean =>
  typeof value === "bigint" || typeof value === "number" || typeof value === "boolean";

/** Lists are the only arrays among the values. */
export const isList = (value: Value): value is readonly Value[] => Array.isArray(value);

/** Python's name of the type. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  const names = { boolean: "bool", bigint: "int", number: "float", string: "str" } as const;
  if (typeof value !== "object") return names[typeof value as keyof typeof names];
  if (value instanceof View) return value.kind;
  if (value instanceof Thing) return value.kind;
  if (value instanceof Once) return "generator";
  return isList(value) ? "list" : value.constructor.name.toLowerCase();
}

/** Every use of an undefined value that Python refuses. */
export const unusable = ({ why }: Undefined): never => fail(why);

export const checkText = (text: string): string =>
  text.length <= MAX_TEXT ? text : fail(`it makes a text of more than ${MAX_TEXT} characters`);

/** `count`: of characters or items that are about to be made. */
export function checkCount(count: number, most: "text" | "items"): void {
  if (!(count <= (most === "text" ? MAX_TEXT : MAX_ITEMS))) fail(`it makes ${count} ${most} at once, too many`);
}

/** The texts with `by` between them; its length is checked before it is made. */
export function joinTexts(texts: readonly string[], by: string): string {
  const own = texts.reduce((sum, { length }) => sum + length, 0);
  checkCount(own + Math.max(0, texts.length - 1) * by.length, "text");
  return texts.join(by);
}

/** An int, as a number that is safe to compute with. */
export function toIndex(value: Value, what: string): number {
  if (typeof value === "boolean") return Number(value);
  if (typeof value !== "bigint") return value instanceof Undefined ? unusable(value) : wrongType(value, what, "int");
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : fail(`${what}: ${value} is too large`);
}

export function toText(value: Value, what: string): string {
  if (typeof value === "string") return value;
  return value instanceof Undefined ? unusable(value) : wrongType(value, what, "str");
}

export const wrongType = (value: Value, what: string, want: string): never =>
  fail(`${what}: got ${typeName(value)}, want ${want}`);

/** Items of a value as Python's iter() gives them; a text gives its characters. */
export function* iterate(value: Value): Generator<Value> {
  if (value instanceof Undefined) return;
  if (value instanceof Once) return yield* rest(value.items);
  if (value instanceof Range) for (let index = 0; index < value.length; index++) yield value.at(index);
  else if (typeof value === "string" || isList(value)) yield* value;
  else if (value instanceof Tuple || value instanceof View) yield* value.items;
  else if (value instanceof Dict) yield* value.keys();
  else if (value instanceof Markup) yield* value.text;
  else fail(`'${typeName(value)}' object is not iterable`);
}

/** Unlike `yield*`, leaves the generator open: who stops early can read on. */
function* rest(items: Iterator<Value>): Generator<Value> {
  for (let next = items.next(); !next.done; next = items.next()) yield next.value;
}

export function listOf(value: Value): Value[] {
  const items: Value[] = [];
  for (const item of iterate(value)) if (items.push(item) > MAX_ITEMS) checkCount(items.length, "items");
  return items;
}

/** len(); null where the value has none. */
export function lengthOf(value: Value): number | null {
  if (typeof value === "string") return [...value].length;
  if (isList(value) || value instanceof Range) return value.length;
  if (value instanceof Tuple || value instanceof View) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof Markup) return [...value.text].length;
  return value instanceof Undefined ? 0 : null;
}

export function isTrue(value: Value): boolean {
  if (value === null) return false;
  return isNumeric(value) ? Boolean(value) : lengthOf(value) !== 0;
}

/** Deepest nesting of what a caller passes: deeper is a cycle. */
const MAX_DEPTH = 100;

/**
 * JSON-like data of the caller as values. A whole number becomes an int, a Number object a float: JavaScript's 1 does not
 * tell 1 from 1.0. `refuse` names what is no such data.
 */
export function fromJson(data: unknown, refuse: (what: string) => never, depth = 0): Value {
  if (depth > MAX_DEPTH) return refuse("something nested too deeply");
  const inner = (item: unknown): Value => fromJson(item, refuse, depth + 1);
  if (data === null || typeof data === "boolean" || typeof data === "string" || typeof data === "bigint") return data;
  if (typeof data === "number") return Number.isSafeInteger(data) ? BigInt(data) : data;
  // oxlint-disable-next-line no-instanceof-builtins -- Object(1) is meant
  if (data instanceof Number) return data.valueOf();
  if (Array.isArray(data)) return data.map(inner);
  if (typeof data !== "object") return refuse(`a ${typeof data}`);
  const present = Object.entries(data).filter(([, item]) => item !== undefined);
  return new Dict(present.map(([key, item]) => [key, inner(item)] as const));
}

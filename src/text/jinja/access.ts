// value.name and value[index], as the sandbox of transformers has them.
import { builtin, type Builtin, invoke } from "./builtin.ts";
import { formatBraces } from "./format.ts";
import { equal } from "./operators.ts";
import { repr } from "./print.ts";
import { OTHER_STRING_METHODS, STRING_METHODS } from "./strings.ts";
import {
  Callable,
  Dict,
  Markup,
  Once,
  Range,
  Thing,
  Tuple,
  Undefined,
  type Value,
  View,
  checkCount,
  fail,
  isList,
  isNumeric,
  lengthOf,
  toIndex,
  typeName,
  unusable,
} from "./values.ts";

const bound = (made: Builtin): Callable => new Callable(made.name, (call) => invoke(made, call));

/** Methods that change a value: the sandbox does not hand them out. */
const CHANGING: Readonly<Record<string, readonly string[]>> = {
  dict: ["clear", "pop", "popitem", "setdefault", "update"],
  list: ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"],
};

/** value.name: a method or, failing that, an item. */
export function attribute(value: Value, name: string): Value {
  if (value instanceof Undefined) return unusable(value);
  return methodOf(value, name) ?? itemOf(value, name) ?? missing(value, name);
}

/** value[index]: an item or, failing that, a method. */
export function item(value: Value, index: Value): Value {
  if (value instanceof Undefined) return unusable(value);
  const found = itemOf(value, index) ?? (typeof index === "string" ? methodOf(value, index) : undefined);
  return found ?? missing(value, index);
}

const missing = (value: Value, name: Value): Undefined =>
  new Undefined(
    `'${typeName(value)}' object has no ${typeof name === "string" ? "attribute" : "element"} ${repr(name)}`,
  );

function methodOf(value: Value, name: string): Value | undefined {
  if (CHANGING[typeName(value)]?.includes(name)) {
    return new Undefined(`the sandbox does not allow '${name}' of a ${typeName(value)}, which changes it`);
  }
  if (typeof value === "string") return stringMethod(value, name);
  if (value instanceof Thing) return value.attribute(name);
  if (value instanceof Dict) return DICT_METHODS[name] && bound(DICT_METHODS[name](value));
  if (value instanceof Markup) return fail(`'${name}' of a text marked by 'safe' or 'escape' is not supported`);
  const items = itemsOf(value);
  if (items === null) return undefined;
  const named = value instanceof Tuple ? value.items[value.names.indexOf(name)] : undefined;
  return named ?? (LIST_METHODS[name] && bound(LIST_METHODS[name](items)));
}

function stringMethod(text: string, name: string): Value | undefined {
  if (name === "format") return new Callable(name, (call) => formatBraces(text, call));
  if (OTHER_STRING_METHODS.includes(name)) return new Callable(name, () => fail(`str.${name} is not supported`));
  const method = STRING_METHODS.get(name);
  return method && bound(method(text));
}

const pairs = (dict: Dict): Value[] => dict.entries().map((entry) => new Tuple(entry));

type Methods<T> = Readonly<Record<string, (value: T) => Builtin>>;

const own = <T>(methods: Methods<T>): Methods<T> => Object.assign(Object.create(null) as object, methods);

const DICT_METHODS = own<Dict>({
  get: (dict) => builtin("get", "key default?", (key, other = null) => dict.get(key!) ?? other),
  keys: (dict) => builtin("keys", "", () => new View("dict_keys", dict.keys())),
  values: (dict) =>
    builtin(
      "values",
      "",
      () =>
        new View(
          "dict_values",
          dict.entries().map(([, value]) => value),
        ),
    ),
  items: (dict) => builtin("items", "", () => new View("dict_items", pairs(dict))),
  copy: (dict) => builtin("copy", "", () => new Dict(dict.entries())),
  fromkeys: () => builtin("fromkeys", "", () => fail("fromkeys of a dict is not supported; use dict.fromkeys")),
});

const LIST_METHODS = own<readonly Value[]>({
  count: (items) => builtin("count", "value", (value) => BigInt(items.filter((each) => equal(each, value!)).length)),
  index: (items) => builtin("index", "value", (value) => indexOf(items, value!)),
  copy: (items) => builtin("copy", "", () => [...items]),
});

function indexOf(items: readonly Value[], value: Value): Value {
  const at = items.findIndex((each) => equal(each, value));
  return at >= 0 ? BigInt(at) : fail(`${repr(value)} is not in list`);
}

function itemOf(value: Value, index: Value): Value | undefined {
  if (value instanceof Dict) return isList(index) || index instanceof Dict ? undefined : value.get(index);
  if (!isNumeric(index) || typeof index === "number") return undefined;
  const length = value instanceof View || value instanceof Once ? null : lengthOf(value);
  if (length === null) return undefined;
  const at = Number(index) < 0 ? Number(index) + length : Number(index);
  return at >= 0 && at < length ? elementAt(value, at) : undefined;
}

/** `at`: from 0, inside the value. */
function elementAt(value: Value, at: number): Value | undefined {
  if (typeof value === "string") return [...value][at];
  if (value instanceof Range) return value.at(at);
  if (value instanceof Tuple) return value.items[at];
  return isList(value) ? value[at] : undefined;
}

/** value[start:stop:step]; null: left out. What cannot be sliced has no such item. */
export function slice(value: Value, start: Value, stop: Value, step: Value): Value {
  if (value instanceof Undefined) return unusable(value);
  const isIndex = (each: Value): boolean => each === null || typeof each === "bigint" || typeof each === "boolean";
  const all = typeof value === "string" ? [...value] : itemsOf(value);
  if (![start, stop, step].every(isIndex)) return missing(value, "[:]");
  if (value instanceof Range) return slicedRange(value, start, stop, step);
  if (all === null) return missing(value, "[:]");
  const picked = indices(all.length, start, stop, step).map((at) => all[at]!);
  return typeof value === "string" ? picked.join("") : isList(value) ? picked : new Tuple(picked);
}

const itemsOf = (value: Value): readonly Value[] | null =>
  isList(value) ? value : value instanceof Tuple ? value.items : null;

function slicedRange(range: Range, start: Value, stop: Value, step: Value): Range {
  const picked = indices(range.length, start, stop, step);
  return new Range(Number(range.at(picked[0] ?? 0)), picked.length, range.step * toIndex(step ?? 1n, "step"));
}

function indices(length: number, start: Value, stop: Value, step: Value): number[] {
  const by = step === null ? 1 : toIndex(step, "slice step");
  if (by === 0) return fail("slice step cannot be zero");
  const [low, high] = by > 0 ? [0, length] : [-1, length - 1];
  const bound = (value: Value, otherwise: number): number => {
    if (value === null) return otherwise;
    const at = toIndex(value, "slice index");
    return Math.min(high, Math.max(low, at < 0 ? at + length : at));
  };
  const [first, end] = [bound(start, by > 0 ? low : high), bound(stop, by > 0 ? high : low)];
  const count = Math.max(0, Math.ceil((end - first) / by));
  checkCount(count, "items");
  return Array.from({ length: count }, (_, index) => first + index * by);
}

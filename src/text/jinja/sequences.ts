// Filters that walk over items.
import { item } from "./access.ts";
import { type Apply, builtin, invoke } from "./builtin.ts";
import { binary, equal, order } from "./operators.ts";
import { str } from "./print.ts";
import {
  type Call,
  Dict,
  Once,
  Tuple,
  Undefined,
  type Value,
  fail,
  hashOf,
  isList,
  isTrue,
  iterate,
  joinTexts,
  listOf,
  toIndex,
  toText,
  typeName,
} from "./values.ts";

type Named = (name: string, value: Value, call: Call) => Value;

/** What map and select take by name. */
export interface Tools {
  filter: Named;
  test: Named;
}

type Filter = (value: Value, call: Call, tools: Tools) => Value;

/** `role`, `function.name` or `0`: attributes and items, one after another. null: the value itself. */
function getter(path: Value | undefined, otherwise: Value = null): (value: Value) => Value {
  if (path === undefined || path === null) return (value) => value;
  if (typeof path === "bigint") return (value) => item(value, path);
  const steps = toText(path, "attribute")
    .split(".")
    .map((step) => (/^\d+$/.test(step) ? BigInt(step) : step));
  return (value) => steps.reduce<Value>((from, step) => substitute(item(from, step), otherwise), value);
}

const substitute = (value: Value, otherwise: Value): Value =>
  value instanceof Undefined && otherwise !== null ? otherwise : value;

/** Of several attributes, with commas between them, a list. */
function getterOfAll(path: Value | undefined): (value: Value) => Value {
  if (typeof path !== "string" || !path.includes(",")) return getter(path);
  const getters = path.split(",").map((each) => getter(each));
  return (value) => getters.map((get) => get(value));
}

const folded = (value: Value, caseSensitive: Value): Value =>
  typeof value === "string" && !isTrue(caseSensitive) ? value.toLowerCase() : value;

function foldedAll(value: Value, caseSensitive: Value): Value {
  return isList(value) ? value.map((each) => folded(each, caseSensitive)) : folded(value, caseSensitive);
}

function sorted<T>(items: readonly T[], keyOf: (item: T) => Value, reverse: boolean): T[] {
  const keyed = items.map((each) => [keyOf(each), each] as const);
  keyed.sort(([left], [right]) => (reverse ? order(right, left) : order(left, right)));
  return keyed.map(([, each]) => each);
}

function sort(value: Value, reverse: Value = false, caseSensitive: Value = false, path: Value = null): Value {
  const get = getterOfAll(path);
  return sorted(listOf(value), (each) => foldedAll(get(each), caseSensitive), isTrue(reverse));
}

function dictsort(value: Value, caseSensitive: Value = false, by: Value = "key", reverse: Value = false): Value {
  if (!(value instanceof Dict)) return fail(`dictsort: got ${typeName(value)}, want a dict`);
  if (by !== "key" && by !== "value") return fail('dictsort: by; want "key" or "value"');
  const pairs = value.entries().map((entry) => new Tuple(entry));
  return sorted(pairs, ({ items }) => folded(items[by === "key" ? 0 : 1]!, caseSensitive), isTrue(reverse));
}

const extreme =
  (sign: number): Apply =>
  (value, caseSensitive = false, path = null) => {
    const get = getter(path);
    const key = (each: Value): Value => folded(get(each), caseSensitive);
    const better = (best: Value, each: Value): Value => (order(key(each), key(best)) * sign > 0 ? each : best);
    const items = listOf(value!);
    return items.length === 0 ? new Undefined("the sequence has no items") : items.reduce(better);
  };

function* unique(value: Value, caseSensitive: Value = false, path: Value = null): Generator<Value> {
  const get = getter(path);
  const seen = new Set<unknown>();
  for (const each of iterate(value)) {
    const hash = hashOf(folded(get(each), caseSensitive));
    if (!seen.has(hash)) yield each;
    seen.add(hash);
  }
}

function groupby(value: Value, path: Value, otherwise: Value = null, caseSensitive: Value = false): Value {
  const get = getter(path, otherwise);
  const key = (each: Value): Value => folded(get(each), caseSensitive);
  const groups: Value[][] = [];
  for (const each of sorted(listOf(value), key, false)) {
    const last = groups.at(-1);
    if (last && equal(key(last[0]!), key(each))) last.push(each);
    else groups.push([each]);
  }
  return groups.map((group) => new Tuple([get(group[0]!), group], ["grouper", "list"]));
}

function* batch(value: Value, count: Value, fill: Value = null): Generator<Value> {
  const [items, size] = [listOf(value), toIndex(count, "batch")];
  if (size < 1) fail("batch: a size below 1");
  for (let at = 0; at < items.length; at += size) {
    const part = items.slice(at, at + size);
    yield fill === null ? part : [...part, ...Array.from({ length: size - part.length }, () => fill)];
  }
}

function* columns(value: Value, count: Value, fill: Value = null): Generator<Value> {
  const [items, parts] = [listOf(value), toIndex(count, "slice")];
  if (parts < 1) fail("slice: fewer than 1 parts");
  const [each, more] = [Math.floor(items.length / parts), items.length % parts];
  for (let part = 0, at = 0; part < parts; part++) {
    const size = each + (part < more ? 1 : 0);
    const column = items.slice(at, at + size);
    yield fill !== null && part >= more ? [...column, fill] : column;
    at += size;
  }
}

function first(value: Value): Value {
  for (const each of iterate(value)) return each;
  return new Undefined("No first item, sequence was empty.");
}

function last(value: Value): Value {
  if (value instanceof Once) return fail("last: of a generator; add `| list`");
  return listOf(value).at(-1) ?? new Undefined("No last item, sequence was empty.");
}

function reverse(value: Value): Value {
  const items = listOf(value).reverse();
  if (typeof value === "string") return items.join("");
  return value instanceof Once ? items : new Once(items);
}

function join(value: Value, separator: Value = "", path: Value = null): Value {
  const get = getter(path);
  return joinTexts(
    [...iterate(value)].map((each) => str(get(each))),
    str(separator),
  );
}

function sum(value: Value, path: Value = null, start: Value = 0n): Value {
  const get = getter(path);
  if (typeof start === "string") return fail("sum: of texts");
  return listOf(value).reduce((total, each) => binary("+", total, get(each)), start);
}

function* items(value: Value): Generator<Value> {
  if (value instanceof Undefined) return;
  if (!(value instanceof Dict)) return fail(`items: got ${typeName(value)}, want a mapping`);
  for (const entry of value.entries()) yield new Tuple(entry);
}

/** map('filter', …) or map(attribute=…, default=…). */
function* map(value: Value, call: Call, tools: Tools): Generator<Value> {
  const apply = call.positional.length === 0 ? mapAttribute(call) : mapFilter(call, tools);
  for (const each of isTrue(value) ? iterate(value) : []) yield apply(each);
}

function mapAttribute({ named }: Call): (value: Value) => Value {
  const unknown = [...named.keys()].find((name) => name !== "attribute" && name !== "default");
  if (unknown !== undefined || !named.has("attribute")) return fail(`map: ${unknown ?? "no filter and no attribute"}`);
  return getter(named.get("attribute"), named.get("default") ?? null);
}

function mapFilter({ positional: [name, ...positional], named }: Call, tools: Tools): (value: Value) => Value {
  const filter = toText(name!, "map");
  return (value) => tools.filter(filter, value, { positional, named });
}

/** select, reject and, with the attribute's name first, selectattr and rejectattr. Without a test: what is true. */
function* select(value: Value, call: Call, tools: Tools, wanted: boolean, byAttribute: boolean): Generator<Value> {
  const given = [...call.positional];
  const get = byAttribute ? getter(given.shift() ?? fail("selectattr: no attribute")) : getter(null);
  const [name, ...positional] = given;
  const holds = (each: Value): boolean =>
    isTrue(name === undefined ? each : tools.test(toText(name, "select"), each, { positional, named: call.named }));
  for (const each of isTrue(value) ? iterate(value) : []) if (holds(get(each)) === wanted) yield each;
}

const bound = (name: string, parameters: string, apply: Apply): [string, Filter] => [
  name,
  (value, call) =>
    invoke(builtin(name, parameters, apply), { positional: [value, ...call.positional], named: call.named }),
];

const selection = (name: string, wanted: boolean, byAttribute: boolean): [string, Filter] => [
  name,
  (value, call, tools) => new Once(select(value, call, tools, wanted, byAttribute)),
];

export const SEQUENCE_FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ["map", (value, call, tools) => new Once(map(value, call, tools))],
  selection("select", true, false),
  selection("reject", false, false),
  selection("selectattr", true, true),
  selection("rejectattr", false, true),
  bound("batch", "value linecount fill_with?", (...given) => new Once(batch(...(given as [Value, Value])))),
  bound("slice", "value slices fill_with?", (...given) => new Once(columns(...(given as [Value, Value])))),
  bound("unique", "value case_sensitive? attribute?", (...given) => new Once(unique(...(given as [Value])))),
  bound("items", "value", (value) => new Once(items(value!))),
  bound("dictsort", "value case_sensitive? by? reverse?", dictsort as Apply),
  bound("first", "seq", first as Apply),
  bound("last", "seq", last as Apply),
  bound("groupby", "value attribute default? case_sensitive?", groupby as Apply),
  bound("join", "value d? attribute?", join as Apply),
  bound("list", "value", (value) => listOf(value!)),
  bound("max", "value case_sensitive? attribute?", extreme(1)),
  bound("min", "value case_sensitive? attribute?", extreme(-1)),
  bound("reverse", "value", reverse as Apply),
  bound("sort", "value reverse? case_sensitive? attribute?", sort as Apply),
  bound("sum", "iterable attribute? start?", sum as Apply),
]);

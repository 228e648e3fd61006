// The functions that every template may call.
import { builtin, type Builtin, invoke } from "./builtin.ts";
import { repr, str } from "./print.ts";
import { formatTime } from "./time.ts";
import {
  type Call,
  Callable,
  Dict,
  Namespace,
  Range,
  Refusal,
  Thing,
  Undefined,
  type Value,
  fail,
  iterate,
  listOf,
  toIndex,
  toText,
} from "./values.ts";

/** Longest range() a template may ask for, as in Jinja's sandbox. */
const MAX_RANGE = 1e5;

function range(first: Value, second?: Value, step: Value = 1n): Value {
  const [start, stop] = second === undefined ? [0n, first] : [first, second];
  const by = toIndex(step, "range()");
  if (by === 0) return fail("range(): a step of 0");
  const from = toIndex(start, "range()");
  const length = Math.max(0, Math.ceil((toIndex(stop, "range()") - from) / by));
  return length <= MAX_RANGE ? new Range(from, length, by) : fail(`range(): more than ${MAX_RANGE} numbers`);
}

/** dict(): entries of a dict or a list of pairs, then the named ones. */
function entriesOf({ positional, named }: Call): [Value, Value][] {
  if (positional.length > 1) return fail("dict(): more than one argument without a name");
  const [source] = positional;
  const given = source instanceof Dict ? source.entries() : [...iterate(source ?? [])].map(pairOf);
  return [...given.map(([key, value]): [Value, Value] => [key, value]), ...named];
}

function pairOf(value: Value): [Value, Value] {
  const [key, item, ...more] = listOf(value);
  return key === undefined || item === undefined || more.length > 0 ? fail("dict(): want pairs") : [key, item];
}

function namespace(call: Call): Namespace {
  const entries = entriesOf(call).map(([key, value]) => [toText(key, "namespace()"), value] as const);
  for (const [key] of entries) checkField(key);
  return new Namespace(new Map(entries));
}

/** Errors: TemplateFailure for a name that transformers does not let a namespace have. */
export function checkField(name: string): void {
  if (name.startsWith("_")) fail(`a namespace cannot have ${repr(name)}, which begins with an underscore`);
}

function cycler({ positional }: Call): Thing {
  if (positional.length === 0) return fail("cycler(): no items");
  let at = 0;
  const methods: Record<string, () => Value> = {
    current: () => positional[at]!,
    next: () => new Callable("next", () => positional[at++ % positional.length]!),
    reset: () => new Callable("reset", () => ((at = 0), null)),
  };
  return new Thing("Cycler", (name) => {
    at %= positional.length;
    return Object.hasOwn(methods, name) ? methods[name]!() : undefined;
  });
}

function joiner(separator: Value): Thing {
  let used = false;
  const call = (): Value => {
    const text = used ? separator : "";
    used = true;
    return text;
  };
  return new Thing("Joiner", () => undefined, call);
}

const fromkeys = (keys: Value, value: Value): Dict => new Dict(listOf(keys).map((key) => [key, value] as const));

function refuse(message: Value): never {
  throw new Refusal(str(message));
}

const FUNCTIONS: readonly Builtin[] = [
  builtin("range", "start stop? step?", range as Builtin["apply"]),
  builtin("joiner", "sep?", (separator = ", ") => joiner(separator)),
  builtin("raise_exception", "message", (message) => refuse(message!)),
  builtin("strftime_now", "format", (format) => formatTime(new Date(), toText(format!, "strftime_now"))),
  builtin("lipsum", "n? html? min? max?", () => fail("lipsum() is not supported")),
];

const FROMKEYS = builtin("fromkeys", "iterable value?", (keys, value = null) => fromkeys(keys!, value));

const DICT = new Thing(
  "dict",
  (name) => (name === "fromkeys" ? new Callable(name, (call) => invoke(FROMKEYS, call)) : undefined),
  (call) => new Dict(entriesOf(call)),
);

export const GLOBALS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ...FUNCTIONS.map((each): [string, Value] => [each.name, new Callable(each.name, (call) => invoke(each, call))]),
  ["dict", DICT],
  ["namespace", new Callable("namespace", namespace)],
  ["cycler", new Callable("cycler", cycler)],
]);

/** Calls what can be called. */
export function callValue(callee: Value, call: Call): Value {
  if (callee instanceof Callable) return callee.call(call);
  if (callee instanceof Thing && callee.call) return callee.call(call);
  return callee instanceof Undefined ? fail(callee.why) : fail(`${repr(callee)} cannot be called`);
}

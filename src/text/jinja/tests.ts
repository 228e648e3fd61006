// What may stand after `is`.
import { builtin, type Builtin, invoke } from "./builtin.ts";
import { binary, type Comparison, compare, equal, isIn } from "./operators.ts";
import { str } from "./print.ts";
import { STRING_METHODS } from "./strings.ts";
import {
  type Call,
  Callable,
  Dict,
  Markup,
  Once,
  Thing,
  Undefined,
  type Value,
  View,
  fail,
  isNumeric,
  lengthOf,
} from "./values.ts";

const isInt = (value: Value): boolean => typeof value === "bigint";

const isIterable = (value: Value): boolean => lengthOf(value) !== null || value instanceof Once;

const remainder = (value: Value, by: Value): Value => binary("%", value, by);

const isCased = (method: "isupper" | "islower") => (value: Value) =>
  invoke(STRING_METHODS.get(method)!(str(value)), { positional: [], named: new Map() });

const comparison =
  (operator: Comparison) =>
  (value: Value, other: Value): boolean =>
    compare(operator, value, other);

/** Identity. Of numbers and texts CPython keeps some once and others not; here equal ones of a type are the same. */
const isSame = (value: Value, other: Value): boolean => value === other;

const TESTS: ReadonlyMap<string, Builtin> = new Map(
  [
    builtin("boolean", "value", (value) => typeof value === "boolean"),
    builtin("callable", "value", (value) => isCallable(value!)),
    builtin("defined", "value", (value) => !(value instanceof Undefined)),
    builtin("undefined", "value", (value) => value instanceof Undefined),
    builtin("divisibleby", "value by", (value, by) => equal(remainder(value!, by!), 0n)),
    builtin("even", "value", (value) => equal(remainder(value!, 2n), 0n)),
    builtin("odd", "value", (value) => equal(remainder(value!, 2n), 1n)),
    builtin("escaped", "value", (value) => value instanceof Markup),
    builtin("true", "value", (value) => value === true),
    builtin("false", "value", (value) => value === false),
    builtin("none", "value", (value) => value === null),
    builtin("integer", "value", (value) => isInt(value!)),
    builtin("float", "value", (value) => typeof value === "number"),
    builtin("number", "value", (value) => isNumeric(value!)),
    builtin("string", "value", (value) => typeof value === "string" || value instanceof Markup),
    builtin("mapping", "value", (value) => value instanceof Dict),
    builtin("iterable", "value", (value) => isIterable(value!)),
    builtin("sequence", "value", (value) => isSequence(value!)),
    builtin("sameas", "value other", (value, other) => isSame(value!, other!)),
    builtin("in", "value container", (value, container) => isIn(value!, container!)),
    builtin("lower", "value", (value) => isCased("islower")(value!)),
    builtin("upper", "value", (value) => isCased("isupper")(value!)),
    builtin("filter", "name", () => fail("the test 'filter' is not supported")),
    builtin("test", "name", () => fail("the test 'test' is not supported")),
    ...comparisons({
      "==": "== eq equalto",
      "!=": "!= ne",
      ">": "> gt greaterthan",
      ">=": ">= ge",
      "<": "< lt lessthan",
      "<=": "<= le",
    }),
  ].map((test) => [test.name, test]),
);

function comparisons(names: Partial<Record<Comparison, string>>): Builtin[] {
  return Object.entries(names).flatMap(([operator, all]) =>
    all.split(" ").map((name) => builtin(name, "value other", comparison(operator as Comparison))),
  );
}

const isCallable = (value: Value): boolean =>
  value instanceof Callable || value instanceof Undefined || (value instanceof Thing && value.call !== null);

/** Has a length and takes an index: also a dict, though not its views. */
const isSequence = (value: Value): boolean => lengthOf(value) !== null && !(value instanceof View);

/** Errors: TemplateFailure for an unknown test, or as Python fails in it. */
export function test(name: string, value: Value, { positional, named }: Call): Value {
  const found = TESTS.get(name) ?? fail(`there is no test '${name}'`);
  return invoke(found, { positional: [value, ...positional], named });
}

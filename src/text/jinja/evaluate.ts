// The value of an expression.
import { attribute, item, slice } from "./access.ts";
import { filter } from "./filters.ts";
import { callValue, GLOBALS } from "./globals.ts";
import type { Arguments, Expression } from "./nodes.ts";
import { binary, compare, signed } from "./operators.ts";
import { str } from "./print.ts";
import { test } from "./tests.ts";
import {
  type Call,
  Dict,
  Tuple,
  Undefined,
  type Value,
  checkText,
  fail,
  isList,
  isTrue,
  iterate,
  toText,
} from "./values.ts";

/** Most expressions and items of one rendering, and the most macros within macros: a damaged template must not hang the page. */
const MAX_STEPS = 2e6;
const MAX_DEPTH = 100;

/** What one rendering has used up. */
export class Budget {
  #steps = 0;
  #depth = 0;

  spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > MAX_STEPS) fail(`it takes more than ${MAX_STEPS} steps`);
  }

  /** Runs the body of a macro or of a recursive loop. */
  inside<T>(body: () => T): T {
    if (++this.#depth > MAX_DEPTH) fail(`macros or loops call themselves more than ${MAX_DEPTH} times`);
    try {
      return body();
    } finally {
      this.#depth--;
    }
  }
}

/** The names that are known at one place. An inner scope sees those around it and hides them with its own. */
export class Scope {
  readonly #names = new Map<string, Value>();
  readonly #around: Scope | null;
  readonly budget: Budget;

  constructor(around: Scope | null, budget: Budget) {
    this.#around = around;
    this.budget = budget;
  }

  inner(): Scope {
    return new Scope(this, this.budget);
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }

  get(name: string): Value {
    const found = this.#names.get(name);
    if (found !== undefined) return found;
    return this.#around?.get(name) ?? GLOBALS.get(name) ?? new Undefined(`'${name}' is undefined`);
  }
}

type Kind = Expression["kind"];
type Rules = { readonly [K in Kind]: (node: Extract<Expression, { kind: K }>, scope: Scope) => Value };

const RULES: Rules = {
  constant: ({ value }) => value,
  name: ({ name }, scope) => scope.get(name),
  tuple: ({ items }, scope) => new Tuple(valuesOf(items, scope)),
  list: ({ items }, scope) => valuesOf(items, scope),
  dict: ({ entries }, scope) => new Dict(entries.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)])),
  attribute: ({ of, name }, scope) => attribute(evaluate(of, scope), name),
  item: ({ of, index }, scope) => item(evaluate(of, scope), evaluate(index, scope)),
  slice: ({ of, start, stop, step }, scope) =>
    slice(evaluate(of, scope), evaluate(start, scope), evaluate(stop, scope), evaluate(step, scope)),
  call: ({ callee, given }, scope) => callValue(evaluate(callee, scope), argumentsOf(given, scope)),
  filter: ({ name, input, given }, scope) => filter(name, evaluate(input, scope), argumentsOf(given, scope)),
  test: ({ name, input, given }, scope) => test(name, evaluate(input, scope), argumentsOf(given, scope)),
  not: ({ of }, scope) => !isTrue(evaluate(of, scope)),
  sign: ({ minus, of }, scope) => signed(minus, evaluate(of, scope)),
  binary: ({ operator, left, right }, scope) => binary(operator, evaluate(left, scope), evaluate(right, scope)),
  compare: (node, scope) => compared(node, scope),
  concat: ({ items }, scope) => checkText(valuesOf(items, scope).map(str).join("")),
  and: ({ left, right }, scope) => shortened(left, right, scope, false),
  or: ({ left, right }, scope) => shortened(left, right, scope, true),
  choice: (node, scope) => choice(node, scope),
};

/** Errors: TemplateFailure where Python would raise one, for what is not supported, and when the budget is spent. */
export function evaluate(node: Expression, scope: Scope): Value {
  scope.budget.spend(1);
  const value = (RULES[node.kind] as (node: Expression, scope: Scope) => Value)(node, scope);
  scope.budget.spend(sizeOf(value));
  return value;
}

/** What it costs to walk over a value once; a character costs a hundredth of an item. */
const sizeOf = (value: Value): number =>
  typeof value === "string" ? value.length / 100 : isList(value) ? value.length : 0;

const valuesOf = (nodes: readonly Expression[], scope: Scope): Value[] => nodes.map((node) => evaluate(node, scope));

/** `and` and `or` give the side that decides. */
function shortened(left: Expression, right: Expression, scope: Scope, decides: boolean): Value {
  const first = evaluate(left, scope);
  return isTrue(first) === decides ? first : evaluate(right, scope);
}

function choice({ test: condition, chosen, otherwise }: Extract<Expression, { kind: "choice" }>, scope: Scope): Value {
  if (isTrue(evaluate(condition, scope))) return evaluate(chosen, scope);
  return otherwise ? evaluate(otherwise, scope) : new Undefined("an `if` without `else` was false");
}

/** a < b < c: each side once, up to the first comparison that fails. */
function compared({ first, rest }: Extract<Expression, { kind: "compare" }>, scope: Scope): Value {
  let left = evaluate(first, scope);
  return rest.every(([operator, node]) => {
    const right = evaluate(node, scope);
    const holds = compare(operator, left, right);
    left = right;
    return holds;
  });
}

function argumentsOf({ positional, named, list, dict }: Arguments, scope: Scope): Call {
  const listed = list ? [...iterate(evaluate(list, scope))] : [];
  const values = named.map(([name, node]): [string, Value] => [name, evaluate(node, scope)]);
  return {
    positional: [...valuesOf(positional, scope), ...listed],
    named: new Map([...values, ...(dict ? namedOf(evaluate(dict, scope)) : [])]),
  };
}

function namedOf(value: Value): [string, Value][] {
  if (!(value instanceof Dict)) return fail("** before what is no dict");
  return value.entries().map(([key, each]) => [toText(key, "**"), each]);
}

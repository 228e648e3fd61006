// A compiled template, and how its statements run.
import { Budget, evaluate, Scope } from "./evaluate.ts";
import { checkField } from "./globals.ts";
import { Loop } from "./loop.ts";
import { freeNames } from "./names.ts";
import { type Body, CAPTURED, type ForLoop, type Signature, type Statement, type Target } from "./nodes.ts";
import { parse } from "./parser.ts";
import { str } from "./print.ts";
import {
  type Call,
  Callable,
  Dict,
  Namespace,
  Tuple,
  Undefined,
  type Value,
  checkCount,
  fail,
  isTrue,
  iterate,
  listOf,
} from "./values.ts";

/** Why a body ended before its end. */
type Leave = "break" | "continue" | null;

/** Text that is being written. */
class Output {
  readonly #parts: string[] = [];
  #length = 0;

  write(text: string): void {
    this.#length += text.length;
    checkCount(this.#length, "text");
    this.#parts.push(text);
  }

  get text(): string {
    return this.#parts.join("");
  }
}

/** Immutable. */
export class Template {
  readonly #body: Body;

  /** Errors: TemplateFailure if `source` is no template, or has a tag that is not supported. */
  constructor(source: string) {
    this.#body = parse(source);
  }

  /** Names that it reads and does not make. */
  get variables(): string[] {
    return freeNames(this.#body);
  }

  /** Errors: Refusal if the template raises an exception, TemplateFailure if it fails. */
  render(variables: Iterable<readonly [string, Value]>): string {
    const scope = new Scope(null, new Budget());
    for (const [name, value] of variables) scope.set(name, value);
    return textOf(this.#body, scope);
  }
}

function textOf(body: Body, scope: Scope): string {
  const output = new Output();
  run(body, scope, output);
  return output.text;
}

function run(body: Body, scope: Scope, output: Output): Leave {
  for (const statement of body) {
    scope.budget.spend(1);
    const leave = execute(statement, scope, output);
    if (leave) return leave;
  }
  return null;
}

type Kind = Statement["kind"];
type Rules = {
  readonly [K in Kind]: (node: Extract<Statement, { kind: K }>, scope: Scope, output: Output) => Leave | void;
};

const RULES: Rules = {
  text: ({ text }, _, output) => output.write(text),
  print: ({ value }, scope, output) => output.write(str(evaluate(value, scope))),
  if: ({ branches, otherwise }, scope, output) => {
    const taken = branches.find(([test]) => isTrue(evaluate(test, scope)));
    return run(taken ? taken[1] : otherwise, scope, output);
  },
  for: (node, scope, output) => looped(node, { over: evaluate(node.over, scope), scope, output, depth: 0 }),
  set: ({ target, value }, scope) => assign(target, evaluate(value, scope), scope),
  capture: (node, scope, output) => capture(node, scope, output),
  macro: ({ name, signature }, scope) => scope.set(name, macro(name, signature, scope)),
  call: ({ call, signature }, scope, output) => {
    const holder = scope.inner();
    holder.set(CAPTURED, macro("caller", signature, scope));
    output.write(str(evaluate(withCaller(call), holder)));
  },
  with: ({ variables, body }, scope, output) => {
    const inner = scope.inner();
    for (const [target, value] of variables) assign(target, evaluate(value, scope), inner);
    return run(body, inner, output);
  },
  break: () => "break",
  continue: () => "continue",
};

const execute = (statement: Statement, scope: Scope, output: Output): Leave =>
  (RULES[statement.kind] as (node: Statement, scope: Scope, output: Output) => Leave | void)(
    statement,
    scope,
    output,
  ) ?? null;

/** The call of a call block: `caller` is one more argument. */
function withCaller(call: Extract<Statement, { kind: "call" }>["call"]): typeof call {
  const caller = ["caller", { kind: "name", name: CAPTURED }] as const;
  return { ...call, given: { ...call.given, named: [...call.given.named, caller] } };
}

/** A break inside leaves without a trace of the text. */
function capture(
  { target, body, filtered }: Extract<Statement, { kind: "capture" }>,
  scope: Scope,
  output: Output,
): Leave {
  const [inner, text] = [scope.inner(), new Output()];
  const leave = run(body, inner, text);
  if (leave) return leave;
  const holder = scope.inner();
  holder.set(CAPTURED, text.text);
  const value = evaluate(filtered, holder);
  if (target) assign(target, value, scope);
  else output.write(str(value));
  return null;
}

function assign(target: Target, value: Value, scope: Scope): void {
  if (target.kind === "name") scope.set(target.name, value);
  else if (target.kind === "field") assignField(scope.get(target.namespace), target.name, value);
  else assignAll(target.targets, listOf(value), scope);
}

function assignField(namespace: Value, name: string, value: Value): void {
  if (!(namespace instanceof Namespace)) return fail(`cannot assign to .${name} of what is no namespace`);
  checkField(name);
  namespace.fields.set(name, value);
}

function assignAll(targets: readonly Target[], values: readonly Value[], scope: Scope): void {
  if (targets.length !== values.length) fail(`${values.length} values for ${targets.length} names`);
  for (const [index, target] of targets.entries()) assign(target, values[index]!, scope);
}

interface Looping {
  over: Value;
  scope: Scope;
  output: Output;
  /** Of a recursive loop inside itself, from 0. */
  depth: number;
}

/** What leaves the part after `else` leaves the loop around this one. */
function looped(node: ForLoop, { over, scope, output, depth }: Looping): Leave {
  const again = (items: Value): Value =>
    scope.budget.inside(() => {
      const inner = new Output();
      looped(node, { over: items, scope, output: inner, depth: depth + 1 });
      return inner.text;
    });
  const loop = new Loop(picked(node, over, scope), depth, node.isRecursive ? again : null);
  let count = 0;
  for (let item = loop.advance(); item !== undefined; item = loop.advance(), count++)
    if (run(node.body, passScope(node.target, item, loop, scope), output) === "break") return null;
  return count === 0 ? run(node.otherwise, scope.inner(), output) : null;
}

/** The names of one pass through a loop. */
function passScope(target: Target, item: Value, loop: Loop, around: Scope): Scope {
  const scope = around.inner();
  assign(target, item, scope);
  scope.set("loop", loop.value);
  return scope;
}

/** The items for which the loop's condition holds. */
function* picked({ only, target }: ForLoop, over: Value, scope: Scope): Generator<Value> {
  for (const item of iterate(over)) {
    scope.budget.spend(1);
    const inner = scope.inner();
    if (only) assign(target, item, inner);
    if (!only || isTrue(evaluate(only, inner))) yield item;
  }
}

/** A macro sees the names around its definition, as they are when it is called. */
function macro(name: string, signature: Signature, around: Scope): Callable {
  return new Callable(name, (call) =>
    around.budget.inside(() => {
      const scope = around.inner();
      bind(name, signature, call, scope);
      return textOf(signature.body, scope);
    }),
  );
}

function bind(name: string, { parameters, uses }: Signature, { positional, named }: Call, scope: Scope): void {
  const rest = new Map(named);
  for (const [index, { name: parameter, otherwise }] of parameters.entries()) {
    const given = index < positional.length ? positional[index] : rest.get(parameter);
    if (index >= positional.length) rest.delete(parameter);
    const missing = (): Value =>
      otherwise ? evaluate(otherwise, scope) : new Undefined(`parameter '${parameter}' was not provided`);
    scope.set(parameter, given ?? missing());
  }
  bindRest(name, uses, positional.slice(parameters.length), rest, scope);
}

/** What the parameters have no place for goes to `caller`, `varargs` and `kwargs`, where the body names them. */
function bindRest(
  name: string,
  uses: ReadonlySet<string>,
  more: readonly Value[],
  rest: Map<string, Value>,
  scope: Scope,
): void {
  if (uses.has("caller")) scope.set("caller", rest.get("caller") ?? new Undefined("No caller defined"));
  if (uses.has("caller")) rest.delete("caller");
  if (uses.has("varargs")) scope.set("varargs", new Tuple(more));
  else if (more.length > 0) fail(`macro '${name}' takes fewer arguments`);
  if (uses.has("kwargs")) scope.set("kwargs", new Dict(rest));
  else if (rest.size > 0) fail(`macro '${name}' has no parameter '${[...rest.keys()][0]}'`);
}

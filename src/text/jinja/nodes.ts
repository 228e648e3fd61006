// The syntax tree of a template.
import type { BinaryOperator, Comparison } from "./operators.ts";
import type { Value } from "./values.ts";

export interface Arguments {
  positional: readonly Expression[];
  named: readonly (readonly [string, Expression])[];
  /** `*list` and `**dict`. */
  list: Expression | null;
  dict: Expression | null;
}

export type Expression =
  | { kind: "constant"; value: Value }
  | { kind: "name"; name: string }
  | { kind: "tuple"; items: readonly Expression[] }
  | { kind: "list"; items: readonly Expression[] }
  | { kind: "dict"; entries: readonly (readonly [Expression, Expression])[] }
  | { kind: "attribute"; of: Expression; name: string }
  | { kind: "item"; of: Expression; index: Expression }
  | { kind: "slice"; of: Expression; start: Expression; stop: Expression; step: Expression }
  | { kind: "call"; callee: Expression; given: Arguments }
  | { kind: "filter"; name: string; input: Expression; given: Arguments }
  | { kind: "test"; name: string; input: Expression; given: Arguments }
  | { kind: "not"; of: Expression }
  | { kind: "sign"; minus: boolean; of: Expression }
  | { kind: "binary"; operator: BinaryOperator; left: Expression; right: Expression }
  | { kind: "compare"; first: Expression; rest: readonly (readonly [Comparison, Expression])[] }
  | { kind: "concat"; items: readonly Expression[] }
  | { kind: "and"; left: Expression; right: Expression }
  | { kind: "or"; left: Expression; right: Expression }
  | { kind: "choice"; test: Expression; chosen: Expression; otherwise: Expression | null };

/** What can be assigned to: a name, an attribute of a namespace, or several names. */
export type Target =
  | { kind: "name"; name: string }
  | { kind: "field"; namespace: string; name: string }
  | { kind: "names"; targets: readonly Target[] };

export type Body = readonly Statement[];

export interface Signature {
  parameters: readonly { name: string; otherwise: Expression | null }[];
  /** Which of `caller`, `varargs` and `kwargs` its body names. */
  uses: ReadonlySet<string>;
  body: Body;
}

export interface ForLoop {
  kind: "for";
  target: Target;
  over: Expression;
  only: Expression | null;
  isRecursive: boolean;
  body: Body;
  otherwise: Body;
}

export type Statement =
  | { kind: "text"; text: string }
  | { kind: "print"; value: Expression }
  | { kind: "if"; branches: readonly (readonly [Expression, Body])[]; otherwise: Body }
  | ForLoop
  | { kind: "set"; target: Target; value: Expression }
  /** `filtered`: what is made of the text, which it names CAPTURED. */
  | { kind: "capture"; target: Target | null; body: Body; filtered: Expression }
  | { kind: "macro"; name: string; signature: Signature }
  | { kind: "call"; call: Expression & { kind: "call" }; signature: Signature }
  | { kind: "with"; variables: readonly (readonly [Target, Expression])[]; body: Body }
  | { kind: "break" }
  | { kind: "continue" };

/** Name of what a block made, its text or its caller: no name that a template can write. */
export const CAPTURED = "(block)";

// Functions of the language with named and optional parameters.
import { type Call, type Value, fail } from "./values.ts";

export type Apply = (...values: Value[]) => Value;

/** A function whose parameters are bound as Python binds them: those that are not given arrive as JavaScript's undefined. */
export interface Builtin {
  name: string;
  parameters: readonly string[];
  required: number;
  apply: Apply;
}

/** `parameters`: names in order, optional ones with `?`. */
export function builtin(name: string, parameters: string, apply: Apply): Builtin {
  const names = parameters.split(" ").filter((each) => each !== "");
  const required = names.filter((each) => !each.endsWith("?")).length;
  return { name, parameters: names.map((each) => each.replace("?", "")), required, apply };
}

/** Errors: TemplateFailure for arguments that the parameters have no place for, or that are missing. */
export function invoke({ name, parameters, required, apply }: Builtin, { positional, named }: Call): Value {
  if (positional.length > parameters.length) fail(`${name}() takes at most ${parameters.length} arguments`);
  const values: (Value | undefined)[] = [...positional];
  for (const [key, value] of named) {
    const index = parameters.indexOf(key);
    if (index < 0 || index < positional.length) fail(`${name}() has no room for the argument '${key}'`);
    values[index] = value;
  }
  const missing = parameters.findIndex((_, index) => index < required && values[index] === undefined);
  if (missing >= 0) fail(`${name}() lacks its argument '${parameters[missing]}'`);
  return apply(...(values as Value[]));
}

// What all commands read arguments with. Every error is one line.

import { parseArgs } from "node:util";

/** A user's mistake: shown as one line, without a stack trace. */
export class UsageError extends Error {
  name = "UsageError";
}

/** The options of `argv` by name, as typed.
 * @throws {UsageError} */
export function read(argv, options) {
  const joined = [];
  for (let index = 0; index < argv.length; index++) {
    // A value may begin with a dash ("- item", -1), which parseArgs would take for an option.
    const takesValue = options[argv[index].slice(2)]?.type === "string" && argv[index].startsWith("--");
    const value = argv[index + 1];
    if (takesValue && value !== undefined && !/^--\w/.test(value)) joined.push(`${argv[index]}=${argv[++index]}`);
    else joined.push(argv[index]);
  }
  try {
    return parseArgs({ args: joined, options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const unknown = /^Unknown option '([^']*)'/.exec(error.message);
    if (unknown) throw new UsageError(`unknown option ${unknown[1]}. --help lists them.`);
    const stray = /^Unexpected argument '([^']*)'/.exec(error.message);
    if (stray) throw new UsageError(`unexpected argument "${stray[1]}". --help lists the options.`);
    const missing = /^Option '(?:-\w, )?(--[\w-]+)/.exec(error.message);
    if (missing && /missing|ambiguous/.test(error.message))
      throw new UsageError(`${missing[1]} needs a value. --help shows which.`);
    throw new UsageError(error.message.split("\n")[0]);
  }
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

export function number(values, name, least, most = Number.MAX_SAFE_INTEGER) {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new UsageError(`--${name} is "${text}", want a number ${span(least, most)}`);
  return value;
}

export function integer(values, name, least, most = Number.MAX_SAFE_INTEGER) {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new UsageError(`--${name} is "${text}", want a whole number ${span(least, most)}`);
  return value;
}

const span = (least, most) => (most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`);

export const defined = (record) =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));

/** "5,70,80" as numbers. */
export const wholeList = (values, name, least, most) =>
  values[name]?.split(",").map((part) => integer({ [name]: part.trim() }, name, least, most));

/** `--text a b` → `--text a --text b` */
export function repeated(argv, name) {
  let within = false;
  return argv.flatMap((word, i) => {
    if (word.startsWith("--")) within = word === name;
    return within && !word.startsWith("--") && argv[i - 1] !== name ? [name, word] : [word];
  });
}

// Reading parsed JSON that may be damaged.

import { isObject, ModelError } from "../errors.ts";

export type Fields = Record<string, unknown>;

/** Throws the ModelError of a damaged tokenizer.json. */
export const fail = (what: string): never => {
  throw new ModelError(`tokenizer.json: ${what}. Is the file complete and a Hugging Face tokenizer?`);
};

/** What `value` is, for messages: never more than a few words. */
export const nameOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "an array" : typeof value === "object" ? "an object" : typeof value;

export function fieldsOf(value: unknown, where: string): Fields {
  return isObject(value) ? value : fail(`${where} is ${nameOf(value)}, want an object`);
}

export function listOf(value: unknown, where: string): unknown[] {
  return Array.isArray(value) ? value : fail(`${where} is ${nameOf(value)}, want an array`);
}

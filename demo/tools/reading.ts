// What the user typed as JSON, read and checked. Every problem is an Error with a sentence for the user. No DOM.

import type { Tool } from "../../src/index.ts";

export function readSchema(text: string): Record<string, unknown> {
  const value = parse(text, "The schema");
  if (isObject(value)) return value;
  throw new Error('The schema must be an object, such as { "type": "object" }.');
}

/** A list of functions, bare or as OpenAI's interface wraps them; one alone is a list of one. */
export function readFunctions(text: string): Tool[] {
  const value = parse(text, "The functions");
  const all = Array.isArray(value) ? value : [value];
  if (all.length === 0) throw new Error("Define one function at least.");
  return all.map((each: unknown, index) =>
    toolOf(isObject(each) && isObject(each.function) ? each.function : each, index),
  );
}

function toolOf(value: unknown, index: number): Tool {
  const { name, description, parameters } = isObject(value) ? value : {};
  const which = `Function ${index + 1}`;
  if (typeof name !== "string" || !/^[\w-]{1,64}$/.test(name))
    throw new Error(`${which} needs a "name" of letters, digits, _ and -.`);
  if (parameters !== undefined && !isObject(parameters))
    throw new Error(`${which}: "parameters" must be a JSON schema.`);
  return {
    type: "function",
    function: {
      name,
      ...(typeof description === "string" ? { description } : {}),
      ...(parameters ? { parameters } : {}),
    },
  };
}

function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${what}: this is no JSON. ${error instanceof Error ? error.message : ""}`, { cause: error });
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** JSON with indents; a text that is none as it is. */
export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Whether a reply is JSON of a schema: "" or what is wrong with it. The validator is another implementation than the grammar's. */
export async function faultOf(reply: string, schema: object): Promise<string> {
  const { Validator } = await import("@cfworker/json-schema");
  let value: unknown;
  try {
    value = JSON.parse(reply);
  } catch {
    return "it is no whole JSON";
  }
  const { valid, errors } = new Validator(schema, "2020-12", false).validate(value);
  return valid ? "" : errors.map(({ instanceLocation, error }) => `${instanceLocation}: ${error}`).join(" ");
}

// A call of a function: how a model writes it, and what it is in OpenAI's shape.
import type { Tool, ToolCall } from "../../completions.ts";
import type { Shape } from "../../grammar/shape.ts";

export interface CallFormat {
  name: string;
  /** What calls begin with; "" stands for the beginning of a reply. */
  begins: readonly string[];
  /** What may come after a call. */
  ends: readonly string[];
  /** What a reply is that consists of calls: at least one, at most one where `single`. */
  shape: (tools: readonly Tool[], single: boolean) => Shape;
  /** What stands at the beginning of `text`, the mark included. */
  read: (text: string, mark: string, tools: readonly Tool[]) => Found;
}

/** A call, or several, found at a place: how far they reach. "open": more must come first. null: it is text. */
export type Found = { calls: ToolCall[]; length: number } | "open" | null;

/** Calls one after another, or just one. */
export const repeated = (call: Shape, between: string, single: boolean): Shape =>
  single ? call : { repeat: call, between };

/** The schema of a function's arguments. */
export const argumentsOf = ({ parameters }: Tool["function"]): Schema =>
  parameters ?? { type: "object", properties: {} };

export type Schema = Readonly<Record<string, unknown>>;

/** The arguments of an object's schema, by name, and which of them must be there. */
export function membersOf(schema: Schema): { name: string; schema: Schema; required: boolean }[] {
  const required = (schema["required"] as string[] | undefined) ?? [];
  const members = Object.entries((schema["properties"] as Record<string, Schema> | undefined) ?? {});
  return members.map(([name, each]) => ({ name, schema: each, required: required.includes(name) }));
}

/** Whether every value of the schema is a text. */
export const isText = ({ type, enum: values, const: value }: Schema): boolean =>
  type === "string" || [values ?? value].flat().every((each) => typeof each === "string");

/** Any text in which `sign` does not come after "<", as a grammar. */
export const textBefore = (sign: string): Shape => ({ ebnf: `root ::= ([^<] | "<"+ [^<${sign}])*` });

/** Texts that are allowed, where there are only so many. */
export function listedTexts({ enum: values, const: value }: Schema): string[] | null {
  const all = [values ?? value ?? []].flat();
  return all.length > 0 ? (all as string[]) : null;
}

/** An object with a name and arguments as a call. Null where it is none. */
export function toCall(value: unknown): ToolCall | null {
  if (typeof value !== "object" || value === null) return null;
  const { name, arguments: given, parameters } = value as Record<string, unknown>;
  const inputs = given ?? parameters ?? {};
  if (typeof name !== "string" || (typeof inputs !== "object" && typeof inputs !== "string")) return null;
  const text = typeof inputs === "string" ? inputs : JSON.stringify(inputs);
  return { id: callId(), type: "function", function: { name, arguments: text } };
}

const SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Nine letters and digits: Mistral's templates take no other. */
const callId = (): string =>
  [...crypto.getRandomValues(new Uint8Array(9))].map((byte) => SIGNS[byte % SIGNS.length]).join("");

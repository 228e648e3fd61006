// A request in OpenAI's shape: checked, and as the engine takes it.
import type { GenerateOptions, Sampling } from "../../api.ts";
import {
  type ChatCompletionRequest,
  type ChatMessage,
  type ResponseFormat,
  SAMPLING_FIELDS,
  type Tool,
  type UserContent,
} from "../../completions.ts";
import { InputError } from "../../errors.ts";
import type { Shape } from "../../grammar/shape.ts";
import type { CallFormat } from "../tools/call.ts";

const FIELDS: readonly string[] = [
  "messages model stream stream_options n stop max_tokens max_completion_tokens seed temperature top_p top_k min_p",
  "repetition_penalty frequency_penalty presence_penalty logit_bias logprobs top_logprobs response_format tools tool_choice",
  "parallel_tool_calls chat_template_kwargs",
].flatMap((names) => names.split(" "));

export const wrong = (field: string, got: unknown, want: string): InputError =>
  new InputError(`chat.completions: ${field}; got ${shown(got)}, want ${want}. Change the request.`);

const shown = (value: unknown): string => (JSON.stringify(value) ?? String(value)).slice(0, 80);

/** Throws InputError naming the first field that is not known, or not possible. */
export function checkRequest(request: ChatCompletionRequest, model: string): void {
  for (const [field, value] of Object.entries(request))
    if (!FIELDS.includes(field) && value !== null && value !== undefined)
      throw wrong(field, value, "it left out: this engine does not have it");
  if (request.model !== undefined && request.model !== model)
    throw wrong("model", request.model, `"${model}", or none`);
  if (!Array.isArray(request.messages) || request.messages.length === 0)
    throw wrong("messages", request.messages, "a list of at least one");
  for (const [i, message] of request.messages.entries()) checkMessage(message, `messages[${i}]`);
  checkTools(request);
}

function checkMessage(message: ChatMessage, path: string): void {
  if (typeof message !== "object" || message === null) throw wrong(path, message, "an object");
  const { role, content = null } = message;
  if (!["system", "developer", "user", "assistant", "tool"].includes(role)) throw wrong(`${path}.role`, role, "a role");
  const parts = typeof content === "string" || content === null ? [] : content;
  if (!Array.isArray(parts)) throw wrong(`${path}.content`, content, "a text or a list of parts");
  for (const [i, part] of parts.entries()) checkPart(part, role, `${path}.content[${i}]`);
  if (content === null && role !== "assistant") throw wrong(`${path}.content`, content, "a text");
}

function checkPart(part: Exclude<UserContent, string>[number], role: string, path: string): void {
  if (part.type === "text") return;
  if (part.type !== "image_url" || role !== "user")
    throw wrong(`${path}.type`, part.type, '"text", or "image_url" of a user: the model reads nothing else');
  if (typeof part.image_url?.url !== "string") throw wrong(`${path}.image_url.url`, part.image_url?.url, "a URL");
}

function checkTools({ tools, tool_choice: choice }: ChatCompletionRequest): void {
  for (const [i, tool] of (tools ?? []).entries())
    if (tool.type !== "function" || typeof tool.function?.name !== "string")
      throw wrong(`tools[${i}]`, tool, '{ type: "function", function: { name, parameters } }');
  if (choice === null || choice === undefined || choice === "none" || choice === "auto") return;
  const names = (tools ?? []).map((tool) => tool.function.name);
  if (choice === "required" ? names.length > 0 : choice.type === "function" && names.includes(choice.function.name))
    return;
  throw wrong("tool_choice", choice, names.length > 0 ? `one of ${names.join(", ")}` : "tools beside it");
}

/** What the model may call, and what it must. */
export interface Calling {
  format: CallFormat;
  tools: readonly Tool[];
  /** The reply consists of calls, of these alone. */
  forced: readonly Tool[] | null;
  single: boolean;
}

/** Null where nothing can be called. */
export function callingOf(request: ChatCompletionRequest, format: CallFormat): Calling | null {
  const { tools, tool_choice: choice, parallel_tool_calls: parallel } = request;
  if (!tools || tools.length === 0 || choice === "none") return null;
  const named = typeof choice === "object" && choice !== null ? choice.function.name : null;
  const forced = tools.filter((tool) => named === null || tool.function.name === named);
  const must = named !== null || choice === "required";
  return { format, tools, forced: must ? forced : null, single: parallel === false || named !== null };
}

/** What the grammar of the reply is; null: none. */
export function shapeOf({ response_format: format }: ChatCompletionRequest, calling: Calling | null): Shape | null {
  const calls = calling && calling.format.shape(calling.forced ?? calling.tools, calling.single);
  if (calling?.forced) return calls;
  const json = format ? jsonOf(format) : null;
  if (!json) return null;
  return calls ? { choice: [{ json }, calls] } : { json };
}

function jsonOf(format: ResponseFormat): object | null {
  if (format.type === "text") return null;
  if (format.type === "json_object") return { type: "object" };
  if (format.type === "json_schema") return format.json_schema?.schema ?? {};
  throw wrong("response_format.type", (format as { type: unknown }).type, "text, json_object or json_schema");
}

/** How one reply is made, without what only one of several has. */
export function optionsOf(request: ChatCompletionRequest, recommended: Sampling): GenerateOptions {
  const entries = Object.entries(SAMPLING_FIELDS) as [keyof typeof SAMPLING_FIELDS, string][];
  const given = entries.map(([theirs, ours]) => [ours, request[theirs] ?? undefined] as const);
  const most = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  const stop = request.stop ?? undefined;
  return {
    ...recommended,
    ...Object.fromEntries(given.filter(([, value]) => value !== undefined)),
    ...(most !== undefined && { maxTokens: most }),
    ...(stop !== undefined && { stop: typeof stop === "string" ? [stop] : stop }),
    topLogprobs: topOf(request),
  };
}

function topOf({ logprobs, top_logprobs: top }: ChatCompletionRequest): number {
  if (top && !logprobs) throw wrong("top_logprobs", top, "logprobs: true beside it");
  return top ?? 0;
}

/** How many replies. */
export function countOf({ n }: ChatCompletionRequest): number {
  const count = n ?? 1;
  if (Number.isInteger(count) && count >= 1 && count <= 128) return count;
  throw wrong("n", n, "a whole number from 1 to 128");
}

// What the AI SDK asks for, as a request in OpenAI's shape.
import type {
  LanguageModelV4CallOptions,
  LanguageModelV4Message,
  LanguageModelV4ToolResultOutput,
  SharedV4Warning,
} from "@ai-sdk/provider";
import type { ChatCompletionRequest, ChatMessage, Tool, ToolChoice } from "../api.ts";

/** The request, and what of the options has no effect. */
export function requestOf(options: LanguageModelV4CallOptions): {
  request: ChatCompletionRequest;
  warnings: SharedV4Warning[];
} {
  const { temperature, topP, topK, seed, presencePenalty, frequencyPenalty, maxOutputTokens, stopSequences } = options;
  const tools = toolsOf(options);
  const request = {
    messages: options.prompt.flatMap(messagesOf),
    temperature,
    top_p: topP,
    top_k: topK,
    seed,
    presence_penalty: presencePenalty,
    frequency_penalty: frequencyPenalty,
    max_tokens: maxOutputTokens,
    stop: stopSequences,
    tools: tools.length > 0 ? tools : undefined,
    tool_choice: tools.length > 0 ? choiceOf(options) : undefined,
    response_format: formatOf(options),
  };
  const given = Object.entries(request).filter(([, value]) => value !== undefined);
  return { request: Object.fromEntries(given) as unknown as ChatCompletionRequest, warnings: warningsOf(options) };
}

function messagesOf({ role, content }: LanguageModelV4Message): ChatMessage[] {
  if (role === "system") return [{ role, content }];
  if (role === "user") return [{ role, content: content.map((part) => textOf(part, role)).join("") }];
  if (role === "tool")
    return content.map((part) => {
      if (part.type !== "tool-result") throw unsupported(part.type, role);
      return { role, tool_call_id: part.toolCallId, content: outputOf(part.output) };
    });
  const texts = content.filter(({ type }) => type !== "tool-call" && type !== "reasoning");
  const calls = content.flatMap((part) => (part.type === "tool-call" ? [part] : []));
  const tool_calls = calls.map(({ toolCallId: id, toolName: name, input }) => ({
    id,
    type: "function" as const,
    function: { name, arguments: typeof input === "string" ? input : JSON.stringify(input) },
  }));
  const thought = content.map((part) => (part.type === "reasoning" ? part.text : "")).join("");
  const more = { ...(thought !== "" && { reasoning_content: thought }), ...(tool_calls.length > 0 && { tool_calls }) };
  return [{ role, content: texts.map((part) => textOf(part, role)).join(""), ...more }];
}

function textOf(part: { type: string; text?: string }, role: string): string {
  if (part.type === "text") return part.text!;
  throw unsupported(part.type, role);
}

const unsupported = (type: string, role: string): Error =>
  new Error(`longprompt: a part of a message; got ${type} from ${role}, want text: the model reads nothing else.`);

function outputOf(output: LanguageModelV4ToolResultOutput): string {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value;
    case "json":
    case "error-json":
      return JSON.stringify(output.value);
    case "execution-denied":
      return output.reason ?? "The user did not allow this call.";
    case "content":
      return output.value.map((part) => textOf(part, "tool")).join("");
  }
}

const toolsOf = ({ tools = [] }: LanguageModelV4CallOptions): Tool[] =>
  tools.flatMap((tool) => {
    if (tool.type !== "function") return [];
    const { name, description, inputSchema } = tool;
    const parameters = inputSchema as Record<string, unknown>;
    return [{ type: "function", function: { name, parameters, ...(description !== undefined && { description }) } }];
  });

function choiceOf({ toolChoice }: LanguageModelV4CallOptions): ToolChoice | undefined {
  return toolChoice?.type === "tool" ? { type: "function", function: { name: toolChoice.toolName } } : toolChoice?.type;
}

function formatOf({ responseFormat }: LanguageModelV4CallOptions): ChatCompletionRequest["response_format"] {
  if (responseFormat?.type !== "json") return undefined;
  if (!responseFormat.schema) return { type: "json_object" };
  const schema = responseFormat.schema as Record<string, unknown>;
  return { type: "json_schema", json_schema: { name: responseFormat.name ?? "reply", schema } };
}

function warningsOf({ tools = [], reasoning }: LanguageModelV4CallOptions): SharedV4Warning[] {
  const features = tools.flatMap((tool) => (tool.type === "provider" ? [`tool ${tool.id}`] : []));
  if (reasoning !== undefined && reasoning !== "provider-default") features.push("reasoning");
  return features.map((feature) => ({ type: "unsupported", feature }));
}

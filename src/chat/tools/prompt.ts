// Conversations with tools as a model's chat template takes them.
import type { ChatPrompt, ContentPart, Message } from "../../api.ts";
import type { ChatMessage, Tool, ToolCall, UserContent } from "../../completions.ts";
import type { ChatTemplate } from "../../text/chat.ts";

/** The prompt of these messages. `tools`: those that the model may call. */
export function promptOf(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  tools: readonly Tool[],
): Pick<ChatPrompt, "messages" | "tools" | "variables"> {
  if (template.readsTools) {
    const plain = withNames(messages.map(plainMessage));
    if (tools.length === 0) return { messages: plain };
    if (template.reads("xml_tools")) return { messages: plain, tools, variables: { xml_tools: tools } };
    return { messages: plain, tools };
  }
  if (template.toolsInMessage && tools.length > 0)
    return { messages: toolsInSystem(messages.map(plainMessage), tools) };
  return { messages: explained(messages, tools) };
}

/** Templates write arguments as an object, OpenAI's interface as its text. */
function plainMessage(message: ChatMessage): Message {
  const { content = null, ...rest } = message;
  const role = message.role === "developer" ? "system" : message.role;
  const plain = { ...rest, role, content: hasImage(content) ? content.map(plainPart) : textOf(content) };
  if (message.role !== "assistant" || !message.tool_calls) return plain;
  return { ...plain, tool_calls: message.tool_calls.map(plainCall) };
}

/** Results of calls with the names of their functions, which some templates write (FunctionGemma's, Mistral's). */
function withNames(messages: readonly Message[]): Message[] {
  const calls = messages.flatMap(({ tool_calls }) => (tool_calls as ToolCall[] | undefined) ?? []);
  const names = new Map(calls.map((call) => [call.id, call.function.name]));
  return messages.map((message) => {
    const name = message.role === "tool" ? names.get(message["tool_call_id"] as string) : undefined;
    return name === undefined ? message : { name, ...message };
  });
}

const plainCall = ({ function: { name, arguments: inputs }, ...rest }: ToolCall): object => ({
  ...rest,
  function: { name, arguments: objectOr(inputs) },
});

function objectOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Of parts, the texts. */
const textOf = (content: UserContent | null): string | null =>
  content === null || typeof content === "string"
    ? content
    : content.map((part) => (part.type === "text" ? part.text : "")).join("");

const hasImage = (content: UserContent | null): content is Exclude<UserContent, string> =>
  Array.isArray(content) && content.some(({ type }) => type === "image_url");

const plainPart = (part: Exclude<UserContent, string>[number]): ContentPart =>
  part.type === "text" ? part : { type: "image", image: part.image_url.url };

/** As Phi-4-mini has it: their definitions are a field of the system's message. */
function toolsInSystem(messages: readonly Message[], tools: readonly Tool[]): Message[] {
  const definitions = JSON.stringify(tools.map(({ function: each }) => each));
  const [first] = messages;
  const system = first?.role === "system" ? first : { role: "system", content: "" };
  return [{ ...system, tools: definitions }, ...(system === first ? messages.slice(1) : messages)];
}

/** For templates that know no tools: the system says what there is, and calls and their results are plain text. */
function explained(messages: readonly ChatMessage[], tools: readonly Tool[]): Message[] {
  const told = messages.map(toldMessage);
  if (tools.length === 0) return told;
  const [first] = told;
  const system = first?.role === "system" ? `${String(first.content)}\n\n` : "";
  return [{ role: "system", content: system + instructions(tools) }, ...(system === "" ? told : told.slice(1))];
}

const instructions = (tools: readonly Tool[]): string =>
  [
    "You may call functions. Their definitions, a line each:",
    "<tools>",
    ...tools.map((tool) => JSON.stringify(tool)),
    "</tools>",
    "To call one, answer with its name and arguments as JSON between marks, and nothing else:",
    '<tool_call>\n{"name": NAME, "arguments": {…}}\n</tool_call>',
  ].join("\n");

function toldMessage(message: ChatMessage): Message {
  const text = textOf(message.content ?? null) ?? "";
  if (message.role === "tool") return { role: "user", content: `<tool_response>\n${text}\n</tool_response>` };
  if (message.role !== "assistant" || !message.tool_calls) return plainMessage(message);
  const calls = message.tool_calls.map(
    ({ function: { name, arguments: inputs } }) =>
      `<tool_call>\n${JSON.stringify({ name, arguments: objectOr(inputs) })}\n</tool_call>`,
  );
  return { role: "assistant", content: [text, ...calls].filter((part) => part !== "").join("\n") };
}

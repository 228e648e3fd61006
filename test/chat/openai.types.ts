// Types only: `npm run check` fails where engine.chat.completions and the `openai` package diverge.
import type OpenAI from "openai";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  ResponseFormat,
  Tool,
  ToolChoice,
} from "../../src/api.ts";

type Theirs = OpenAI.ChatCompletionCreateParams;

/** Fails to compile where `Ours` cannot stand for `Want`. */
type Fits<Ours extends Want, Want> = Ours;

/** Lists that are not to be written to, as lists: their interface asks for the latter. */
type Writable<T> = T extends (...args: never) => unknown
  ? T
  : T extends readonly (infer Item)[]
    ? Writable<Item>[]
    : T extends object
      ? { -readonly [Key in keyof T]: Writable<T[Key]> }
      : T;

/** What they do not have. */
type Own = "top_k" | "min_p" | "repetition_penalty" | "chat_template_kwargs";

type Request = Writable<Omit<ChatCompletionRequest, Own | "model" | "stream">>;

/** What a caller writes for this engine is a request to theirs. */
export type Requests = Fits<Request & { model: string }, Omit<Theirs, "stream">>;
/** Every field by itself, so that a new name of theirs for one of ours is seen. */
export type Fields = Fits<keyof Request, keyof Theirs>;
export type Messages = Fits<Writable<ChatMessage>, OpenAI.ChatCompletionMessageParam>;
export type Tools = Fits<Writable<Tool>, OpenAI.ChatCompletionTool>;
export type Choices = Fits<ToolChoice, OpenAI.ChatCompletionToolChoiceOption>;
export type Formats = Fits<ResponseFormat, NonNullable<Theirs["response_format"]>>;
/** What it answers is an answer of theirs. */
export type Answers = Fits<ChatCompletion, OpenAI.ChatCompletion>;
export type Chunks = Fits<ChatCompletionChunk, OpenAI.ChatCompletionChunk>;
/** What theirs answered goes back as a message of ours. */
export type Replies = Fits<
  Pick<ChatCompletion["choices"][number]["message"], "role" | "content" | "tool_calls">,
  ChatMessage
>;

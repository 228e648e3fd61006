// The types of `engine.chat.completions`, in the shape of OpenAI's interface, and what a reply can be held to.
// test/chat/openai.ts holds them against the types of the `openai` package.

/** What a reply must be. */
export type ConstraintSpec =
  /** JSON, on one line, of this schema. Keywords that cannot be kept are refused. */
  | { json: object }
  /** EBNF as GBNF and XGrammar have it; the rule `root` is the whole reply. */
  | { grammar: string };

/** Made by `engine.constraint`: for any number of replies of that engine. */
export interface Constraint {
  readonly spec: ConstraintSpec;
}

/** A text, or parts of which all are text. */
export type TextContent = string | readonly { type: "text"; text: string }[];

export interface ToolCall {
  id: string;
  type: "function";
  /** `arguments`: JSON. */
  function: { name: string; arguments: string };
}

export type ChatMessage =
  | { role: "system" | "developer" | "user"; content: TextContent; name?: string }
  | {
      role: "assistant";
      content?: TextContent | null;
      /** Not OpenAI's: what it thought first, for templates that read it. */
      reasoning_content?: string | null;
      tool_calls?: readonly ToolCall[];
      name?: string;
    }
  | { role: "tool"; content: TextContent; tool_call_id: string };

export interface Tool {
  type: "function";
  function: { name: string; description?: string; parameters?: Record<string, unknown>; strict?: boolean | null };
}

export type ToolChoice = "none" | "auto" | "required" | { type: "function"; function: { name: string } };

export type ResponseFormat =
  | { type: "text" }
  | { type: "json_object" }
  | {
      type: "json_schema";
      json_schema: { name: string; description?: string; schema?: Record<string, unknown>; strict?: boolean | null };
    };

/** Null is the same as left out. Any other field is refused by name. */
export interface ChatCompletionRequest {
  messages: readonly ChatMessage[];
  /** Default, and the only one there is: this engine's, by `engine.model.name`. */
  model?: string;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean } | null;
  /** Replies to the same prompt, with seeds one after another. Default 1. */
  n?: number | null;
  stop?: string | readonly string[] | null;
  /** Default: what fits in the context. */
  max_tokens?: number | null;
  /** The newer name of max_tokens. */
  max_completion_tokens?: number | null;
  seed?: number | null;
  /** Default of this and of what follows: as the model's files recommend (`engine.model.sampling`), else greedy. */
  temperature?: number | null;
  top_p?: number | null;
  /** Not OpenAI's: as `Sampling.topK`. */
  top_k?: number | null;
  /** Not OpenAI's: as `Sampling.minP`. */
  min_p?: number | null;
  /** Not OpenAI's: as `Sampling.repetitionPenalty`. */
  repetition_penalty?: number | null;
  frequency_penalty?: number | null;
  presence_penalty?: number | null;
  /** By token id, at most 64. */
  logit_bias?: Record<string, number> | null;
  logprobs?: boolean | null;
  /** 0 to 20; with logprobs only. */
  top_logprobs?: number | null;
  response_format?: ResponseFormat;
  tools?: readonly Tool[];
  tool_choice?: ToolChoice;
  /** Default true. False: a reply ends with its first call. */
  parallel_tool_calls?: boolean;
  /** Not OpenAI's: further variables of the chat template, such as `{ enable_thinking: false }`. */
  chat_template_kwargs?: Record<string, unknown> | null;
}

export interface TokenLogprob {
  token: string;
  logprob: number;
  /** UTF-8; null for a token that is no text. */
  bytes: number[] | null;
}

export interface LogprobEntry extends TokenLogprob {
  top_logprobs: TokenLogprob[];
}

export interface ChoiceLogprobs {
  content: LogprobEntry[] | null;
  refusal: null;
}

export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Tokens whose keys and values were already there. */
  prompt_tokens_details: { cached_tokens: number };
  /** Tokens of thoughts, their marks included. */
  completion_tokens_details: { reasoning_tokens: number };
}

export type CompletionFinish = "stop" | "length" | "tool_calls";

export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  /** Seconds since 1970. */
  created: number;
  model: string;
  choices: {
    index: number;
    message: {
      role: "assistant";
      content: string | null;
      /** Not OpenAI's: what the model thought first, between `<think>` and `</think>`. */
      reasoning_content?: string;
      refusal: null;
      tool_calls?: ToolCall[];
    };
    finish_reason: CompletionFinish;
    logprobs: ChoiceLogprobs | null;
  }[];
  usage: CompletionUsage;
}

export interface CompletionDelta {
  role?: "assistant";
  content?: string | null;
  /** Not OpenAI's: what the model thinks first, before any content. */
  reasoning_content?: string;
  /** Whole calls: their arguments do not come in pieces. */
  tool_calls?: (ToolCall & { index: number })[];
}

export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  choices: {
    index: number;
    delta: CompletionDelta;
    finish_reason: CompletionFinish | null;
    logprobs: ChoiceLogprobs | null;
  }[];
  /** Of the last chunk, which has no choices, where stream_options asks for it; null in all before. */
  usage?: CompletionUsage | null;
}

export interface RequestOptions {
  /** Ends the replies: `create` and the stream reject with its reason. */
  signal?: AbortSignal;
}

/** Rejects with InputError, before any work, for what cannot be done; leaving a stream early ends its replies. */
export interface ChatCompletions {
  create(
    request: ChatCompletionRequest & { stream: true },
    options?: RequestOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  create(request: ChatCompletionRequest & { stream?: false | null }, options?: RequestOptions): Promise<ChatCompletion>;
  create(
    request: ChatCompletionRequest,
    options?: RequestOptions,
  ): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>>;
}

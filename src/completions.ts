// The types and names of `engine.chat.completions`, in the shape of OpenAI's interface, and what a reply can be held to.
// test/chat/openai.ts holds them against the types of the `openai` package.

/** Fields of requests that say how to sample, and the options of `Sampling` that they are. */
export const SAMPLING_FIELDS = {
  temperature: "temperature",
  top_p: "topP",
  top_k: "topK",
  min_p: "minP",
  repetition_penalty: "repetitionPenalty",
  frequency_penalty: "frequencyPenalty",
  presence_penalty: "presencePenalty",
  logit_bias: "logitBias",
  seed: "seed",
} as const;

/** What a reply must be. */
export type ConstraintSpec =
  /** JSON, on one line, of this schema. Keywords that cannot be kept are refused. */
  | { json: object }
  /** EBNF as GBNF and XGrammar have it; the rule `root` is the whole reply. */
  | { grammar: string };

/** Made by `engine.constraint`: for any number of replies of that engine. */
export interface Constraint {
  /** As it was asked for. */
  readonly spec: ConstraintSpec;
}

/** A text, or parts of which all are text. */
export type TextContent = string | readonly { type: "text"; text: string }[];

/** A picture, for models that see: a `data:` URL, or one that the page may read. */
export interface ImagePart {
  /** As OpenAI has it. */
  type: "image_url";
  /** OpenAI's `detail` has no effect. */
  image_url: { url: string };
}

/** A text, or parts that are texts and pictures. */
export type UserContent = string | readonly ({ type: "text"; text: string } | ImagePart)[];

/** A call of a function by the model. */
export interface ToolCall {
  /** Nine letters and digits; the result names it. */
  id: string;
  /** No other kind is known. */
  type: "function";
  /** `arguments`: JSON. */
  function: { name: string; arguments: string };
}

/** One turn. Users alone show pictures. */
export type ChatMessage =
  | { role: "system" | "developer"; content: TextContent; name?: string }
  | { role: "user"; content: UserContent; name?: string }
  | {
      role: "assistant";
      content?: TextContent | null;
      /** Not OpenAI's: what it thought first, for templates that read it. */
      reasoning_content?: string | null;
      tool_calls?: readonly ToolCall[];
      name?: string;
    }
  | { role: "tool"; content: TextContent; tool_call_id: string };

/** A function that the model may call. */
export interface Tool {
  /** No other kind is known. */
  type: "function";
  /** `parameters`: the JSON schema of its arguments; `description`: for the model. `strict` has no effect. */
  function: { name: string; description?: string; parameters?: Record<string, unknown>; strict?: boolean | null };
}

/** "auto": as the model likes (default); "required", or a named function: the reply is a call; "none": as if there were no tools. */
export type ToolChoice = "none" | "auto" | "required" | { type: "function"; function: { name: string } };

/** What the content of a reply is: free, any JSON object, or JSON of a schema. */
export type ResponseFormat =
  | { type: "text" }
  | { type: "json_object" }
  | {
      type: "json_schema";
      json_schema: { name: string; description?: string; schema?: Record<string, unknown>; strict?: boolean | null };
    };

/** Null is the same as left out. Any other field is refused by name. */
export interface ChatCompletionRequest {
  /** The whole conversation, at least one message. */
  messages: readonly ChatMessage[];
  /** Default, and the only one there is: this engine's, by `engine.model.name`. */
  model?: string;
  /** Chunks instead of one answer. Default false. */
  stream?: boolean | null;
  /** `include_usage`: a last chunk with `usage`. */
  stream_options?: { include_usage?: boolean } | null;
  /** Replies to the same prompt, with seeds one after another. Default 1. */
  n?: number | null;
  /** Texts that end a reply and are no part of it. */
  stop?: string | readonly string[] | null;
  /** Default: what fits in the context. */
  max_tokens?: number | null;
  /** The newer name of max_tokens. */
  max_completion_tokens?: number | null;
  /** Same seed, same prompt, same machine: same tokens. */
  seed?: number | null;
  /** Default of this and of what follows: as the model's files recommend (`engine.model.sampling`), else greedy. */
  temperature?: number | null;
  /** As `Sampling.topP`. */
  top_p?: number | null;
  /** Not OpenAI's: as `Sampling.topK`. */
  top_k?: number | null;
  /** Not OpenAI's: as `Sampling.minP`. */
  min_p?: number | null;
  /** Not OpenAI's: as `Sampling.repetitionPenalty`. */
  repetition_penalty?: number | null;
  /** As `Sampling.frequencyPenalty`. */
  frequency_penalty?: number | null;
  /** As `Sampling.presencePenalty`. */
  presence_penalty?: number | null;
  /** By token id, at most 64. */
  logit_bias?: Record<string, number> | null;
  /** Tokens with their log-probabilities. Default false. */
  logprobs?: boolean | null;
  /** 0 to 20; with logprobs only. */
  top_logprobs?: number | null;
  /** What the content must be. Default: anything. */
  response_format?: ResponseFormat;
  /** Functions that the model may call. */
  tools?: readonly Tool[];
  /** Default "auto". */
  tool_choice?: ToolChoice;
  /** Default true. False: a reply ends with its first call. */
  parallel_tool_calls?: boolean;
  /** Not OpenAI's: further variables of the chat template, such as `{ enable_thinking: false }`. */
  chat_template_kwargs?: Record<string, unknown> | null;
}

/** A token and how likely it was. */
export interface TokenLogprob {
  /** Its text; control tokens as they are written. */
  token: string;
  /** Natural logarithm, under the model itself. */
  logprob: number;
  /** UTF-8; null for a token that is no text. */
  bytes: number[] | null;
}

/** A token of a reply. */
export interface LogprobEntry extends TokenLogprob {
  /** The likeliest in its place, best first: `top_logprobs` of the request. */
  top_logprobs: TokenLogprob[];
}

/** Of a reply. */
export interface ChoiceLogprobs {
  /** All tokens in order, those of thoughts and calls included. */
  content: LogprobEntry[] | null;
  /** Always null: no model here marks refusals. */
  refusal: null;
}

/** Tokens of a request. */
export interface CompletionUsage {
  /** Once, however many replies there are. */
  prompt_tokens: number;
  /** Of all replies together. */
  completion_tokens: number;
  /** Both. */
  total_tokens: number;
  /** Tokens whose keys and values were already there. */
  prompt_tokens_details: { cached_tokens: number };
  /** Tokens of thoughts, their marks included. */
  completion_tokens_details: { reasoning_tokens: number };
}

/** "stop": by itself or at a stop text; "length": at the limit; "tool_calls": it calls functions. */
export type CompletionFinish = "stop" | "length" | "tool_calls";

/** The answer to a request that does not stream. */
export interface ChatCompletion {
  /** New for each request. */
  id: string;
  /** What it is. */
  object: "chat.completion";
  /** Seconds since 1970. */
  created: number;
  /** `engine.model.name`. */
  model: string;
  /** The replies, `n` of them. */
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
  /** What they took. */
  usage: CompletionUsage;
}

/** What a chunk adds to a reply. */
export interface CompletionDelta {
  /** With the first chunk. */
  role?: "assistant";
  /** More text. */
  content?: string | null;
  /** Not OpenAI's: what the model thinks first, before any content. */
  reasoning_content?: string;
  /** Whole calls: their arguments do not come in pieces. */
  tool_calls?: (ToolCall & { index: number })[];
}

/** A piece of the answer to a request that streams. */
export interface ChatCompletionChunk {
  /** The same in all chunks. */
  id: string;
  /** What it is. */
  object: "chat.completion.chunk";
  /** Seconds since 1970. */
  created: number;
  /** `engine.model.name`. */
  model: string;
  /** What one of the replies has more; `finish_reason` with its last chunk. */
  choices: {
    index: number;
    delta: CompletionDelta;
    finish_reason: CompletionFinish | null;
    logprobs: ChoiceLogprobs | null;
  }[];
  /** Of the last chunk, which has no choices, where stream_options asks for it; null in all before. */
  usage?: CompletionUsage | null;
}

/** Beside a request. */
export interface RequestOptions {
  /** Ends the replies: `create` and the stream reject with its reason. */
  signal?: AbortSignal;
}

/** Rejects with InputError, before any work, for what cannot be done; leaving a stream early ends its replies. */
export interface ChatCompletions {
  /** Answers a request, in one piece or in chunks as they come. */
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

// The public types of prompts: conversations and texts.

/**
 * A picture: a file or what a page has of one, pixels of 3 or 4 bytes row by row, or a URL, absolute or `data:`. Transparent
 * parts are seen on white.
 */
export type PictureSource =
  Blob | ImageBitmap | ImageData | { width: number; height: number; data: Uint8Array | Uint8ClampedArray } | string;

/** A part of a message: text, a picture for models that see (`engine.model.seesPictures`), or what else the model's template knows. */
export type ContentPart =
  { type: "text"; text: string } | { type: "image"; image: PictureSource } | { type: string; [field: string]: unknown };

/**
 * One turn. The chat template reads every field: `tool_calls`, `tool_call_id`, `name`, `reasoning_content`, … Values are
 * plain data as JSON has it. A whole number counts as an int, which templates write as 1; `Object(1)` writes 1.0.
 */
export interface Message {
  /** Who speaks. */
  role: "system" | "user" | "assistant" | "tool" | (string & {});
  /** Templates for text alone want a string. null, as beside tool calls, is the same as no content. */
  content: string | null | readonly ContentPart[];
  [field: string]: unknown;
}

/** A conversation and what the model's chat template reads beside it. */
export interface ChatPrompt {
  /** In order, the last one to be answered. */
  messages: readonly Message[];
  /** Functions the model may call, as JSON schemas: `{ type: "function", function: { name, description, parameters } }`. */
  tools?: readonly object[];
  /** Texts to answer from: `{ title, text }`. */
  documents?: readonly object[];
  /** Further variables of the template, such as `{ enable_thinking: false }`. */
  variables?: Readonly<Record<string, unknown>>;
}

/** What to continue. Always the whole conversation: the engine finds what it already holds of it. */
export type Prompt =
  | ChatPrompt
  /** Raw text, no chat template (special tokens in the text are recognised). */
  | { text: string }
  | { tokens: readonly number[] };

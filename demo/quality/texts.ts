// Texts to measure on: what is wrong with them, and the windows they are cut into.

import { InputError } from "../../src/index.ts";
import type { Engine } from "../../src/index.ts";
import type { Turn } from "../shared/turn.ts";

/** A file that the user gave. */
export interface Text {
  name: string;
  text: string;
}

export interface Conversation {
  /** Up to the last turn of the assistant. */
  messages: Turn[];
  reply: string;
}

/** A prompt and the tokens that follow it. */
export interface Window {
  prompt: number[];
  continuation: number[];
}

/** Sizes in tokens. */
export interface WindowSizes {
  prompt: number;
  continuation: number;
  /** Most windows of one text. */
  windows: number;
}

/** Throws InputError for what is empty or no text. `use`: what it was given for. */
export function checkText({ name, text }: Text, use = "text"): void {
  if (text.trim() === "") throw new InputError(`${use}: ${name}; got an empty file, want text. Give another file.`);
  const strange = text.match(/[\0\ufffd]/g)?.length ?? 0;
  if (text.includes("\0") || strange > text.length / 100)
    throw new InputError(`${use}: ${name}; got binary data, want text in UTF-8. Give another file.`);
}

/** Lines {"messages":[…]} with a last turn of the assistant. Throws InputError that names the line. */
export function parseChat(file: Text): Conversation[] {
  checkText(file);
  const lines = file.text.split("\n").map((line, i) => ({ line, number: i + 1 }));
  return lines.filter(({ line }) => line.trim() !== "").map(({ line, number }) => readLine(line, file.name, number));
}

function readLine(line: string, name: string, number: number): Conversation {
  const refuse = (got: string): InputError =>
    new InputError(
      `chat: ${name}, line ${number}; got ${got}, want {"messages": [{"role": …, "content": …}, …]} with a turn of the assistant after another. Correct the line.`,
    );
  const messages = messagesOf(line);
  if (typeof messages === "string") throw refuse(messages);
  const last = messages.findLastIndex(({ role }) => role === "assistant");
  if (last < 1) throw refuse(last < 0 ? "no turn of the assistant" : "no turn before the assistant's");
  if (messages[last]!.content.trim() === "") throw refuse("an empty turn of the assistant");
  return { messages: messages.slice(0, last), reply: messages[last]!.content };
}

/** A string says what there is instead. */
function messagesOf(line: string): Turn[] | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return "no JSON";
  }
  const messages: unknown = (value as { messages?: unknown } | null)?.messages;
  if (!Array.isArray(messages)) return "no list of messages";
  const isMessage = (each: unknown): each is Turn => {
    const { role, content } = (each ?? {}) as Partial<Turn>;
    return typeof role === "string" && typeof content === "string";
  };
  return messages.every(isMessage) ? messages : "a message without role and content";
}

/**
 * Windows spread evenly over the text, as many as fit. Each begins with `opening`, what the model wants before a text.
 * Throws InputError where none fits.
 */
export function windowsOf(
  name: string,
  tokens: readonly number[],
  { prompt, continuation, windows }: WindowSizes,
  opening: readonly number[] = [],
): Window[] {
  const size = prompt + continuation;
  const count = Math.min(windows, Math.floor(tokens.length / size));
  if (count === 0) {
    throw new InputError(
      `text: ${name}; got ${tokens.length} tokens, want at least ${size} (prompt ${prompt}, continuation ${continuation}). Give a longer text or smaller sizes.`,
    );
  }
  const stride = Math.floor(tokens.length / count);
  return Array.from({ length: count }, (_, i): Window => {
    const start = i * stride;
    const end = start + prompt;
    return {
      prompt: [...opening, ...tokens.slice(start + opening.length, end)],
      continuation: tokens.slice(end, end + continuation),
    };
  });
}

/** One window per conversation, as many as asked for, of those whose prompts are not too long. Throws InputError where none is left. */
export function chatWindows(
  engine: Pick<Engine, "render" | "tokenize">,
  name: string,
  conversations: readonly Conversation[],
  { prompt, continuation, windows }: WindowSizes,
): Window[] {
  const all = conversations.map(({ messages, reply }): Window => {
    const opened = engine.tokenize(engine.render(messages), { addSpecial: false });
    return { prompt: opened, continuation: engine.tokenize(reply, { addSpecial: false }).slice(0, continuation) };
  });
  const fitting = all.filter((window) => window.prompt.length <= prompt && window.continuation.length > 0);
  if (fitting.length > 0) return spread(fitting, windows);
  const shortest = Math.min(...all.map((window) => window.prompt.length));
  throw new InputError(
    `chat: ${name}; got prompts of at least ${shortest} tokens, want one of at most ${prompt}. Give a larger --prompt.`,
  );
}

/** At most `count` of the items, evenly chosen. */
function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}

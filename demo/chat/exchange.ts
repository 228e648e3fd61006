// Conversations as files: JSON, which comes back as it was, and Markdown, to read. No DOM.

import type { GenerationStats } from "../../src/index.ts";
import { count } from "../shared/numbers.ts";
import type { Document } from "../shared/turn.ts";
import { type Kept, titleOf } from "./archive.ts";
import type { ReadPassage } from "./passages.ts";
import type { Reading } from "./reading.ts";
import { type KeptTurn, Thread } from "./thread.ts";

const FORMAT = "longprompt-conversations";

export const jsonOf = (conversations: readonly Kept[]): string =>
  JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 1);

/** The branch on view. Of documents the name and the length. */
export function markdownOf(kept: Kept): string {
  const turns = new Thread(kept.turns, kept.leaf).turns.map(markdownTurn);
  return `${[`# ${titleOf(kept)}`, ...turns].join("\n\n")}\n`;
}

function markdownTurn({ role, content, documents = [], speaker = "Reply", cut }: KeptTurn): string {
  const heading = `## ${role === "user" ? "You" : speaker}`;
  const attached = documents.map(
    ({ name, text, picture }) => `> ${name}, ${picture ? "a picture" : `${count(text.length)} characters`}`,
  );
  return [heading, ...attached, content.trim(), cut ? "*(cut)*" : ""].filter(Boolean).join("\n\n");
}

/** A name that every system takes. */
export function fileName(kept: Kept, extension: string): string {
  const words = titleOf(kept)
    .replaceAll(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
  return `${words.slice(0, 60).trim().replaceAll(" ", "-") || "conversation"}.${extension}`;
}

/** What a file written by `jsonOf` holds. Throws an Error that says what is wrong; unknown fields are dropped. */
export function readConversations(text: string): Kept[] {
  const whole = objectOf(parsed(text), "the file");
  if (whole.format !== FORMAT || !Array.isArray(whole.conversations))
    throw new Error("it holds no conversations that this page saved");
  return whole.conversations.map(conversationOf);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("it is no JSON");
  }
}

function conversationOf(value: unknown, index: number): Kept {
  const where = `conversation ${index + 1}`;
  const { id, title, model, turns, leaf, changed } = objectOf(value, where);
  if (!Array.isArray(turns)) throw new Error(`${where} has no turns`);
  const { source = null, name } = objectOf(model, `the model of ${where}`);
  return {
    id: stringOf(id, `the id of ${where}`),
    ...(title === undefined ? {} : { title: stringOf(title, `the title of ${where}`) }),
    model: {
      source: source === null ? null : stringOf(source, `the model of ${where}`),
      name: stringOf(name, `the model of ${where}`),
    },
    turns: turns.map((turn, at) => turnOf(turn, at, `turn ${at + 1} of ${where}`)),
    ...(isPlace(leaf, turns.length) ? { leaf } : {}),
    changed: typeof changed === "number" && Number.isFinite(changed) ? changed : Date.now(),
  };
}

function turnOf(value: unknown, at: number, where: string): KeptTurn {
  const { role, content, documents, speaker, thinks, parent, cut, stats, read } = objectOf(value, where);
  if (role !== "user" && role !== "assistant") throw new Error(`${where} is by nobody`);
  if (parent !== undefined && !isPlace(parent, at)) throw new Error(`${where} follows none`);
  return {
    role,
    content: stringOf(content, where),
    ...(Array.isArray(documents) ? { documents: documents.map((each) => documentOf(each, where)) } : {}),
    ...(speaker === undefined ? {} : { speaker: stringOf(speaker, where) }),
    ...(thinks === true ? { thinks } : {}),
    ...(parent === undefined ? {} : { parent }),
    ...(cut === "length" || cut === "abort" ? { cut } : {}),
    ...statsOf(stats),
    ...readingIn(read),
  };
}

/** What a reply read: a sentence, or whole passages. */
function readingIn(value: unknown): { read?: Reading } {
  if (typeof value === "string") return { read: value };
  if (!Array.isArray(value) || value.length === 0) return {};
  const passages = value.map((each: unknown) => passageIn(each));
  return passages.every((each) => each !== null) ? { read: passages } : {};
}

function passageIn(value: unknown): ReadPassage | null {
  const { from, to, share, whole, words } = (value ?? {}) as Partial<ReadPassage>;
  const areNumbers = [from, to, share].every((each) => Number.isFinite(each));
  if (!areNumbers || typeof whole !== "boolean" || typeof words !== "string") return null;
  return { from: from!, to: to!, share: share!, whole, words };
}

function documentOf(value: unknown, where: string): Document {
  const { name, text, picture } = objectOf(value, `a document of ${where}`);
  const isPicture = typeof picture === "string" && picture.startsWith("data:image/");
  return {
    name: stringOf(name, `a document of ${where}`),
    text: stringOf(text, `a document of ${where}`),
    ...(isPicture && { picture }),
  };
}

const FIGURES = [
  "promptTokens",
  "reusedTokens",
  "newTokens",
  "kvBytesPerToken",
  "evictedTokens",
  "prefillMs",
  "decodeMs",
  "prefillTokensPerSecond",
  "decodeTokensPerSecond",
] as const satisfies readonly (keyof GenerationStats)[];

/** All figures, or none. */
function statsOf(value: unknown): { stats?: GenerationStats } {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const figures = FIGURES.map((name) => [name, given[name]] as const);
  if (!figures.every(([, figure]) => typeof figure === "number" && Number.isFinite(figure))) return {};
  return { stats: Object.fromEntries(figures) as unknown as GenerationStats };
}

/** Of one of so many turns, or -1. */
const isPlace = (value: unknown, turns: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= -1 && value < turns;

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`${what} is no object`);
}

function stringOf(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  throw new Error(`${what} is no text`);
}

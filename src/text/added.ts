// Added tokens: texts that are found before anything else is done, as the reference (the Rust library) finds them.

import { isObject } from "../errors.ts";
import { type Fields, fail, fieldsOf } from "./fields.ts";
import { idOf } from "./models/vocabulary.ts";
import type { Normalize } from "./normalize.ts";

export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  /** Looked for in text that has been normalised. */
  normalized: boolean;
  /** Counts only where no letter or digit touches it. */
  single_word: boolean;
  /** Takes the spaces before it, or after it. */
  lstrip: boolean;
  rstrip: boolean;
}

/** A part of a text between added tokens, with where it begins, or such a token. */
export type Section = { text: string; start: number } | { id: number };

/** Reads `added_tokens` of tokenizer.json. Errors: ModelError. */
export function addedTokens(list: readonly unknown[]): AddedToken[] {
  return list.map((value, index) => {
    const token = fieldsOf(value, `added_tokens[${index}]`);
    const content = token["content"];
    if (typeof content !== "string" || content === "") return fail(`added_tokens[${index}].content is not a string`);
    const flag = (name: string): boolean => token[name] === true;
    return {
      id: idOf(token["id"], `added token ${JSON.stringify(content)}`),
      content,
      special: flag("special"),
      normalized: (token["normalized"] ?? !flag("special")) === true,
      single_word: flag("single_word"),
      lstrip: flag("lstrip"),
      rstrip: flag("rstrip"),
    };
  });
}

/** The tokens of added_tokens.json that `tokens` lacks, as transformers adds them: special where the config names them. */
export function missingTokens(further: Fields, tokens: readonly unknown[], config: unknown): Fields[] {
  const known = new Set(tokens.map((token) => (isObject(token) ? token["content"] : null)));
  const values = isObject(config) ? Object.values(config).flat() : []; // whatever else it is, is refused by its reader
  const named = new Set(values.map((value) => (isObject(value) ? value["content"] : value)));
  return Object.entries(further)
    .filter(([content]) => !known.has(content))
    .map(([content, id]) => {
      const special = named.has(content);
      return { id, content, special, normalized: !special, single_word: false, lstrip: false, rstrip: false };
    });
}

/** Finds some added tokens in texts. */
export class AddedTokens {
  private readonly root = new Node();

  /** `spelling`: how a token's content stands in the texts. */
  constructor(tokens: readonly AddedToken[], spelling: Normalize) {
    for (const token of tokens) this.root.insert(spelling(token.content), token);
  }

  /** The whole text in order. Matches go from left to right, the longest first. */
  split(text: string): Section[] {
    const sections: Section[] = [];
    let start = 0; // of what no section has yet
    for (let at = 0; at < text.length;) {
      const found = this.root.longest(text, at);
      if (found && (!found.token.single_word || standsAlone(text, at, found.end))) {
        const from = found.token.lstrip ? Math.max(start, spacesBefore(text, at)) : at;
        if (start < from) sections.push({ text: text.slice(start, from), start });
        sections.push({ id: found.token.id });
        start = found.token.rstrip ? spacesAfter(text, found.end) : found.end;
      }
      at = found?.end ?? at + 1;
    }
    if (start < text.length) sections.push({ text: text.slice(start), start });
    return sections;
  }
}

/** Tokens by the UTF-16 units of their text. */
class Node {
  private readonly children = new Map<number, Node>();
  private token: AddedToken | null = null;

  insert(text: string, token: AddedToken): void {
    if (text === "") return;
    let node = this.child(text.charCodeAt(0));
    for (let index = 1; index < text.length; index++) node = node.child(text.charCodeAt(index));
    node.token ??= token;
  }

  private child(unit: number): Node {
    const child = this.children.get(unit) ?? new Node();
    this.children.set(unit, child);
    return child;
  }

  longest(text: string, start: number): { token: AddedToken; end: number } | null {
    let found: { token: AddedToken; end: number } | null = null;
    let node = this.children.get(text.charCodeAt(start));
    for (let end = start + 1; node; end++) {
      if (node.token) found = { token: node.token, end };
      node = node.children.get(text.charCodeAt(end));
    }
    return found;
  }
}

const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_AFTER = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const SPACE = /\p{White_Space}/u;

/** Two units are enough for the character at either side. */
const standsAlone = (text: string, start: number, end: number): boolean =>
  !WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start)) && !WORD_AFTER.test(text.slice(end, end + 2));

function spacesBefore(text: string, end: number): number {
  let start = end;
  while (start > 0 && SPACE.test(text[start - 1]!)) start--;
  return start;
}

function spacesAfter(text: string, start: number): number {
  let end = start;
  while (end < text.length && SPACE.test(text[end]!)) end++;
  return end;
}

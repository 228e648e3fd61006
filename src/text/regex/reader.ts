// The parts of a pattern that mean the same inside and outside a class, and quantifiers.

import { escapedSet, propertySet, refuse } from "./sets.ts";

export interface Quantifier {
  text: string;
  possessive: boolean;
}

const CONTROLS: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
  ["f", "\f"],
  ["v", "\v"],
  ["a", "\x07"],
  ["e", "\x1b"],
]);

/** A pattern and the place read up to. */
export class Reader {
  private readonly source: string;
  private at = 0;

  constructor(source: string) {
    this.source = source;
  }

  get done(): boolean {
    return this.at >= this.source.length;
  }

  get rest(): string {
    return this.source.slice(this.at);
  }

  sees(text: string): boolean {
    return this.source.startsWith(text, this.at);
  }

  take(text: string): boolean {
    const seen = this.sees(text);
    if (seen) this.at += text.length;
    return seen;
  }

  skip(pattern: RegExp): RegExpExecArray | null {
    const match = pattern.exec(this.rest);
    this.at += match?.[0].length ?? 0;
    return match;
  }

  /** The next character, "" at the end. */
  peek(): string {
    const code = this.source.codePointAt(this.at);
    return code === undefined ? "" : String.fromCodePoint(code);
  }

  next(): string {
    const character = this.peek();
    this.at += character.length;
    return character || refuse("a \\ or [ at its end");
  }

  /** null if none follows. */
  quantifier(): Quantifier | null {
    const simple = this.skip(/^([*+?])([+?]?)/);
    if (simple) return { text: simple[1]! + (simple[2] === "?" ? "?" : ""), possessive: simple[2] === "+" };
    const bounds = this.skip(/^\{(\d{1,5})?(?:(,)(\d{1,5})?)?\}(\??)/);
    if (!bounds) return null;
    const [text, least = "0", comma, most = "", lazy = ""] = bounds;
    if (text.startsWith("{}") || text.startsWith("{,}")) return refuse(text);
    if (lazy && !comma) return refuse(text); // not lazy but optional
    if (most && Number(most) < Number(least)) return refuse(text);
    return { text: `{${least}${comma ?? ""}${most}}${lazy}`, possessive: false };
  }

  /** After a backslash: a set of characters, or null. */
  set(): string | null {
    const property = this.skip(/^([pP])\{(\^?)([^}]*)\}/);
    if (property) return propertySet(property[3]!, (property[1] === "P") !== (property[2] === "^"));
    const set = escapedSet(this.peek());
    if (set === undefined) return null;
    this.next();
    return set;
  }

  /** After a backslash: one character. */
  escapedCharacter(): string {
    const hex = this.skip(/^(?:x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4}))/);
    if (hex) return characterOf(Number.parseInt(hex[1] ?? hex[2] ?? hex[3]!, 16));
    if (this.skip(/^0(?![0-7])/)) return "\0";
    const character = this.next();
    const control = CONTROLS.get(character);
    if (control !== undefined) return control;
    return /[A-Za-z0-9]/.test(character) ? refuse(`\\${character}`) : character;
  }
}

const characterOf = (code: number): string =>
  code > 0x10ffff || (code >= 0xd800 && code < 0xe000)
    ? refuse("an escape of no character")
    : String.fromCodePoint(code);

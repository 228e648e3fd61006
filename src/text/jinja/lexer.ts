// The source of a template as tokens, white space taken off as trim_blocks, lstrip_blocks and the signs of the tags say.
import { SPACE, stripped } from "./characters.ts";
import { fail } from "./values.ts";

export type TokenKind = "text" | "begin" | "end" | "name" | "string" | "integer" | "float" | "operator" | "over";

export interface Token {
  kind: TokenKind;
  /** Of `begin` and `end`: `{{`, `{%`, `}}` or `%}`. */
  text: string;
  line: number;
}

const TAG = /\{[{%#]/g;
const RAW = new RegExp(`\\{%[-+]?[${SPACE}]*raw[${SPACE}]*-?%\\}`, "y");
const END_RAW = new RegExp(`\\{%([-+]?)[${SPACE}]*endraw[${SPACE}]*([-+]?)%\\}`, "g");
const SKIP = new RegExp(`[${SPACE}]+`, "y");

const PARTS: readonly [TokenKind, RegExp][] = [
  ["float", /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/y],
  ["integer", /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y],
  ["name", /[\p{L}_][\p{L}\p{M}\p{N}_]*/uy],
  ["string", /'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/y],
  ["operator", /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y],
];

const CLOSERS: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/** Errors: TemplateFailure with the line. */
export const tokenize = (source: string): Token[] => new Lexer(source.replace(/\r\n?/g, "\n").replace(/\n$/, "")).run();

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  /** Up to where lines are counted. */
  #counted = 0;

  constructor(source: string) {
    this.#source = source;
  }

  run(): Token[] {
    while (this.#at < this.#source.length) {
      TAG.lastIndex = this.#at;
      const found = TAG.exec(this.#source);
      if (!found) this.#addText(this.#source.slice(this.#at), this.#source.length);
      else this.#tag(found.index, found[0]);
    }
    return [...this.#tokens, { kind: "over", text: "", line: this.#here() }];
  }

  #tag(index: number, opening: string): void {
    const sign = this.#source[index + 2] ?? "";
    this.#addText(this.#before(index, sign, opening === "{{"), index);
    RAW.lastIndex = index;
    const raw = opening === "{%" && RAW.exec(this.#source);
    if (raw) return this.#raw(index + raw[0].length, raw[0].endsWith("-%}"));
    if (opening === "{#") return this.#comment(index + 2);
    this.#push("begin", opening, index + (sign === "-" || sign === "+" ? 3 : 2));
    this.#inside(opening === "{{" ? "}}" : "%}");
  }

  /** The text up to a tag, without the white space that its sign takes, or lstrip_blocks. */
  #before(index: number, sign: string, isVariable: boolean): string {
    const text = this.#source.slice(this.#at, index);
    if (sign === "-") return stripped(text, "right", null);
    if (sign === "+" || isVariable) return text;
    const line = text.lastIndexOf("\n") + 1;
    const startsLine = line > 0 || this.#at === 0 || this.#source[this.#at - 1] === "\n";
    return startsLine && stripped(text.slice(line), "left", null) === "" ? text.slice(0, line) : text;
  }

  #raw(start: number, strips: boolean): void {
    this.#at = strips ? this.#pastSpace(start) : start;
    END_RAW.lastIndex = this.#at;
    const end = END_RAW.exec(this.#source) ?? this.#fail("{% raw %} without {% endraw %}");
    this.#addText(this.#before(end.index, end[1]!, false), end.index);
    this.#at = this.#after(end.index + end[0].length, end[2]!);
  }

  #comment(start: number): void {
    const end = this.#source.indexOf("#}", start);
    if (end < 0) this.#fail("a comment without an end");
    const sign = end > start ? this.#source[end - 1]! : "";
    this.#at = this.#after(end + 2, sign);
  }

  /** Where the text after a block or comment begins; `sign`: the one before its closing. */
  #after(end: number, sign: string): number {
    if (sign === "-") return this.#pastSpace(end);
    return sign !== "+" && this.#source[end] === "\n" ? end + 1 : end;
  }

  #pastSpace(at: number): number {
    SKIP.lastIndex = at;
    return at + (SKIP.exec(this.#source)?.[0].length ?? 0);
  }

  /** The tokens of a tag. Its closing counts only where brackets are balanced. */
  #inside(closing: string): void {
    const open: string[] = [];
    for (;;) {
      this.#at = this.#pastSpace(this.#at);
      if (this.#at >= this.#source.length) this.#fail(`a tag without its ${closing}`);
      if (open.length === 0 && this.#closes(closing)) return;
      this.#part(open);
    }
  }

  #closes(closing: string): boolean {
    const sign = this.#source[this.#at]!;
    const signed = sign === "-" || (sign === "+" && closing === "%}") ? 1 : 0;
    if (!this.#source.startsWith(closing, this.#at + signed)) return false;
    const end = this.#at + signed + 2;
    const next = closing === "%}" ? this.#after(end, signed ? sign : "") : signed ? this.#pastSpace(end) : end;
    this.#push("end", closing, next);
    return true;
  }

  #part(open: string[]): void {
    for (const [kind, pattern] of PARTS) {
      pattern.lastIndex = this.#at;
      const text = pattern.exec(this.#source)?.[0];
      if (text === undefined) continue;
      if (kind === "operator") this.#balance(text, open);
      return this.#push(kind, text, this.#at + text.length);
    }
    this.#fail(`unexpected ${JSON.stringify(this.#source[this.#at])}`);
  }

  #balance(text: string, open: string[]): void {
    if (CLOSERS[text]) open.push(CLOSERS[text]);
    else if (/[)\]}]/.test(text) && open.pop() !== text) this.#fail(`unexpected "${text}"`);
  }

  #addText(text: string, next: number): void {
    if (text !== "") this.#push("text", text, next);
    this.#at = next;
  }

  #push(kind: TokenKind, text: string, next: number): void {
    this.#tokens.push({ kind, text, line: this.#here() });
    this.#at = next;
  }

  #here(): number {
    for (; this.#counted < this.#at; this.#counted++) if (this.#source[this.#counted] === "\n") this.#line++;
    return this.#line;
  }

  #fail(what: string): never {
    return fail(`line ${this.#here()}: ${what}`);
  }
}

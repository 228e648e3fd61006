// The regular expressions of tokenizer.json are Oniguruma's (in Ruby's syntax); here they become JavaScript's with the
// same matches, or are refused by name. Captures are not needed: every group is a plain one.

import { readClass } from "./classes.ts";
import { Reader } from "./reader.ts";
import { foldedLiteral, foldsTogether, literal, NO_WORD_BOUNDARY, outside, refuse, WORD_BOUNDARY } from "./sets.ts";

/** `pattern` for matching again and again (flags g and v). Errors: UnsupportedError. */
export function regexOf(pattern: string): RegExp {
  const source = new Pattern(pattern).translate();
  try {
    return new RegExp(source, "gv");
  } catch {
    return refuse(`something that JavaScript lacks: ${pattern.slice(0, 60)}`);
  }
}

/** `text` itself, for matching again and again. */
export const regexOfText = (text: string): RegExp => new RegExp(Array.from(text, literal).join(""), "gv");

/** The start of a line: of the text, or after a line break that does not end it. */
const LINE_START = "(?:(?<![\\s\\S])|(?<=\\n)(?=[\\s\\S]))";
/** The end of a line: before a line break, or the end of a text that has none there. */
const LINE_END = "(?:(?=\\n)|(?<!\\n)(?![\\s\\S]))";

const ANCHORS: ReadonlyMap<string, string> = new Map([
  ["A", "(?<![\\s\\S])"],
  ["z", "(?![\\s\\S])"],
  ["Z", "(?=\\n?(?![\\s\\S]))"],
  ["b", WORD_BOUNDARY],
  ["B", NO_WORD_BOUNDARY],
]);

const MAX_DEPTH = 64;

class Pattern {
  private readonly reader: Reader;
  private fold = false;
  private depth = 0;
  private behind = 0;
  private atomics = 0;
  /** Places so far where a match can go on in more than one way: alternatives, repetitions without an end. */
  private choices = 0;
  /** The letter before, where case does not count: two may be one character. */
  private letter = "";

  constructor(source: string) {
    this.reader = new Reader(source);
  }

  translate(): string {
    const text = this.alternatives();
    return this.reader.done ? text : refuse("a ) without (");
  }

  /** Up to the end of the group. An option set inside ends with it. */
  private alternatives(): string {
    if (++this.depth > MAX_DEPTH) return refuse(`groups deeper than ${MAX_DEPTH}`);
    const { fold } = this;
    const parts = [this.sequence()];
    while (this.reader.take("|")) parts.push(this.sequence());
    if (parts.length > 1) this.choices++;
    this.fold = fold;
    this.depth--;
    return parts.join("|");
  }

  private sequence(): string {
    let text = "";
    this.letter = "";
    while (!this.reader.done && !this.reader.sees("|") && !this.reader.sees(")")) {
      const before = this.choices;
      const atom = this.atom();
      text += this.repeated(atom, this.choices > before);
    }
    return text;
  }

  /**
   * `atom` with the quantifiers that follow it. `open`: it can match the same text in several ways. Repeated without an end,
   * their number doubles with each character, and so would the time where the rest does not match.
   */
  private repeated(atom: string, open: boolean): string {
    let text = atom;
    for (let quantifier = this.reader.quantifier(); quantifier; quantifier = this.reader.quantifier()) {
      const endless = /^[*+]|,\}/.test(quantifier.text) && !quantifier.possessive;
      if (endless && open) return refuse("alternatives or a repetition inside a repetition, unless it is atomic");
      if (endless) this.choices++;
      this.letter = "";
      // One after another repeats what is repeated already.
      const unit = text === atom && !text.startsWith("(?") ? text : `(?:${text})`;
      text = quantifier.possessive ? this.atomic(`${unit}${quantifier.text}`) : `${unit}${quantifier.text}`;
    }
    return text;
  }

  /** What has matched once is not tried otherwise: a lookahead never is, so it finds the text and a reference takes it. */
  private atomic(text: string): string {
    if (this.behind > 0) return refuse("an atomic group in a lookbehind");
    const name = `a${this.atomics++}`;
    return `(?:(?=(?<${name}>${text}))\\k<${name}>)`;
  }

  private atom(): string {
    const { reader } = this;
    if (reader.sees("(") || reader.sees("[") || reader.sees("\\")) this.letter = "";
    if (reader.take("(")) return this.group();
    if (reader.take("[")) return readClass(reader, this.fold);
    if (reader.take("\\")) return this.escape();
    if (reader.take(".")) return "[^\\n]";
    if (reader.take("^")) return LINE_START;
    if (reader.take("$")) return LINE_END;
    if (/^[*+?]/.test(reader.rest)) return refuse("a quantifier that repeats nothing");
    return this.character(reader.next());
  }

  private character(character: string): string {
    if (!this.fold) return literal(character);
    if (foldsTogether(this.letter + character)) return refuse(`(?i) with ${this.letter}${character}`);
    this.letter = character;
    return `[${foldedLiteral(character)}]`;
  }

  private escape(): string {
    const set = this.reader.set();
    if (set && this.fold && !/^\[\^?\\p\{(White_Space|Nd)\}\]$/.test(set)) return refuse("(?i) with a set");
    if (set) return outside(set);
    const anchor = ANCHORS.get(this.reader.peek());
    if (anchor === undefined) return this.character(this.reader.escapedCharacter());
    this.reader.next();
    return anchor;
  }

  private group(): string {
    const { reader } = this;
    if (reader.skip(/^\?#[^)]*\)/)) return "";
    const options = reader.skip(/^\?(-?)i([:)])/);
    if (options) return this.withFold(options[1] === "", options[2] === ")");
    if (reader.take("?>")) return this.atomic(this.decided());
    for (const ahead of ["?=", "?!"]) if (reader.take(ahead)) return `(${ahead}${this.decided()})`;
    for (const behind of ["?<=", "?<!"]) if (reader.take(behind)) return this.lookbehind(behind);
    if (reader.skip(/^\?(<\w+>|'\w+'|:)/) || !reader.sees("?")) return `(?:${this.inside()})`;
    return refuse(`a group of the kind (${reader.rest.slice(0, 3)}`);
  }

  /** (?i:…), or (?i) for the rest of the group around. */
  private withFold(fold: boolean, rest: boolean): string {
    const before = this.fold;
    this.fold = fold;
    const text = `(?:${rest ? this.alternatives() : this.inside()})`;
    this.fold = before;
    return text;
  }

  private lookbehind(kind: string): string {
    this.behind++;
    const text = `(${kind}${this.inside()})`;
    this.behind--;
    return text;
  }

  /** Of a group that is not tried again once it has matched. */
  private decided(): string {
    const { choices } = this;
    const text = this.inside();
    this.choices = choices;
    return text;
  }

  private inside(): string {
    const text = this.alternatives();
    if (!this.reader.take(")")) return refuse("a ( without )");
    this.letter = "";
    return text;
  }
}

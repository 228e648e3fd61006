// Tokens in, printable text out: nothing leaves that a later token could still change.

import { InputError } from "../errors.ts";
import { type Tokenizer, spacesAtStart } from "./tokenizer.ts";

/** What a stream needs of a tokenizer. */
export type TokenBytes = Pick<Tokenizer, "bytesOf" | "isText" | "leadingSpaces">;

/**
 * Decodes one reply token by token. The texts returned, joined, are `tokenizer.decode(tokens, {skipSpecial: true})` up
 * to the first stop string. No half UTF-8 character leaves, nor the start of what may become a stop string.
 */
export class TextStream {
  private readonly tokenizer: TokenBytes;
  private readonly matchers: readonly StopMatcher[];
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** Spaces at the start of the text still to be dropped. */
  private leadingSpaces: number;
  /** Decoded but kept back: the longest prefix of a stop string that the text ends with. */
  private held = "";
  private stopped = false;
  /** No token of the text has come yet. */
  private first = true;

  /** Errors: InputError for an empty stop string. */
  constructor(tokenizer: TokenBytes, stop: readonly string[]) {
    this.tokenizer = tokenizer;
    this.matchers = stop.map((text) => new StopMatcher(text));
    this.leadingSpaces = tokenizer.leadingSpaces;
  }

  /** Text that became safe to show. O(bytes of the token · stop strings). After a stop: always empty and stopped. */
  push(token: number): { text: string; stopped: boolean } {
    const bytes = this.stopped ? null : this.tokenizer.bytesOf(token, this.first);
    this.first &&= !this.tokenizer.isText(token);
    const text = bytes === null || bytes.length === 0 ? "" : this.release(this.decoder.decode(bytes, { stream: true }));
    return { text, stopped: this.stopped };
  }

  /** The rest: text kept back, and U+FFFD for a character that was never completed. Empty after a stop. */
  finish(): string {
    if (this.stopped) return "";
    const text = this.release(this.decoder.decode());
    const rest = this.held;
    this.held = "";
    return text + rest;
  }

  private release(decoded: string): string {
    const fresh = this.trim(decoded);
    const text = this.held + fresh;
    let kept = Math.min(this.held.length, text.length);
    for (let index = 0; index < fresh.length; index++) {
      const { held, stop } = this.advance(fresh.charCodeAt(index));
      if (stop > 0) {
        this.stopped = true;
        this.held = "";
        return text.slice(0, text.length - fresh.length + index + 1 - stop);
      }
      kept = held;
    }
    this.held = text.slice(text.length - kept);
    return text.slice(0, text.length - kept);
  }

  /** One UTF-16 unit further: the longest prefix now matched, and the length of a stop string now complete (or 0). */
  private advance(unit: number): { held: number; stop: number } {
    let held = 0;
    let stop = 0;
    for (const matcher of this.matchers) {
      const matched = matcher.advance(unit);
      held = Math.max(held, matched);
      if (matched === matcher.length) stop = Math.max(stop, matched);
    }
    return { held, stop };
  }

  private trim(text: string): string {
    if (this.leadingSpaces === 0 || text === "") return text;
    const spaces = spacesAtStart(text, this.leadingSpaces);
    this.leadingSpaces = spaces === text.length ? this.leadingSpaces - spaces : 0;
    return text.slice(spaces);
  }
}

/** Knuth-Morris-Pratt over UTF-16 units: constant time per unit, amortised, whatever came before. */
class StopMatcher {
  readonly length: number;
  private readonly units: Uint16Array;
  /** border[i]: length of the longest proper prefix of the first i + 1 units that is also their suffix. */
  private readonly border: Uint32Array;
  private matched = 0;

  constructor(stop: string) {
    if (typeof stop !== "string" || stop === "") {
      throw new InputError("stop: got an empty stop string, want at least one character. Leave it out.");
    }
    // A lone surrogate would match half of a character; text has U+FFFD in its place.
    const text = stop.replace(/\p{Surrogate}/gu, "\ufffd");
    this.length = text.length;
    this.units = Uint16Array.from({ length: text.length }, (_, index) => text.charCodeAt(index));
    this.border = new Uint32Array(text.length);
    for (let index = 1; index < text.length; index++) this.border[index] = this.advance(this.units[index]!);
    this.matched = 0;
  }

  /** Length of the longest prefix of the stop string that ends with this unit. */
  advance(unit: number): number {
    if (this.matched === this.length) this.matched = this.border[this.length - 1]!;
    while (this.matched > 0 && this.units[this.matched] !== unit) this.matched = this.border[this.matched - 1]!;
    if (this.units[this.matched] === unit) this.matched++;
    return this.matched;
  }
}

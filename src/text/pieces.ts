// What a token adds to the text, in bytes. Decoding is defined on bytes (the tokens' bytes, joined, read as UTF-8), so
// that a text decoded token by token and one decoded at once cannot differ.

import { ModelError, UnsupportedError } from "../errors.ts";

export interface DecodeRules {
  /** Each character of a piece stands for one byte, in GPT-2's alphabet. */
  byteLevel: boolean;
  /** Pieces <0x00> … <0xFF> are single bytes. */
  byteFallback: boolean;
  /** Replacements made in every piece, in this order. */
  replace: readonly (readonly [from: string, to: string])[];
  /** Spaces that a whole text loses at its start: those the encoder had put there. */
  leadingSpaces: number;
}

const DECODERS = "ByteLevel, Metaspace, or a Sequence of Replace, ByteFallback, Fuse and Strip";

/** Reads the `decoder` of tokenizer.json. Errors: ModelError, UnsupportedError. */
export function decodeRules(decoder: unknown): DecodeRules {
  const rules = { byteLevel: false, byteFallback: false, replace: [] as [string, string][], leadingSpaces: 0 };
  const decoders = decodersOf(decoder);
  if (decoders.length === 0) throw unsupported("none");
  for (const each of decoders) addRules(rules, each);
  return rules;
}

/** An entry of tokenizer.json. */
type Decoder = Record<string, unknown>;

/** A Sequence holds several. */
function decodersOf(decoder: unknown): Decoder[] {
  if (decoder === null) return [];
  if (typeof decoder !== "object")
    throw new ModelError("tokenizer.json: decoder is not an object. Is the file damaged?");
  const outer: Decoder = { ...decoder };
  if (outer["type"] !== "Sequence") return [outer];
  const members: unknown = outer["decoders"];
  if (!Array.isArray(members))
    throw new ModelError("tokenizer.json: decoder.decoders is not a list. Is the file damaged?");
  return members.map((member: unknown): Decoder => {
    if (typeof member === "object" && member !== null) return { ...member };
    throw new ModelError("tokenizer.json: decoder.decoders holds a non-object. Is the file damaged?");
  });
}

function addRules(rules: DecodeRules & { replace: [string, string][] }, decoder: Decoder): void {
  switch (decoder["type"]) {
    case "ByteLevel":
      rules.byteLevel = true;
      return;
    case "ByteFallback":
      rules.byteFallback = true;
      return;
    case "Fuse":
      return;
    case "Metaspace":
      rules.replace.push([textOf(decoder["replacement"] ?? "\u2581"), " "]);
      rules.leadingSpaces = decoder["prepend_scheme"] === "never" ? 0 : 1;
      return;
    case "Replace":
      rules.replace.push([patternOf(decoder["pattern"]), textOf(decoder["content"], true)]);
      return;
    case "Strip":
      rules.leadingSpaces = strippedSpaces(decoder);
      return;
    default:
      throw unsupported(String(decoder["type"]).slice(0, 60));
  }
}

const unsupported = (got: string): UnsupportedError =>
  new UnsupportedError(`tokenizer.json: the decoder is ${got}, want ${DECODERS}. Use another model.`);

function textOf(value: unknown, empty = false): string {
  if (typeof value === "string" && (empty || value !== "")) return value;
  throw new ModelError("tokenizer.json: a decoder step lacks its text. Is the file damaged?");
}

function patternOf(pattern: unknown): string {
  if (typeof pattern === "object" && pattern !== null && "Regex" in pattern) throw unsupported("Replace with a Regex");
  return textOf(typeof pattern === "object" && pattern !== null && "String" in pattern ? pattern.String : undefined);
}

function strippedSpaces(decoder: Decoder): number {
  const { content, start = 0, stop = 0 } = decoder;
  if (content === " " && stop === 0 && typeof start === "number" && Number.isInteger(start) && start >= 0) return start;
  throw unsupported("a Strip other than of spaces at the start");
}

const UTF8 = new TextEncoder();
const BYTE_PIECE = /^<0x[0-9A-Fa-f]{2}>$/;

/** The bytes a piece of the vocabulary stands for. */
export function pieceBytes(piece: string, rules: DecodeRules): Uint8Array {
  if (rules.byteLevel) return alphabetBytes(piece) ?? UTF8.encode(piece);
  if (rules.byteFallback && BYTE_PIECE.test(piece)) return Uint8Array.of(Number.parseInt(piece.slice(3, 5), 16));
  return literalBytes(piece, rules);
}

/** The bytes of a token that is written as it is read: `<think>`, `<|user|>`. */
export function literalBytes(content: string, rules: DecodeRules): Uint8Array {
  return UTF8.encode(rules.replace.reduce((text, [from, to]) => text.replaceAll(from, to), content));
}

/** null if a character is not in the alphabet. */
function alphabetBytes(piece: string): Uint8Array | null {
  const bytes = new Uint8Array(piece.length);
  for (let index = 0; index < piece.length; index++) {
    const byte = BYTE_OF.get(piece.charCodeAt(index));
    if (byte === undefined) return null;
    bytes[index] = byte;
  }
  return bytes;
}

/**
 * GPT-2's alphabet: UTF-16 unit → byte. Printable Latin-1 stands for itself; the 68 other bytes, in order, for U+0100 on.
 * All units lie below U+0144, so one unit is one character.
 */
const BYTE_OF: ReadonlyMap<number, number> = byteAlphabet();

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

function byteAlphabet(): Map<number, number> {
  const bytes = new Map<number, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) bytes.set(isPrintable(byte) ? byte : next++, byte);
  return bytes;
}

// What a token adds to the text, in bytes. Decoding is defined on bytes (the tokens' bytes, joined, read as UTF-8), so
// that a text decoded token by token and one decoded at once cannot differ.

import { isObject, ModelError, UnsupportedError } from "../errors.ts";
import { fromAlphabet } from "./alphabet.ts";
import { type Fields, fieldsOf, listOf } from "./fields.ts";

export interface DecodeRules {
  /** Each character of a piece stands for one byte, in GPT-2's alphabet. */
  byteLevel: boolean;
  /** Pieces <0x00> … <0xFF> are single bytes. */
  byteFallback: boolean;
  /** Replacements made in every piece, in this order. */
  replace: (readonly [from: string, to: string])[];
  /** What the first piece of a text loses wherever it stands in it: the mark of a space; "" for nothing. */
  firstLoses: string;
  /** Spaces that a whole text loses at its start: those the encoder had put there. */
  leadingSpaces: number;
  /** Stands before every piece but a text's first; not before one that begins with `continuation`, which goes. */
  separator: string;
  continuation: string;
  /** Spaces before punctuation go, as BERT's tokenizers have it. */
  cleanUp: boolean;
}

const DECODERS = "ByteLevel, Metaspace, WordPiece, or a Sequence of Replace, ByteFallback, Fuse and Strip";

/** Reads the `decoder` of tokenizer.json. Without one, pieces are words. Errors: ModelError, UnsupportedError. */
export function decodeRules(decoder: unknown): DecodeRules {
  const rules: DecodeRules = {
    byteLevel: false,
    byteFallback: false,
    replace: [],
    firstLoses: "",
    leadingSpaces: 0,
    separator: decoder === null ? " " : "",
    continuation: "",
    cleanUp: false,
  };
  let fused = false;
  for (const each of decodersOf(decoder)) {
    addRules(rules, each, fused);
    fused ||= each["type"] === "Fuse";
  }
  return rules;
}

/** A Sequence holds several. */
function decodersOf(decoder: unknown): Fields[] {
  if (decoder === null) return [];
  const outer = fieldsOf(decoder, "decoder");
  if (outer["type"] !== "Sequence") return [outer];
  return listOf(outer["decoders"], "decoder.decoders").map((member) => fieldsOf(member, "decoder.decoders[…]"));
}

/** `fused`: what is done here is done to the whole text, not to each piece. */
function addRules(rules: DecodeRules, decoder: Fields, fused: boolean): void {
  switch (decoder["type"]) {
    case "ByteLevel":
      rules.byteLevel = true;
      return;
    case "ByteFallback":
      rules.byteFallback = true;
      return;
    case "Fuse":
      return;
    case "Metaspace": {
      const mark = textOf(decoder["replacement"] ?? "\u2581");
      rules.firstLoses = decoder["prepend_scheme"] === "never" ? "" : mark;
      rules.replace.push([mark, " "]);
      return;
    }
    case "WordPiece":
      rules.separator = " ";
      rules.continuation = textOf(decoder["prefix"] ?? "##", true);
      rules.cleanUp = decoder["cleanup"] !== false;
      return;
    case "Replace":
      rules.replace.push([patternOf(decoder["pattern"], fused), textOf(decoder["content"], true)]);
      return;
    case "Strip":
      if (!fused) throw unsupported("a Strip of each piece");
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

function patternOf(pattern: unknown, fused: boolean): string {
  if (isObject(pattern) && "Regex" in pattern) throw unsupported("Replace with a Regex");
  const text = textOf(isObject(pattern) ? pattern["String"] : undefined);
  if (fused && Array.from(text).length > 1) throw unsupported("a Replace across pieces");
  return text;
}

function strippedSpaces(decoder: Fields): number {
  const { content, start = 0, stop = 0 } = decoder;
  if (content === " " && stop === 0 && typeof start === "number" && Number.isInteger(start) && start >= 0) return start;
  throw unsupported("a Strip other than of spaces at the start");
}

const UTF8 = new TextEncoder();
const BYTE_PIECE = /^<0x[0-9A-Fa-f]{2}>$/;

/** The bytes a piece of the vocabulary stands for. `first`: a text begins with it. */
export function pieceBytes(piece: string, rules: DecodeRules, first: boolean): Uint8Array {
  if (rules.byteLevel) return fromAlphabet(piece) ?? UTF8.encode(piece);
  if (rules.byteFallback && BYTE_PIECE.test(piece)) return Uint8Array.of(Number.parseInt(piece.slice(3, 5), 16));
  return literalBytes(piece, rules, first);
}

/** The bytes of a token that is written as it is read: `<think>`, `<|user|>`. */
export function literalBytes(content: string, rules: DecodeRules, first: boolean): Uint8Array {
  const own = first && rules.firstLoses ? content.replaceAll(rules.firstLoses, "") : content;
  const replaced = rules.replace.reduce((text, [from, to]) => text.replaceAll(from, () => to), own);
  const separated = first ? replaced : separatedPiece(replaced, rules);
  return UTF8.encode(rules.cleanUp ? cleanedUp(separated) : separated);
}

function separatedPiece(piece: string, { separator, continuation }: DecodeRules): string {
  const continues = continuation !== "" && piece.startsWith(continuation);
  return continues ? piece.slice(continuation.length) : separator + piece;
}

/** As the reference lists them: applied one after the other, to each piece. */
const CLEANER: readonly (readonly [from: string, to: string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

const cleanedUp = (piece: string): string => CLEANER.reduce((text, [from, to]) => text.replaceAll(from, to), piece);

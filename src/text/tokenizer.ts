// Strings → token ids by @huggingface/tokenizers; ids → strings by our own byte rules (pieces.ts).

import { Tokenizer as Encoder } from "@huggingface/tokenizers";
import { InputError, ModelError } from "../errors.ts";
import { isFields, nameOf } from "./fields.ts";
import { literalBytes, pieceBytes } from "./pieces.ts";
import { type CheckedTokenizer, type TokenizerFiles, checkTokenizer } from "./schema.ts";

export type { TokenizerFiles } from "./schema.ts";

const NO_BYTES = new Uint8Array(0);
/** Spaces, letters, digits and bytes outside ASCII: one pass through every stage of a tokenizer. */
const SAMPLE = " A 12\n\u00e9\u4f60\u{1f600}";

/** A model's tokenizer. Immutable; safe to share between sessions. */
export class Tokenizer {
  /** Highest id + 1. The model's logits may be wider (padding). */
  readonly vocabularySize: number;
  /** Text of the tokens that open and end a text; null where the model has none. */
  readonly bosToken: string | null;
  readonly eosToken: string | null;
  /** `bos_token`, `eos_token`, `pad_token`, … of the configuration: what chat templates may name. */
  readonly specials: Readonly<Record<string, string>>;
  /** Spaces a decoded text loses at its very start. */
  readonly leadingSpaces: number;

  private readonly encoder: Encoder;
  private readonly checked: CheckedTokenizer;
  private readonly cache = new Map<number, Uint8Array>();

  private constructor(checked: CheckedTokenizer, encoder: Encoder, specials: Record<string, string>) {
    this.checked = checked;
    this.encoder = encoder;
    this.specials = specials;
    this.bosToken = specials["bos_token"] ?? null;
    this.eosToken = specials["eos_token"] ?? null;
    this.leadingSpaces = checked.decode.leadingSpaces;
    this.vocabularySize = [...checked.pieces.keys()].reduce((size, id) => Math.max(size, id + 1), 0);
  }

  /** Errors: ModelError if the files are damaged, UnsupportedError if the tokenizer is of a kind not known here. */
  static create(files: TokenizerFiles): Tokenizer {
    const checked = checkTokenizer(files);
    const tokenizer = new Tokenizer(checked, createEncoder(checked.json), specialsOf(files.config));
    tokenizer.encode(SAMPLE);
    return tokenizer;
  }

  /**
   * Token ids of `text`. Special tokens written out in the text are recognised; lone surrogates count as U+FFFD.
   * `addSpecial` (default true) adds what the model wants around a raw text, such as an opening <s>: pass false for
   * the output of a chat template, which writes its own.
   */
  encode(text: string, options: { addSpecial?: boolean } = {}): number[] {
    if (typeof text !== "string")
      throw new InputError(`tokenizer: got ${nameOf(text)}, want a string. Pass text.`, { code: "bad-prompt" });
    const wellFormed = text.replace(/\p{Surrogate}/gu, "\ufffd");
    const ids = this.encodeChecked(wellFormed, options.addSpecial ?? true);
    if (ids.every((id) => id !== undefined)) return ids;
    throw new ModelError("tokenizer.json: it makes tokens that it gives no id. Is the file damaged?");
  }

  private encodeChecked(text: string, addSpecial: boolean): (number | undefined)[] {
    try {
      return this.encoder.encode(text, { add_special_tokens: addSpecial }).ids;
    } catch (error) {
      throw new ModelError(`tokenizer.json: encoding fails: ${reason(error)}. Is the file damaged?`, { cause: error });
    }
  }

  /**
   * The text of `tokens`. `skipSpecial` (default false) leaves special tokens out. Bytes that are no UTF-8 read as
   * U+FFFD, ids without a token as nothing.
   */
  decode(tokens: readonly number[], options: { skipSpecial?: boolean } = {}): string {
    const pieces = tokens.map((id) => (options.skipSpecial ? this.bytesOf(id) : this.allBytesOf(id)));
    const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
    let offset = 0;
    for (const piece of pieces) {
      bytes.set(piece, offset);
      offset += piece.length;
    }
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    return text.slice(spacesAtStart(text, this.leadingSpaces));
  }

  /** Id of the token with exactly this text (in the vocabulary's spelling), or null. */
  idOf(token: string): number | null {
    return this.encoder.token_to_id(token) ?? null;
  }

  /** Control tokens: they steer the model and are no part of a text. */
  isSpecial(id: number): boolean {
    return this.checked.added.get(id)?.special ?? false;
  }

  /** The bytes a token adds to a text: none for special tokens and ids without a token. Not to be written to. */
  bytesOf(id: number): Uint8Array {
    return this.isSpecial(id) ? NO_BYTES : this.allBytesOf(id);
  }

  private allBytesOf(id: number): Uint8Array {
    const known = this.cache.get(id);
    if (known) return known;
    const { pieces, added, decode } = this.checked;
    const piece = pieces.get(id);
    if (piece === undefined) return NO_BYTES;
    const bytes = added.has(id) ? literalBytes(piece, decode) : pieceBytes(piece, decode);
    this.cache.set(id, bytes);
    return bytes;
  }
}

/** How many of the first `limit` characters are spaces, counted from the start. */
export function spacesAtStart(text: string, limit: number): number {
  let count = 0;
  while (count < limit && text[count] === " ") count++;
  return count;
}

function createEncoder(json: object): Encoder {
  try {
    return new Encoder(json, {});
  } catch (error) {
    throw new ModelError(`tokenizer.json: ${reason(error)}. Is the file damaged?`, { cause: error });
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 200);

/** The `…_token` entries, each a string or an object with `content`. */
function specialsOf(config: unknown): Record<string, string> {
  if (!isFields(config)) {
    throw new ModelError(`tokenizer_config.json: it is ${nameOf(config)}, want an object. Is the file damaged?`);
  }
  const specials: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    const text = isFields(value) ? value["content"] : value;
    if (!key.endsWith("_token") || typeof value === "boolean" || value === null) continue;
    if (typeof text === "string") specials[key] = text;
    else throw new ModelError(`tokenizer_config.json: ${key} is ${nameOf(value)}, want a string. Is the file damaged?`);
  }
  return specials;
}

// Strings → token ids through the stages of tokenizer.json (schema.ts); ids → strings by rules on bytes (pieces.ts).

import type { Section } from "./added.ts";
import { InputError, isObject, ModelError } from "../errors.ts";
import { nameOf } from "./fields.ts";
import { literalBytes, pieceBytes } from "./pieces.ts";
import {
  type CheckedTokenizer,
  checkTokenizer,
  kindOf,
  type ModelKind,
  type TokenizerFiles,
  typeOf,
} from "./schema.ts";
import type { Part } from "./split.ts";

export { kindOf, type ModelKind, type TokenizerFiles, typeOf } from "./schema.ts";

const NO_BYTES = new Uint8Array(0);
/** Spaces, letters, digits and bytes outside ASCII: one pass through every stage of a tokenizer. */
const SAMPLE = " A 12\n\u00e9\u4f60\u{1f600}";
/** Words whose ids are kept, and how long they may be in UTF-16 units: a text repeats most of its words. */
const KEPT_WORDS = 16_384;
const KEPT_LENGTH = 64;

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

  private readonly checked: CheckedTokenizer;
  private readonly bytes = new Map<number, Uint8Array>();
  private readonly words = new Map<string, readonly number[]>();

  private constructor(checked: CheckedTokenizer, specials: Record<string, string>) {
    this.checked = checked;
    this.specials = specials;
    this.bosToken = specials["bos_token"] ?? null;
    this.eosToken = specials["eos_token"] ?? null;
    this.leadingSpaces = checked.decode.leadingSpaces;
    this.vocabularySize = [...checked.pieces.keys()].reduce((size, id) => Math.max(size, id + 1), 0);
  }

  /** Errors: ModelError if the files are damaged, UnsupportedError if the tokenizer is of a kind not known here. */
  static async create(files: TokenizerFiles): Promise<Tokenizer> {
    return Tokenizer.of(files, await kindOf(typeOf(files)));
  }

  /** The same without waiting; `kind` from `kindOf`. */
  static of(files: TokenizerFiles, kind: ModelKind): Tokenizer {
    const tokenizer = new Tokenizer(checkTokenizer(files, kind), specialsOf(files.config));
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
    const { literal, frame } = this.checked.stages;
    const wellFormed = text.replace(/\p{Surrogate}/gu, "\ufffd");
    const ids = literal.split(wellFormed).flatMap((section) => this.encodeSection(section));
    return options.addSpecial === false ? ids : frame(ids);
  }

  private encodeSection(section: Section): number[] {
    if ("id" in section) return [section.id];
    const { normalize, normalized } = this.checked.stages;
    return normalized
      .split(normalize(section.text))
      .flatMap((part) =>
        "id" in part ? [part.id] : this.encodePart({ text: part.text, first: section.start + part.start === 0 }),
      );
  }

  private encodePart(part: Part): number[] {
    return this.checked.stages.split(part).flatMap(({ text }) => this.encodeWord(text));
  }

  private encodeWord(word: string): readonly number[] {
    const known = this.words.get(word);
    if (known) return known;
    const ids = this.checked.stages.model.encode(word);
    if (this.words.size >= KEPT_WORDS) this.words.clear();
    if (word.length <= KEPT_LENGTH) this.words.set(word, ids);
    return ids;
  }

  /**
   * The text of `tokens`. `skipSpecial` (default false) leaves special tokens out. Bytes that are no UTF-8 read as
   * U+FFFD, ids without a token as nothing.
   */
  decode(tokens: readonly number[], options: { skipSpecial?: boolean } = {}): string {
    const kept = tokens.filter((id) => this.checked.pieces.has(id) && !(options.skipSpecial && this.isSpecial(id)));
    const pieces = kept.map((id, index) => this.allBytesOf(id, index === 0));
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
    return this.checked.ids.get(token) ?? null;
  }

  /** Control tokens: they steer the model and are no part of a text. */
  isSpecial(id: number): boolean {
    return this.checked.added.get(id)?.special ?? false;
  }

  /** Whether a token is a part of a text: no control token, and no id without a token. */
  isText(id: number): boolean {
    return this.checked.pieces.has(id) && !this.isSpecial(id);
  }

  /**
   * The bytes a token adds to a text, `first` if no token of the text comes before it: none for special tokens and ids
   * without a token. Not to be written to.
   */
  bytesOf(id: number, first = false): Uint8Array {
    return this.isText(id) ? this.allBytesOf(id, first) : NO_BYTES;
  }

  /** Texts in which control tokens stand as they are written. */
  get literal(): Pick<Tokenizer, "bytesOf" | "isText" | "leadingSpaces"> {
    return {
      bytesOf: (id, first = false) => (this.checked.pieces.has(id) ? this.allBytesOf(id, first) : NO_BYTES),
      isText: (id) => this.checked.pieces.has(id),
      leadingSpaces: this.leadingSpaces,
    };
  }

  private allBytesOf(id: number, first: boolean): Uint8Array {
    const known = first ? undefined : this.bytes.get(id);
    if (known) return known;
    const { pieces, added, decode } = this.checked;
    const bytes = (added.has(id) ? literalBytes : pieceBytes)(pieces.get(id)!, decode, first);
    if (!first) this.bytes.set(id, bytes);
    return bytes;
  }
}

/** How many of the first `limit` characters are spaces, counted from the start. */
export function spacesAtStart(text: string, limit: number): number {
  let count = 0;
  while (count < limit && text[count] === " ") count++;
  return count;
}

/** The `…_token` entries, each a string or an object with `content`. */
function specialsOf(config: unknown): Record<string, string> {
  if (!isObject(config)) {
    throw new ModelError(`tokenizer_config.json: it is ${nameOf(config)}, want an object. Is the file damaged?`);
  }
  const specials: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    const text = isObject(value) ? value["content"] : value;
    if (!key.endsWith("_token") || typeof value === "boolean" || value === null) continue;
    if (typeof text === "string") specials[key] = text;
    else throw new ModelError(`tokenizer_config.json: ${key} is ${nameOf(value)}, want a string. Is the file damaged?`);
  }
  return specials;
}

// Models that look words up: WordLevel as a whole, WordPiece from the start on, the longest piece first.

import { type Fields, fail } from "../fields.ts";
import type { Model, Vocabulary } from "./model.ts";
import { unknownOf, vocabularyOf } from "./vocabulary.ts";

export class WordLevel implements Model {
  readonly vocabulary: Vocabulary;
  private readonly unknown: number | undefined;

  /** `model`: of tokenizer.json. Errors: ModelError. */
  constructor(model: Fields) {
    this.vocabulary = vocabularyOf(model["vocab"]);
    this.unknown = this.vocabulary.get(String(model["unk_token"] ?? "<unk>"));
  }

  encode(word: string): number[] {
    return [this.vocabulary.get(word) ?? this.unknown ?? fail("a text needs the unknown token, but there is none")];
  }
}

export class WordPiece implements Model {
  readonly vocabulary: Vocabulary;
  private readonly unknown: number | undefined;
  /** Before every piece but a word's first. */
  private readonly prefix: string;
  /** Longer words are unknown. In characters. */
  private readonly longest: number;

  /** `model`: of tokenizer.json. Errors: ModelError. */
  constructor(model: Fields) {
    this.vocabulary = vocabularyOf(model["vocab"]);
    this.unknown = unknownOf(model["unk_token"] ?? "[UNK]", this.vocabulary);
    const { continuing_subword_prefix: prefix = "##", max_input_chars_per_word: longest = 100 } = model;
    this.prefix = typeof prefix === "string" ? prefix : fail("model.continuing_subword_prefix is not a string");
    this.longest = typeof longest === "number" ? longest : fail("model.max_input_chars_per_word is not a number");
  }

  encode(word: string): number[] {
    const characters = Array.from(word);
    const ids: number[] = [];
    for (let start = 0; start < characters.length; ) {
      const found = characters.length > this.longest ? null : this.longestPiece(characters, start);
      if (!found) return [this.unknown ?? fail("a text needs the unknown token, but there is none")];
      ids.push(found.id);
      start = found.end;
    }
    return ids;
  }

  private longestPiece(characters: readonly string[], start: number): { id: number; end: number } | null {
    for (let end = characters.length; end > start; end--) {
      const id = this.vocabulary.get((start > 0 ? this.prefix : "") + characters.slice(start, end).join(""));
      if (id !== undefined) return { id, end };
    }
    return null;
  }
}

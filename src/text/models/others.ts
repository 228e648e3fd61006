// Kinds of vocabulary that few models have: fetched with the first of them.
import type { Fields } from "../fields.ts";
import type { Model } from "./model.ts";
import { SentencePieces } from "./sentencepiece.ts";
import { Unigram } from "./unigram.ts";
import { WordLevel, WordPiece } from "./words.ts";

export const OTHERS: Readonly<Record<string, new (model: Fields) => Model>> = {
  Unigram,
  WordLevel,
  WordPiece,
  SentencePiece: SentencePieces,
};

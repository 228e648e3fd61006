// What turns a word into token ids.

export interface Model {
  /** Ids of a word that is not empty. Errors: ModelError for one that the vocabulary cannot spell. */
  encode(word: string): number[];
  readonly vocabulary: Vocabulary;
}

/** Ids by text. */
export type Vocabulary = ReadonlyMap<string, number>;

const UTF8 = new TextEncoder();

/** The tokens <0x00> … <0xFF> that spell `text` byte by byte; null where the vocabulary lacks one. */
export function byteTokens(text: string, vocabulary: Vocabulary): number[] | null {
  const ids: number[] = [];
  for (const byte of UTF8.encode(text)) {
    const id = vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    if (id === undefined) return null;
    ids.push(id);
  }
  return ids;
}

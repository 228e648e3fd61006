// A page of merged tokens: a written page, and behind it what each slot's score rises by.
import type { ReadFormat, WrittenFormat } from "../../format.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import { readerOf, wordsOf } from "../../reader.ts";

export const mergedFormat = ({ name, bits }: WrittenFormat): ReadFormat => ({
  name: `kvmerger ${name}`,
  words: (width) => wordsOf(width, width, bits) + BLOCK_TOKENS,
  reader: (width) =>
    readerOf(
      { width, keys: width, bits },
      { score: `product + bitcast<f32>(kv[page + ${wordsOf(width, width, bits)}u + slot])` },
    ),
});

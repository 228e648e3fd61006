// Texts cut to a number of tokens.

import type { Engine } from "../../src/index.ts";

/** The beginnings of the texts, of equal length where they are long enough: `most` tokens together. */
export function shares(engine: Pick<Engine, "tokenize">, texts: readonly string[], most: number): number[] {
  let left = most;
  const tokens = texts.map((text) => engine.tokenize(text)).toSorted((a, b) => a.length - b.length);
  return tokens.flatMap((all, i) => {
    const share = all.slice(0, Math.floor(left / (tokens.length - i)));
    left -= share.length;
    return share;
  });
}

// What commands and pages fit and train students on: texts cut to a number of tokens, and the model's own chats.

import { sampleChats } from "../../src/index.ts";
import type { Engine } from "../../src/index.ts";

/** What to read. */
export interface Asked {
  texts: readonly string[];
  /** Of the texts together, at most. */
  tokens?: number;
  /** So many of the model's own chats. */
  chats?: number;
}

/** Texts, then chats, as tokens. */
export async function tokensOf(
  engine: Engine,
  { texts, tokens = Infinity, chats = 0 }: Asked,
  report: (line: string) => void,
): Promise<number[]> {
  const all = shares(engine, texts, tokens);
  if (chats === 0) return all;
  let done = 0;
  for await (const chat of sampleChats(engine, { count: chats })) {
    all.push(...chat);
    report(`sampled ${++done} of ${chats} chats`);
  }
  return all;
}

/** The beginnings of the texts, of equal length where they are long enough: `most` tokens together. */
export function shares(engine: Pick<Engine, "tokenize">, texts: readonly string[], most: number): number[] {
  let left = most;
  const tokens = texts
    .map((text) => engine.tokenize(text, { addSpecial: false }))
    .toSorted((a, b) => a.length - b.length);
  return tokens.flatMap((all, i) => {
    const share = all.slice(0, Math.floor(left / (tokens.length - i))); // all of it where there is no limit
    left -= share.length;
    return share;
  });
}

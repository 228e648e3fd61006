// What a reply read, passage by passage. No DOM.

import type { Attended } from "../../src/index.ts";

export interface Passage {
  /** Tokens of the prompt, the second one not included. */
  from: number;
  to: number;
  /** How often it was picked by those that do not read it anyway: 0 to 1. */
  share: number;
  /** Every token reads it in full: the prompt's end. */
  whole: boolean;
}

/** A passage with its text, as it is kept with a conversation. */
export interface ReadPassage extends Passage {
  words: string;
}

/** Tokens of a passage, at least: as many lines of text as one takes in at a glance. */
const PASSAGE_TOKENS = 32;
/** A long text has longer passages, not more of them. */
const MOST_PASSAGES = 120;

/** The prompt of `promptTokens` tokens in passages of equal length, and last of all its end. Parts of a long reply that follow are left out. */
export function passagesOf(attended: Attended, promptTokens: number): Passage[] {
  const { partTokens, chosen } = attended;
  const told = partTokens * Math.min(chosen.length, Math.floor(promptTokens / partTokens));
  const length = PASSAGE_TOKENS * Math.ceil(told / PASSAGE_TOKENS / MOST_PASSAGES);
  const passages = Array.from({ length: Math.ceil(told / length) }, (_, i): Passage => {
    const [from, to] = [i * length, Math.min(told, (i + 1) * length)];
    return { from, to, share: shareOf(attended, from, to), whole: false };
  });
  return [...passages, { from: told, to: promptTokens, share: 1, whole: true }];
}

/** Of a stretch whose ends are ends of parts. What is always there says nothing about what was looked for: it is left out. */
function shareOf({ chosen, kept, most, partTokens }: Attended, from: number, to: number): number {
  const [first, end] = [from / partTokens, to / partTokens];
  let [picked, free] = [0, 0];
  for (let part = first; part < end; part++) {
    picked += chosen[part]!;
    free += most - kept[part]!;
  }
  return free > 0 ? picked / free : 0;
}

/** The passage that was read most, the end aside. */
export const mostRead = (passages: readonly Passage[]): number => {
  const shares = passages.map(({ share, whole }) => (whole ? -1 : share));
  return shares.indexOf(Math.max(...shares));
};

/** How strongly a passage is coloured, from 0 to 1: fully where it was read most. */
export const strengthOf = ({ share }: Passage, passages: readonly Passage[]): number =>
  Math.min(1, share / passages[mostRead(passages)]!.share);

/** What the template puts around messages is left out: tokens like <|im_start|>. `write`: the text of some tokens. */
export function wordsOf(
  { from, to }: Passage,
  prompt: readonly number[],
  write: (tokens: readonly number[]) => string,
): string {
  const tokens = prompt.slice(from, to).filter((token) => !/^<[^<>\s]+>$/.test(write([token])));
  return [from > 0 ? "…" : "", write(tokens).trim(), to < prompt.length ? "…" : ""].join("");
}

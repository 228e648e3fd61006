// How a prompt is repeated behind itself, part after part, for a recipe that keeps what this looks at.

/** Asks for a text once more. */
export const OPENING = "\n\nRepeat the text above, word for word:\n\n";

/** Tokens before a part that lead to its place in the prompt. */
const LEAD = 8;

/** What a prompt is repeated with. */
export interface Repeating {
  prompt: readonly number[];
  /** A sentence that asks for it, before every part; left out where it would take more than a quarter of the rows. */
  opening: readonly number[];
  /** Rows of a step, at least LEAST_REPEAT_ROWS. */
  rows: number;
}

export interface Part {
  /** The opening, a few tokens of the prompt before the part, the part. */
  tokens: readonly number[];
  /** Tokens of the prompt before the part; the first of those that lead to it; where it ends. */
  start: number;
  from: number;
  end: number;
}

export function partFrom(start: number, { prompt, opening, rows }: Repeating): Part {
  const asked = 4 * opening.length > rows ? [] : opening;
  const from = Math.max(0, start - LEAD);
  const end = Math.min(prompt.length, from + rows - asked.length);
  return { tokens: [...asked, ...prompt.slice(from, end)], start, from, end };
}

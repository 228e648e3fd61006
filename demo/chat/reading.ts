// What is said below a reply of what it read: under ShadowKV, whose tokens choose.

import type { Engine, GenerationResult } from "../../src/index.ts";
import { parseRecipe } from "../../src/recipes.ts";
import { make } from "../shared/dom.ts";
import { count } from "../shared/numbers.ts";
import { passagesOf, type ReadPassage, wordsOf } from "./passages.ts";
import { readingStrip } from "./strip.ts";

/** The passages, or why there was nothing to choose: kept with the reply. */
export type Reading = readonly ReadPassage[] | string;

/** Undefined under other recipes. */
export function readingOf(engine: Engine, { attended, promptTokens }: GenerationResult): Reading | undefined {
  if (attended) {
    const write = (tokens: readonly number[]): string => engine.detokenize(tokens);
    const passages = passagesOf(attended, promptTokens.length);
    return passages.map((passage) => ({ ...passage, words: wordsOf(passage, promptTokens, write) }));
  }
  const { kv, kvShape, context } = engine.model;
  if (!/(^|\+)shadow\b/.test(kv)) return undefined;
  const whole = parseRecipe(kv).wholeUpTo(kvShape, context);
  if (whole !== null && promptTokens.length > whole) return undefined; // a reply of one token, which saw all
  const why =
    whole === null
      ? `with this recipe every text that fits into ${count(context)} tokens is kept whole.`
      : `texts of up to ${count(whole)} tokens are kept whole. In longer ones each word picks what it reads.`;
  return `This reply read everything: ${why}`;
}

export const readingView = (reading: Reading): HTMLElement =>
  typeof reading === "string" ? make("p", { className: "hint attended", textContent: reading }) : readingStrip(reading);

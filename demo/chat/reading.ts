// What is said below a reply of what it read: under ShadowKV, whose tokens choose.

import type { Engine, GenerationResult } from "../../src/index.ts";
import { parseRecipe } from "../../src/recipes.ts";
import { make } from "../shared/dom.ts";
import { count } from "../shared/numbers.ts";
import { readingStrip } from "./strip.ts";

/** A strip of the passages, or why there was nothing to choose; null under other recipes. */
export function readingOf(engine: Engine, { attended, promptTokens }: GenerationResult): HTMLElement | null {
  if (attended) return readingStrip({ attended, prompt: promptTokens, write: (tokens) => engine.detokenize(tokens) });
  const { kv, kvShape, context } = engine.model;
  if (!/(^|\+)shadow\b/.test(kv)) return null;
  const whole = parseRecipe(kv).wholeUpTo(kvShape, context);
  if (whole !== null && promptTokens.length > whole) return null; // a reply of one token, which saw all
  const why =
    whole === null
      ? `with this recipe every text that fits into ${count(context)} tokens is kept whole.`
      : `texts of up to ${count(whole)} tokens are kept whole. In longer ones each word picks what it reads.`;
  return make("p", { className: "hint attended", textContent: `This reply read everything: ${why}` });
}

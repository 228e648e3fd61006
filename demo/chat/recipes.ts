// The recipes for keys and values that the page offers.

import { parseRecipe } from "../../src/index.ts";
import type { ModelInfo, RecipePrice } from "../../src/index.ts";

export interface Offer {
  recipe: string;
  note: string;
  /** Mean negative log-likelihood per token, by the name of the model; TESTS says on which text. */
  nll: Readonly<Record<string, number>>;
}

/** GGUFs are named after their file. */
const SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1";

export const OFFERS: readonly Offer[] = [
  { recipe: "f16", note: "the default", nll: { [SMOLLM2]: 3.8623 } },
  { recipe: "f32", note: "exact", nll: {} },
  { recipe: "int8", note: "rounded a little", nll: { [SMOLLM2]: 3.8632 } },
  { recipe: "int4", note: "rounded a lot", nll: { [SMOLLM2]: 3.993 } },
];

/** The text that a model's likelihoods were measured on, and what float64 gives there. */
const TESTS: Readonly<Record<string, { text: string; float64: number }>> = {
  [SMOLLM2]: { text: "512 tokens of WikiText", float64: 3.8624 },
};

export const DEFAULT_RECIPE: string = "f16";

/** The offered recipe with this text, or else the default. */
export const offered = (text: string): string => OFFERS.find(({ recipe }) => recipe === text)?.recipe ?? DEFAULT_RECIPE;

/** How a model's measured likelihoods are to be read; null where there are none. */
export function testOf({ name }: ModelInfo): string | null {
  const test = TESTS[name];
  if (!test) return null;
  return `NLL: mean negative log-likelihood of a token, less is better. ${name}, ${test.text}; float64 gives ${test.float64}.`;
}

/** What a recipe costs a model at so many tokens of context. */
export function priceOf(recipe: string, { kvShape }: ModelInfo, tokens: number): RecipePrice {
  return parseRecipe(recipe).price(kvShape, tokens);
}

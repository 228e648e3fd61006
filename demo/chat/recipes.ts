// The recipes for keys and values that the page offers: one table, a line for each.

import { InputError } from "../../src/index.ts";
import type { LoadOptions, ModelInfo } from "../../src/index.ts";

/** A recipe as `load` takes it. */
export type RecipeText = NonNullable<LoadOptions["kv"]>;

export interface Offer {
  recipe: RecipeText;
  note: string;
  /** Mean negative log-likelihood of a token, by the name of the model; TESTS says of which text. */
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

/** On what the likelihoods of a model were measured, and what float64 gives there. */
const TESTS: Readonly<Record<string, { text: string; float64: number }>> = {
  [SMOLLM2]: { text: "512 tokens of WikiText", float64: 3.8624 },
};

export const DEFAULT_RECIPE: RecipeText = "f16";

/** The recipe of this text among those offered; the default for any other. */
export const offered = (text: string): RecipeText =>
  OFFERS.find(({ recipe }) => recipe === text)?.recipe ?? DEFAULT_RECIPE;

/** How a model's measured likelihoods are to be read; null where there are none. */
export function testOf({ name }: ModelInfo): string | null {
  const test = TESTS[name];
  if (!test) return null;
  return `NLL: mean negative log-likelihood of a token, less is better. ${name}, ${test.text}; float64 gives ${test.float64}.`;
}

/** What a recipe costs a model at so many tokens of context. */
export function priceOf(recipe: RecipeText, { kvShape }: ModelInfo, tokens: number): Price {
  return parseRecipe(recipe).price(kvShape, tokens);
}

interface Price {
  kvBytesPerToken: number;
  kvBytes: number;
  extraWeightBytes: number;
}

interface Recipe {
  price(shape: ModelInfo["kvShape"], tokens: number): Price;
}

/** Bytes for the key or the value of one token and head. int8 and int4 have a scale and a minimum of 2 bytes each. */
const BYTES: Readonly<Record<string, (headWidth: number) => number>> = {
  f32: (width) => 4 * width,
  f16: (width) => 2 * width,
  int8: (width) => width + 4,
  int4: (width) => width / 2 + 4,
};

function parseRecipe(text: string): Recipe {
  const bytesOf = BYTES[text];
  if (!bytesOf) throw new InputError(`kv: got "${text}", want one of ${Object.keys(BYTES).join(", ")}.`);
  return {
    price({ layers, kvHeads, headWidth, swiftkv }, tokens) {
      const caches = swiftkv ? swiftkv.layers + (layers - swiftkv.layers) / swiftkv.group : layers;
      const kvBytesPerToken = 2 * caches * kvHeads * bytesOf(headWidth);
      return { kvBytesPerToken, kvBytes: kvBytesPerToken * tokens, extraWeightBytes: 0 };
    },
  };
}

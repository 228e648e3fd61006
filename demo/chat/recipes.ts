// The recipes for keys and values that the page offers.

import { InputError } from "../../src/index.ts";
import { parseRecipe } from "../../src/recipes.ts";
import type { ModelInfo, RecipePrice } from "../../src/index.ts";
import { count } from "../shared/numbers.ts";
import { untrainedFor } from "../shared/trained.ts";

export interface Offer {
  recipe: string;
  note: string;
  /** How far predictions move: mean KL divergence per token from f16, in nats, by the name of the model. docs/quality.md. */
  kl: Readonly<Record<string, number>>;
  /** The one model that it was made for. */
  only?: string;
  /** Of no use to a model that sees none. */
  forPictures?: true;
}

/** GGUFs are named after their file. */
const SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1";
const FABLE = "fable";

export const OFFERS: readonly Offer[] = [
  { recipe: "f16", note: "the default", kl: {} },
  { recipe: "f32", note: "exact, twice the memory", kl: { [FABLE]: 0 } },
  { recipe: "int8", note: "rounded a little", kl: { [FABLE]: 0.00006, [SMOLLM2]: 0.0002 } },
  { recipe: "int4", note: "rounded a lot", kl: { [FABLE]: 0.015, [SMOLLM2]: 0.08 } },
  { recipe: "kivi:kbits=8,vbits=4", note: "older text rounded a little", kl: { [FABLE]: 0.00007, [SMOLLM2]: 0.0007 } },
  { recipe: "kivi:bits=4", note: "older text rounded", kl: { [FABLE]: 0.0002, [SMOLLM2]: 0.007 } },
  { recipe: "kivi:bits=2", note: "older text rounded a lot", kl: { [FABLE]: 0.008, [SMOLLM2]: 0.18 } },
  { recipe: "think:keep=0.6", note: "older text by the channels that the question asks for", kl: { [FABLE]: 0.026 } },
  { recipe: "kivi:bits=4+think:keep=0.6", note: "the same, rounded besides", kl: { [FABLE]: 0.015 } },
  { recipe: "minicache", note: "older text with one direction for every two later layers", kl: { [FABLE]: 0.097 } },
  { recipe: "int8+minicache", note: "the same, rounded a little", kl: { [FABLE]: 0.097 } },
  {
    recipe: "kvsharer:map=5-2/7-2",
    note: "two of eight layers read another one's: found on its own stories",
    kl: { [FABLE]: 0.98 },
    only: FABLE,
  },
  { recipe: "pyramid:budget=512", note: "forgets what the question leaves aside", kl: { [FABLE]: 0.0056 } },
  { recipe: "snapkv:budget=512", note: "the same, equally in all layers", kl: { [FABLE]: 0.0011 } },
  { recipe: "less:budget=512", note: "the same, and a summary of fixed size of all else", kl: { [FABLE]: 0.0013 } },
  {
    recipe: "kvzip:keep=0.4",
    note: "forgets what it can repeat the text without; for many questions",
    kl: { [FABLE]: 0.0021 },
  },
  { recipe: "locret:budget=512", note: "forgets while it reads: for texts that do not fit", kl: { [FABLE]: 0.0073 } },
  { recipe: "kvmerger:budget=512", note: "runs of similar tokens become one", kl: { [FABLE]: 0.0022 } },
  { recipe: "vlcache:keep=0.1", note: "forgets what the question leaves aside of pictures", kl: {}, forPictures: true },
  { recipe: "shadow", note: "keeps all; each word picks what it reads of it", kl: { [FABLE]: 0.0002 } },
  { recipe: "shadow:keys=int8,values=int4", note: "the same, rounded more", kl: { [FABLE]: 0.0003 } },
  { recipe: "shadow:values=host", note: "the same; values in main memory, a word late", kl: { [FABLE]: 0.0004 } },
  { recipe: "shadow:budget=128", note: "for shorter texts: words pick less", kl: { [FABLE]: 0.0036 } },
];

/** Models that the divergences were measured on, and the texts. */
const TESTS: Readonly<Record<string, string>> = {
  [FABLE]: "Fable without SwiftKV, stories, after prompts of 1,024 tokens",
  [SMOLLM2]: "SmolLM2 without SwiftKV, WikiText and a novel, after prompts of 512 tokens",
};

/** What the offers ask of a model. */
type Model = Pick<ModelInfo, "name" | "kvShape">;
/** And what files of weights are there for it. */
export type Priced = Model & Pick<ModelInfo, "hash" | "seesPictures">;

export const DEFAULT_RECIPE: string = "f16";

/** The offered recipe with this text, or else the default. */
export const offered = (text: string): string => OFFERS.find(({ recipe }) => recipe === text)?.recipe ?? DEFAULT_RECIPE;

/** How a model's measured divergences are to be read; null where there are none. */
export function testOf({ name }: Model): string | null {
  const text = TESTS[name];
  if (text === undefined) return null;
  return `KL: how far predictions move from those with f16, in nats per token; less is better. ${text}.`;
}

/** Which texts a recipe leaves as they are, where it does something to others. */
export function wholeNote(recipe: string, { kvShape }: Model, tokens: number): string {
  const whole = parseRecipe(recipe).wholeUpTo(kvShape, tokens);
  if (whole !== null) return `Up to ${count(whole)} tokens a text stays whole.`;
  const parts = parseRecipe(recipe).wholeUpTo(kvShape, MOST_TOKENS) !== null;
  return parts ? `Does nothing at this context: every text stays whole.` : "";
}

/** Longer than any text here. */
const MOST_TOKENS = 2 ** 20;

/** What a recipe costs a model at so many tokens of context; a sentence where the model cannot have it. */
export function priceOf(recipe: string, model: Priced, tokens: number): RecipePrice | string {
  const { name, hash, kvShape, seesPictures } = model;
  const { only = name, forPictures = false } = OFFERS.find((offer) => offer.recipe === recipe) ?? {};
  if (only !== name) return `This map was made for ${only}. npm run kvsharer makes one for another model.`;
  if (forPictures && !seesPictures) return "This is for pictures, and the model sees none.";
  const untrained = untrainedFor(recipe, { hash });
  if (untrained) return `${untrained} has to be trained for a model, and is not for this one.`;
  const price = priceAs(recipe, kvShape, tokens);
  if (typeof price !== "string" || !kvShape.swiftkv) return price;
  const isForDense = typeof priceAs(recipe, { ...kvShape, swiftkv: null }, tokens) !== "string";
  return isForDense ? "Not with SwiftKV: switch faster reading off to have it." : price;
}

function priceAs(recipe: string, kvShape: Model["kvShape"], tokens: number): RecipePrice | string {
  try {
    const parsed = parseRecipe(recipe);
    parsed.check(kvShape);
    return parsed.price(kvShape, tokens);
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
}

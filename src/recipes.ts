// Recipes of the cache, read and priced without a model: the entry `longprompt/recipes`.
import type { KvFormat, KvModel, RecipePrice, RecipeSpec } from "./api.ts";
import { parseRecipe as parse } from "./kv/parse.ts";

/** How keys and values are kept: a format and systems. */
export interface Recipe {
  /** What projections write. */
  readonly format: KvFormat;
  /** The canonical text, with every option: equal recipes have equal texts. */
  toString(): string;
  /**
   * What it costs after a prompt of `tokens` tokens, in bytes, before anything is loaded. Throws InputError for a model that
   * cannot have it, or where `tokens` is no whole number of at least 1.
   */
  price(model: KvModel, tokens: number): RecipePrice;
  /**
   * Tokens of the longest prompt that stays as it is in a context of `context` tokens, where longer ones are kept in part (PyramidKV,
   * SnapKV) or chosen from (ShadowKV). Null where every prompt stays as it is.
   */
  wholeUpTo(model: KvModel, context: number): number | null;
  /** Doubts about the combination, each a sentence. Impossible ones were refused when the recipe was read. */
  warnings(model: Pick<KvModel, "swiftkv"> & { seesPictures?: boolean }): string[];
  /** Throws InputError where two of its systems, or one and the model's SwiftKV, contradict each other. */
  check(model: Pick<KvModel, "swiftkv">): void;
}

/** Reads a recipe, e.g. `"int8"` or `"pyramid:budget=512+kivi:bits=2"`. Throws InputError with what is wrong in it. */
export const parseRecipe: (spec: RecipeSpec) => Recipe = parse;

// Recipes to compare, as they are typed. Each runs on the dense model and on every chosen SwiftKV shape; one that names a
// shape itself, as in "swiftkv=half+shadow", on that alone.

import { InputError, type SwiftKv } from "../../src/index.ts";

/** A SwiftKV shape, or a share of the layers for K: then K is chosen so that the group sizes fit. */
export type WantedShape = SwiftKv | { share: number; group: number };

export interface WantedRecipes {
  /** Recipes without a shape of their own. */
  kv: string[];
  own: { shape: WantedShape; kv: string }[];
}

/** What shows the cost of context: everything kept, rounded, in part, and chosen from. */
export const USUAL = ["f16", "int8", "kivi:bits=4", "pyramid", "shadow", "swiftkv=half,2+shadow"] as const;
/** Stands for them. */
const USUAL_NAME = "usual";

export const namesShape = (recipe: string): boolean => /^\s*swiftkv\s*=/.test(recipe);

/** Throws InputError for a shape that is none. What a recipe may be, the engine knows. */
export function readRecipes(texts: readonly string[]): WantedRecipes {
  const all = texts.flatMap((text) => (text === USUAL_NAME ? USUAL : [text]));
  const own = all.filter(namesShape).map(readOwn);
  return { kv: [...new Set(all.filter((text) => !namesShape(text)))], own };
}

function readOwn(text: string): WantedRecipes["own"][number] {
  const [, shape = "", kv = "f16"] = /^\s*swiftkv\s*=\s*([^+]*?)\s*(?:\+(.*))?$/s.exec(text) ?? [];
  const [, layers, group = "1"] = /^(\d{1,4}|half)\s*(?:,\s*([1-9]\d{0,3}))?$/.exec(shape) ?? [];
  if (layers === undefined)
    throw new InputError(
      `benchmark: "${text.trim()}"; got swiftkv=${shape}, want swiftkv=K, swiftkv=K,G or swiftkv=half,G.`,
    );
  const g = Number(group);
  return { shape: layers === "half" ? { share: 0.5, group: g } : { layers: Number(layers), group: g }, kv: kv.trim() };
}

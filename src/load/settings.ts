// Options as a caller gives them, checked and complete.
import type { KvFormat, LoadOptions, RecipeSpec, SwiftKv } from "../api.ts";
import { InputError, UnsupportedError } from "../errors.ts";
import { WRITTEN_FORMATS } from "../kv/format.ts";
import { Recipe } from "../kv/recipe.ts";
import { shapeProblem } from "../kv/systems/swiftkv/layout.ts";
import type { ModelConfig } from "../model/config.ts";
import type { TrainedFile } from "./trained.ts";

/** Context where the caller names none, at most. Memory for it is taken as it is used. */
export const DEFAULT_CONTEXT = 32768;
const DEFAULT_CHUNK = 512;
const DEFAULT_SEQUENCES = 4;

export type Settings = Required<
  Pick<LoadOptions, "weights" | "chunk" | "sequences" | "arenaBytes" | "tune" | "int8Products" | "matrixProducts">
> & {
  kv: Recipe;
  context: number | null;
  reserve: number | null;
  trained: readonly TrainedFile[];
};

/** As a caller gives them, or with what was read before. */
type Given = Omit<LoadOptions, "onProgress" | "trained"> & {
  trained?: LoadOptions["trained"] | readonly TrainedFile[];
};

function choice<T extends string>(name: keyof LoadOptions, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value)) throw new InputError(`${name}: got "${value}", want one of ${allowed.join(", ")}.`);
  return value;
}

/** Files of weights are read once. */
async function trainedOf({ trained = [], ...fetching }: Given): Promise<readonly TrainedFile[]> {
  if (Array.isArray(trained) && trained.length === 0) return [];
  return (await import("./trained.ts")).readTrained(trained, fetching);
}

/** Throws ModelError where a file of weights was made for another model. */
export async function checkFiles({ trained }: Settings, name: string, hash: string): Promise<void> {
  if (trained.length > 0) (await import("./trained.ts")).checkTrained(trained, name, hash);
}

/** Cache systems are fetched where a recipe has one. */
async function recipeOf(spec: RecipeSpec): Promise<Recipe> {
  if (typeof spec === "string" && Object.hasOwn(WRITTEN_FORMATS, spec)) return new Recipe(spec as KvFormat);
  const { parseRecipe } = await import("../kv/parse.ts");
  return parseRecipe(spec);
}

export async function checkOptions(options: Given): Promise<Settings> {
  const count = (
    name: "context" | "chunk" | "sequences" | "arenaBytes" | "reserve",
    fallback: number,
    least: number,
    most: number,
  ): number => {
    const value = options[name] ?? fallback;
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new InputError(`${name}: got ${value}, want a whole number from ${least} to ${most}.`);
    }
    return value;
  };
  return {
    kv: await recipeOf(options.kv ?? "f16"),
    weights: choice("weights", options.weights ?? "keep", ["keep", "f32", "f16", "q8", "q4"]),
    tune: choice("tune", options.tune ?? "auto", ["auto", "wait", "off"]),
    int8Products: options.int8Products ?? false,
    matrixProducts: options.matrixProducts ?? false,
    context: options.context === undefined ? null : count("context", 0, 2, 1 << 24),
    reserve: options.reserve === undefined ? null : count("reserve", 0, 1, 1 << 24),
    chunk: count("chunk", DEFAULT_CHUNK, 1, 8192),
    sequences: count("sequences", DEFAULT_SEQUENCES, 1, 8),
    arenaBytes: count("arenaBytes", 2 ** 31, 1024, 2 ** 40),
    trained: await trainedOf(options),
  };
}

/** The shape if the model can have it; null where all layers stay ordinary. */
export function checkShape(shape: SwiftKv, { layers, norms, architecture }: ModelConfig): SwiftKv | null {
  if (norms === "after")
    throw new UnsupportedError(
      `swiftkv: ${architecture}; got a model without norms before its blocks, want one with. Load it as it is.`,
    );
  const problem = shapeProblem(shape, layers);
  if (problem) throw new InputError(`swiftkv.${problem.field}: ${problem.text}.`);
  return shape.layers === layers ? null : shape;
}

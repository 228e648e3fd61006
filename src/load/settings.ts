// Options as a caller gives them, checked and complete.
import type { LoadOptions, SwiftKv } from "../api.ts";
import { InputError, UnsupportedError } from "../errors.ts";
import { parseRecipe, type Recipe } from "../kv/recipe.ts";
import { shapeProblem } from "../kv/systems/swiftkv/layout.ts";
import type { ModelConfig } from "../model/config.ts";

/** Context where the caller names none: what fits beside the weights on small GPUs. */
export const DEFAULT_CONTEXT = 8192;
const DEFAULT_CHUNK = 512;
const DEFAULT_SEQUENCES = 4;

export type Settings = Required<Pick<LoadOptions, "weights" | "chunk" | "sequences" | "arenaBytes" | "tune">> & {
  kv: Recipe;
  context: number | null;
};

function choice<T extends string>(name: keyof LoadOptions, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value)) throw new InputError(`${name}: got "${value}", want one of ${allowed.join(", ")}.`);
  return value;
}

export function checkOptions(options: Omit<LoadOptions, "onProgress">): Settings {
  const count = (
    name: "context" | "chunk" | "sequences" | "arenaBytes",
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
    kv: parseRecipe(options.kv ?? "f16"),
    weights: choice("weights", options.weights ?? "keep", ["keep", "f32", "f16", "q8", "q4"]),
    tune: choice("tune", options.tune ?? "auto", ["auto", "off"]),
    context: options.context === undefined ? null : count("context", 0, 2, 1 << 24),
    chunk: count("chunk", DEFAULT_CHUNK, 1, 8192),
    sequences: count("sequences", DEFAULT_SEQUENCES, 1, 8),
    arenaBytes: count("arenaBytes", 2 ** 31, 1024, 2 ** 40),
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

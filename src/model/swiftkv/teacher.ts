// The ordinary model behind a student.
import { InputError } from "../../errors.ts";
import type { QkvProjection, Weights } from "../context.ts";

/** The same weights with the ordinary projections of every layer. Throws InputError where they were not kept. */
export function teacherOf(weights: Weights): Weights & { teacher: readonly QkvProjection[] } {
  const { teacher } = weights;
  if (!teacher) {
    throw new InputError(
      "convert: this SwiftKV model was loaded without its ordinary projections; got none, want those of every layer. Load it with { teacher: true }.",
    );
  }
  return { ...withProjections(weights, teacher), teacher, undistilled: false, fit: null };
}

/** The same weights with other projections of queries, keys and values. */
export const withProjections = (weights: Weights, projections: readonly QkvProjection[]): Weights => ({
  ...weights,
  layers: weights.layers.map((layer, i) => ({ ...layer, qkv: projections[i]! })),
});

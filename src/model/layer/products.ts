// The products of a layer after attention, and the output projection.
import type { AnyDispatch } from "../../gpu/program.ts";
import type { ModelContext } from "../context.ts";
import { gemm, gemv, type Linear } from "../ops/linear.ts";
import type { Sizes } from "../ops/sizes.ts";

/** A product, by weight bytes (up to `tileRows` rows) or by arithmetic (tileRows 0: any number). */
export const linear = (
  { gpu, activations, variants }: ModelContext,
  tileRows: number,
  what: Linear,
): AnyDispatch<Sizes>[] =>
  tileRows > 0 ? gemv(gpu, what, tileRows, variants.gemv(what)) : gemm(gpu, what, activations, variants.gemm(what));

/** The products of a layer after attention. */
export function products(
  { config, weights, activations }: ModelContext,
  index: number,
): Record<"output" | "gateUp" | "down", Linear> {
  const layer = weights.layers[index]!;
  const { hidden, attended, activated } = activations;
  const epsilon = config.normEpsilon;
  const label = (what: string) => `layer ${index} ${what}`;
  const rows = (s: Sizes) => s.rows;
  return {
    output: {
      label: label("output"),
      matrix: layer.output,
      bias: layer.outputBias,
      x: attended,
      y: hidden,
      epilogue: "add",
      rows,
    },
    gateUp: {
      label: label("gate·up"),
      matrix: layer.gateUp,
      bias: layer.gateUpBias,
      norm: { weight: layer.mlpNorm, epsilon },
      x: hidden,
      y: activated,
      epilogue: "swiglu",
      rows,
    },
    down: {
      label: label("down"),
      matrix: layer.down,
      bias: layer.downBias,
      x: activated,
      y: hidden,
      epilogue: "add",
      rows,
    },
  };
}

/** The output projection of the rows whose logits are wanted. */
export const outputProduct = ({ weights, activations: { normed, logits } }: ModelContext): Linear => ({
  label: "logits",
  matrix: weights.outputProjection,
  x: normed,
  y: logits,
  epilogue: "store",
  rows: (s) => s.logitCount,
});

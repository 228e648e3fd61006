// The products of a layer after attention, and the output projection.
import type { AnyDispatch } from "../../gpu/program.ts";
import type { ModelContext } from "../context.ts";
import type { ModelConfig } from "../config.ts";
import { gemm, gemv, type Linear, normalise } from "../ops/linear.ts";
import { isNarrow, type RowClass } from "../ops/rowclass.ts";
import { trimPadding } from "../ops/rows.ts";
import type { Sizes } from "../ops/sizes.ts";
import { using } from "../ops/variants.ts";
import type { Vector } from "../weights/matrix.ts";

/** A product of up to `rows` rows: few of them are bound by weight bytes, many by arithmetic. */
export const linear = (
  { gpu, activations, variants }: ModelContext,
  rows: RowClass,
  what: Linear,
): AnyDispatch<Sizes>[] =>
  isNarrow(rows)
    ? using("gemv", variants.gemv(what), (variant) => gemv(gpu, what, rows, variant))
    : using("gemm", variants.gemm(what, rows), (variant) => gemm(gpu, what, activations, variant));

/** A product of all rows of a step: of prompts with rounded rows where that is asked for. */
export const promptLinear = (model: ModelContext, rows: RowClass, what: Linear): AnyDispatch<Sizes>[] =>
  model.rounded?.takes(what.matrix) && !isNarrow(rows) ? model.rounded.product(what, rows) : linear(model, rows, what);

/** The products of a layer after attention. A block whose norm comes after it leaves what it made beside the residual stream. */
export function products(
  { config, weights, activations }: ModelContext,
  index: number,
): Record<"output" | "gateUp" | "down", Linear> {
  const layer = weights.layers[index]!;
  const { hidden, attended, trimmed, activated, made } = activations;
  const label = (what: string) => `layer ${index} ${what}`;
  const rows = (s: Sizes) => s.rows;
  const residual = (norm: Vector | undefined) =>
    norm ? ({ y: made, epilogue: "store" } as const) : ({ y: hidden, epilogue: "add" } as const);
  return {
    output: {
      label: label("output"),
      matrix: layer.output,
      bias: layer.outputBias,
      x: isPadded(config) ? trimmed : attended,
      ...residual(layer.afterAttention),
      rows,
    },
    gateUp: {
      label: label("gate·up"),
      matrix: layer.gateUp,
      bias: layer.gateUpBias,
      ...(layer.mlpNorm ? { norm: { weight: layer.mlpNorm, epsilon: config.normEpsilon } } : {}),
      x: hidden,
      y: activated,
      epilogue: config.activation === "gelu" ? "geglu" : "swiglu",
      rows,
    },
    down: {
      label: label("down"),
      matrix: layer.down,
      bias: layer.downBias,
      x: activated,
      ...residual(layer.afterMlp),
      rows,
    },
  };
}

const isPadded = ({ headWidth, fileHeadWidth }: ModelConfig): boolean => headWidth !== fileHeadWidth;

/** What attention made, without the padding of its heads: as the output's matrix wants it. */
export function trimHeads({ config, activations }: ModelContext, index: number): AnyDispatch<Sizes>[] {
  if (!isPadded(config)) return [];
  const { heads, headWidth: width, fileHeadWidth: fileWidth } = config;
  const buffers = { x: activations.attended, y: activations.trimmed };
  return [trimPadding(buffers, { heads, width, fileWidth }, `layer ${index} trim`)];
}

/** What a block made, through the norm after it, added to the residual stream. */
export function addNormed(
  { gpu, config, activations: { made, hidden } }: ModelContext,
  { label, matrix, rows }: Linear,
  weight: Vector | undefined,
): AnyDispatch<Sizes>[] {
  if (!weight) return [];
  const norm = { weight, epsilon: config.normEpsilon };
  return [normalise(gpu, { label, matrix: { depth: matrix.columns }, x: made, y: hidden, norm, rows, add: true })];
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

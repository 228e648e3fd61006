// What products of rounded rows have in common.
import { alignUp } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { AnyDispatch } from "../../gpu/program.ts";
import type { ModelConfig } from "../config.ts";
import { type PieceRange, piecesOf } from "../weights/matrix.ts";
import { EPILOGUE, from, gemv, type Linear, outputWidth, unlessEmpty, widthOf } from "./linear.ts";
import { MOST_NARROW } from "./rowclass.ts";
import type { Sizes } from "./sizes.ts";
import { using, type Variants } from "./variants.ts";

type Dispatches = AnyDispatch<Sizes>[];

/** Inputs of the widest of the products, a multiple of 16. */
export const widestOf = ({ hiddenSize, intermediateSize, heads, headWidth }: ModelConfig): number =>
  alignUp(Math.max(hiddenSize, intermediateSize, heads * headWidth), 16);

/** Rows of a step that belong to prompts. */
export const promptRows =
  ({ rows }: Linear): Linear["rows"] =>
  (s) =>
    rows(s) - s.decodeRows;

/** The dispatches of a prompt's rows, after the exact product of the rows that decode beside it. */
export function besideDecoding(
  gpu: Gpu,
  variants: Variants,
  linear: Linear,
  rounding: AnyDispatch<Sizes>,
  multiply: (piece: PieceRange) => AnyDispatch<Sizes>,
): Dispatches {
  const decoding = { ...linear, rows: (s: Sizes) => s.decodeRows };
  const exact = using("gemv", variants.gemv(linear), (variant) => gemv(gpu, decoding, MOST_NARROW, variant));
  const pieces = piecesOf(linear.matrix).map(multiply);
  return [...exact, ...unlessEmpty([rounding, ...pieces], promptRows(linear))];
}

/** Constants, buffers and parameters that all of their kernels have, for one piece of the weights. */
export function ofPiece(gpu: Gpu, linear: Linear, { first, columns, stride, words, scales }: PieceRange) {
  const { matrix, bias, y, epilogue } = linear;
  const rows = promptRows(linear);
  return {
    constants: { EPILOGUE: EPILOGUE[epilogue], BIAS: bias ? 1 : 0, BITS: matrix.bits, GROUP: matrix.group },
    buffers: {
      words,
      scales,
      bias: bias ? from(bias, first) : gpu.unused,
      y: from(y, widthOf(epilogue, first)),
    },
    params: (s: Sizes) => ({
      rows: rows(s),
      first: s.decodeRows,
      depth: matrix.depth,
      columns,
      stride,
      yStride: outputWidth(linear),
    }),
    flops: (s: Sizes) => 2 * rows(s) * columns * matrix.depth,
  };
}

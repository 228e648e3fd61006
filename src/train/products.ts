// Products of training: forwards and back through frozen weights, which are dequantised slice by slice, and through those
// that are trained.
import type { Bindable } from "../gpu/kernel.ts";
import type { ModelContext } from "../model/context.ts";
import { gemm, type GemmVariant, type Linear, type Matmul, matmul } from "../model/ops/linear.ts";
import { foldColumns, plain } from "../model/swiftkv/student.ts";
import { type Matrix, rangesOf } from "../model/weights/matrix.ts";
import { type Dispatches, turned } from "./ops.ts";
import type { TrainedTensor } from "./tensor.ts";

/** What products need of a training: where slices of weights go, and how many rows a window has. */
export interface Bench {
  model: ModelContext;
  variant: GemmVariant;
  /** T: rows of a window */
  rows: number;
  /** [largest N + 1, D] a trained matrix turned */
  turnedWeights: GPUBuffer;
}

/** Plain f32 buffers, all rows of a window unless told otherwise. */
export function times(
  { model, variant, rows }: Bench,
  product: Omit<Matmul, "rows" | "depth"> & { rows?: number; depth: number },
): Dispatches {
  const count = product.rows ?? rows;
  const whole = { ...product, rows: () => count, depth: () => product.depth };
  return [matmul(model.gpu, whole, variant)];
}

/** y = (norm of) x · Wᵀ through frozen weights, as in prefill. */
export const forwards = ({ model, variant, rows }: Bench, what: Omit<Linear, "rows">): Dispatches =>
  gemm(model.gpu, { ...what, rows: () => rows }, model.activations, variant);

export interface Back {
  label: string;
  matrix: Matrix;
  /** [rows, outputs] */
  dy: Bindable;
  /** [rows, inputs] */
  dx: Bindable;
  /** Of dx, in floats. */
  dxAt?: number;
  rows?: number;
}

/** dx = dy · W: rows of W, which are its outputs, slice by slice as f32. */
export function backwards(bench: Bench, { label, matrix, dy, dx, dxAt = 0, rows = bench.rows }: Back): Dispatches {
  const { columns: outputs, depth } = matrix;
  const b = bench.model.activations.dequantised;
  const most = Math.max(4, Math.floor(b.size / (4 * depth)));
  const dispatches: Dispatches = [];
  for (const { first, columns: count } of rangesOf(matrix, most)) {
    dispatches.push(
      foldColumns(matrix, b, plain(first, count)),
      ...times(bench, {
        label: `${label} back`,
        a: dy,
        aStride: outputs,
        aOffset: first,
        b,
        c: dx,
        cStride: depth,
        cOffset: dxAt,
        epilogue: first === 0 ? "store" : "add",
        depth: count,
        columns: depth,
        rows,
      }),
    );
  }
  return dispatches;
}

/** y = x · W + bias through a trained matrix. */
export const trainedForwards = (bench: Bench, { shape, weights, bias }: TrainedTensor, x: Bindable, y: Bindable) =>
  times(bench, {
    label: shape.name,
    a: x,
    b: weights,
    bias,
    c: y,
    cStride: shape.outputs,
    cOffset: 0,
    epilogue: "store",
    depth: shape.inputs,
    columns: shape.outputs,
  });

/** dx (+)= dy · Wᵀ through a trained matrix. */
export function trainedBackwards(
  bench: Bench,
  { shape, weights }: TrainedTensor,
  { dy, dx, add }: { dy: Bindable; dx: Bindable; add: boolean },
): Dispatches {
  const { name, inputs, outputs } = shape;
  return [
    turned(name, weights, bench.turnedWeights, inputs, outputs),
    ...times(bench, {
      label: `${name} back`,
      a: dy,
      b: bench.turnedWeights,
      c: dx,
      cStride: inputs,
      cOffset: 0,
      epilogue: add ? "add" : "store",
      depth: outputs,
      columns: inputs,
    }),
  ];
}

/** gradient += [x; 1]ᵀ · dy of a trained matrix. `xt` [inputs + 1, T] */
export const gradient = (bench: Bench, { shape, rows, gradient: c }: TrainedTensor, xt: Bindable, dy: Bindable) =>
  times(bench, {
    label: `${shape.name} gradient`,
    a: xt,
    b: dy,
    c,
    cStride: shape.outputs,
    cOffset: 0,
    epilogue: "add",
    depth: bench.rows,
    columns: shape.outputs,
    rows,
  });

// The loss of a window and its gradient: τ²·KL(teacher‖student) of the logits at temperature τ, some rows at a time, and
// the mean square distance of the residual streams that enter the last layer.
import { teach_hidden, teach_logits } from "../gpu/kernels.gen.ts";
import { dispatch } from "../gpu/program.ts";
import { dequantiseSlice, slicesOf } from "../model/ops/linear.ts";
import type { Matrix } from "../model/weights/matrix.ts";
import { logitStride, tileRows } from "./buffers.ts";
import { type Dispatches, normBack } from "./ops.ts";
import { backwards, times } from "./products.ts";
import type { Training } from "./student.ts";

export interface LossOptions {
  temperature: number;
  hiddenWeight: number;
}

/** Tile after tile of rows: logits of both, the loss, and the gradient of what the final norm gave, in `dNormed`. */
export function logitLoss(training: Training, { temperature }: LossOptions): Dispatches[] {
  const { model, rows } = training;
  const tile = tileRows(model.config, rows);
  // Columns past V are zero in the packed matrix: their logits are not looked at.
  const matrix: Matrix = { ...model.weights.outputProjection, columns: logitStride(model.config) };
  const tiles: Dispatches[] = [];
  for (let first = 0; first < rows; first += tile)
    tiles.push(tileLoss(training, matrix, { first, count: Math.min(tile, rows - first), temperature }));
  return tiles;
}

interface Tile {
  first: number;
  count: number;
  temperature: number;
}

function tileLoss(training: Training, matrix: Matrix, { first, count, temperature }: Tile): Dispatches {
  const { model, kept, scratch } = training;
  const { gpu, config, activations } = model;
  const { hiddenSize: D, vocabulary } = config;
  const { teacherLogits: teacher, studentLogits: student, dNormed } = scratch;
  const dispatches: Dispatches = [];
  const stride = matrix.columns;
  for (const { first: column, columns } of slicesOf(matrix, activations.dequantised.size)) {
    const b = activations.dequantised;
    const into = { c: student, cStride: stride, cOffset: column, epilogue: "store" } as const;
    const part = { label: "logits", aOffset: first * D, b, depth: D, columns, rows: count };
    dispatches.push(
      dequantiseSlice(gpu, { label: "logits", matrix, b, first: column, columns }),
      ...times(training, { ...part, ...into, a: kept.normed }),
      ...times(training, { ...part, ...into, a: kept.wantNormed, c: teacher }),
    );
  }
  dispatches.push(
    dispatch({
      kernel: teach_logits,
      constants: { WG: gpu.profile.normThreads },
      label: "loss of logits",
      buffers: { teacher, student, shares: kept.shares, losses: kept.losses },
      params: () => ({ first, vocabulary, stride, temperature }),
      grid: () => [count, 1, 1],
      bytes: () => 28 * count * vocabulary,
      flops: () => 30 * count * vocabulary,
    }),
    ...backwards(training, { label: "logits", matrix, dy: student, dx: dNormed, dxAt: first * D, rows: count }),
  );
  return dispatches;
}

/** dNormed → dHidden, behind the last layer. */
export function finalNormBackwards({ model, rows, kept, scratch }: Training): Dispatches {
  const { hiddenSize: width, normEpsilon: epsilon } = model.config;
  const norm = { label: "final norm", rows, width, epsilon, weight: model.weights.finalNorm, x: kept.leaves };
  return [normBack(model.gpu, norm, { dy: scratch.dNormed, dx: scratch.dHidden, add: false })];
}

/** The second part, and its gradient to dHidden, before the last layer. Its losses lie behind those of the logits. */
export function hiddenLoss({ model, rows, kept, scratch }: Training, { hiddenWeight }: LossOptions): Dispatches {
  const { hiddenSize: width } = model.config;
  const student = kept.layers.at(-1)!.enters;
  return [
    dispatch({
      kernel: teach_hidden,
      constants: { WG: model.gpu.profile.normThreads },
      label: "loss of the residual stream",
      buffers: { teacher: kept.wantHidden, student, shares: kept.shares, dx: scratch.dHidden, losses: kept.losses },
      params: () => ({ width, weight: hiddenWeight, lossAt: rows }),
      grid: () => [rows, 1, 1],
      bytes: () => 16 * rows * width,
      flops: () => 6 * rows * width,
    }),
  ];
}

// What is done row by row, as dispatches: embedding, gathering, the final norm.
import type { Gpu } from "../../gpu/device.ts";
import type { Bindable } from "../../gpu/kernel.ts";
import { embed, gather, rmsnorm } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import type { Matrix, Vector } from "../weights/matrix.ts";
import type { Sizes } from "./sizes.ts";

export function embedRows(
  table: Matrix,
  buffers: { rows: Bindable; tokens: GPUBuffer; hidden: GPUBuffer },
): AnyDispatch<Sizes> {
  const D = table.depth;
  return dispatch({
    kernel: embed,
    constants: { BITS: table.bits, GROUP: table.group, D },
    label: "embed",
    buffers: { ...buffers, words: table.words, scales: table.scales },
    params: (s: Sizes) => ({ rows: s.rows, stride: table.stride, vocabulary: table.columns }),
    grid: (s) => [s.rows, 1, 1],
    bytes: (s) => s.rows * D * (table.bits / 8 + 4),
    flops: () => 0,
  });
}

/** The rows whose logits are wanted, through the final norm: [logitCount, D]. `rows`: where they lie. */
export function finalNorm(
  gpu: Gpu,
  { x, rows, weight, y }: { x: GPUBuffer; rows: GPUBuffer; weight: Vector; y: GPUBuffer },
  D: number,
  eps: number,
): AnyDispatch<Sizes> {
  return dispatch({
    kernel: rmsnorm,
    constants: { D, WG: gpu.profile.normThreads },
    label: "final norm",
    buffers: { x, rows, weight, y },
    params: () => ({ useRows: 1, eps }),
    grid: (s: Sizes) => [s.logitCount, 1, 1],
    bytes: (s) => 4 * (3 * s.logitCount * D + D),
    flops: (s) => 4 * s.logitCount * D,
  });
}

/** Brings the rows that continue to the front of the residual stream; those already there stay. */
export function gatherRows(hidden: GPUBuffer, source: GPUBuffer, D: number): AnyDispatch<Sizes> {
  return dispatch({
    kernel: gather,
    constants: { D },
    label: "gather rows",
    buffers: { hidden, source },
    params: ({ inPlace }: Sizes) => ({ first: inPlace }),
    grid: (s) => [s.rows - s.inPlace, 1, 1],
    bytes: (s) => 8 * (s.rows - s.inPlace) * D,
    flops: () => 0,
  });
}

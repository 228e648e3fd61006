// What is done row by row, as dispatches: embedding, gathering, the final norm.
import { ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { Bindable } from "../../gpu/kernel.ts";
import { embed, gather, rmsnorm, trim } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import { type Matrix, piecesOf } from "../weights/matrix.ts";
import type { Linear } from "./linear.ts";
import type { Sizes } from "./sizes.ts";

/** A dispatch for each piece of the table: it takes the rows whose tokens lie there. `scale`: what a column is multiplied by. */
export function embedRows(
  table: Matrix,
  buffers: { rows: Bindable; tokens: GPUBuffer; hidden: GPUBuffer },
  scale: number,
): AnyDispatch<Sizes>[] {
  const { depth: D, columns: vocabulary } = table;
  return piecesOf(table).map(({ first, columns, stride, words, scales }) =>
    dispatch({
      kernel: embed,
      constants: { BITS: table.bits, GROUP: table.group, D },
      label: "embed",
      buffers: { ...buffers, words, scales },
      params: (s: Sizes) => ({ rows: s.rows, stride, vocabulary, first, columns, scale }),
      grid: (s) => [s.rows, 1, 1],
      bytes: (s) => s.rows * D * (table.bits / 8 + 4),
      flops: () => 0,
    }),
  );
}

/** The rows whose logits are wanted, through the final norm: [logitCount, D]. `from`: where they lie. */
export function finalNorm(
  gpu: Gpu,
  { x, from, norm, y }: { x: GPUBuffer; from: GPUBuffer; norm: NonNullable<Linear["norm"]>; y: GPUBuffer },
  D: number,
  rows: Linear["rows"],
): AnyDispatch<Sizes> {
  return dispatch({
    kernel: rmsnorm,
    constants: { D, WG: gpu.profile.normThreads, ADD: 0 },
    label: "final norm",
    buffers: { x, rows: from, weight: norm.weight, y },
    params: () => ({ useRows: 1, eps: norm.epsilon }),
    grid: (s: Sizes) => [rows(s), 1, 1],
    bytes: (s) => 4 * (3 * rows(s) * D + D),
    flops: (s) => 4 * rows(s) * D,
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

const TRIM_THREADS = 64;

/** [rows, heads, width] without the padding of heads: [rows, heads, fileWidth]. */
export function trimPadding(
  { x, y }: { x: GPUBuffer; y: GPUBuffer },
  { heads, width: E, fileWidth: WIDTH }: Record<"heads" | "width" | "fileWidth", number>,
  label: string,
): AnyDispatch<Sizes> {
  return dispatch({
    kernel: trim,
    constants: { WG: TRIM_THREADS, E, WIDTH },
    label,
    buffers: { x, y },
    params: () => ({ heads }),
    grid: (s: Sizes) => (s.rows === 0 ? [0, 0, 0] : [ceilDiv(heads * WIDTH, TRIM_THREADS), s.rows, 1]),
    bytes: (s) => 8 * s.rows * heads * WIDTH,
    flops: () => 0,
  });
}

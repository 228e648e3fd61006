// The kernels of training as dispatches. Every size is known when a program is built.
import { ceilDiv } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Bindable } from "../gpu/kernel.ts";
import { copy, rmsnorm, rmsnorm_back, rotate, row_dots, swiglu, swiglu_back, transpose } from "../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../gpu/program.ts";
import type { Sizes } from "../model/ops/sizes.ts";

export type Dispatches = AnyDispatch<Sizes>[];

const WG = 64;
/** Workgroups of an elementwise kernel, at most: its threads take several elements in turn. */
const MOST_GROUPS = 16384;

export const spread = (count: number) => [Math.min(MOST_GROUPS, ceilDiv(count, WG)), 1, 1] as const;

/** y = x, `floats` of them. */
export const copied = (label: string, x: Bindable, y: Bindable, floats: number): AnyDispatch<Sizes> =>
  dispatch({
    kernel: copy,
    constants: { WG },
    label,
    buffers: { x, y },
    params: () => ({ count: floats / 4 }),
    grid: () => spread(floats / 4),
    bytes: () => 8 * floats,
    flops: () => 0,
  });

/** [rows, width] */
export interface Norm {
  label: string;
  rows: number;
  width: number;
  epsilon: number;
  weight: Bindable;
  x: Bindable;
}

export const normalised = (
  gpu: Gpu,
  { label, rows, width, epsilon, weight, x }: Norm,
  y: Bindable,
): AnyDispatch<Sizes> =>
  dispatch({
    kernel: rmsnorm,
    constants: { D: width, WG: gpu.profile.normThreads },
    label,
    buffers: { x, rows: gpu.unused, weight, y },
    params: () => ({ useRows: 0, eps: epsilon }),
    grid: () => [rows, 1, 1],
    bytes: () => 12 * rows * width,
    flops: () => 4 * rows * width,
  });

/** dx of a norm's x from its dy; `add`: to what dx holds. */
export const normBack = (
  gpu: Gpu,
  { label, rows, width, epsilon, weight, x }: Norm,
  { dy, dx, add }: { dy: Bindable; dx: Bindable; add: boolean },
): AnyDispatch<Sizes> =>
  dispatch({
    kernel: rmsnorm_back,
    constants: { D: width, WG: gpu.profile.normThreads, ADD: add ? 1 : 0 },
    label: `${label} back`,
    buffers: { x, weight, dy, dx },
    params: () => ({ eps: epsilon }),
    grid: () => [rows, 1, 1],
    bytes: () => 28 * rows * width,
    flops: () => 11 * rows * width,
  });

/** silu(gate)·up of [T, 2F] → [T, F]; `outputs`: T·F. */
export const gated = (label: string, x: Bindable, y: Bindable, outputs: number): AnyDispatch<Sizes> =>
  dispatch({
    kernel: swiglu,
    constants: { WG },
    label,
    buffers: { x, y },
    params: () => ({ count: outputs / 4 }),
    grid: () => spread(outputs / 4),
    bytes: () => 12 * outputs,
    flops: () => 5 * outputs,
  });

export const gatedBack = (
  label: string,
  { x, dy, dx }: { x: Bindable; dy: Bindable; dx: Bindable },
  outputs: number,
): AnyDispatch<Sizes> =>
  dispatch({
    kernel: swiglu_back,
    constants: { WG },
    label: `${label} back`,
    buffers: { x, dy, dx },
    params: () => ({ count: outputs / 4 }),
    grid: () => spread(outputs / 4),
    bytes: () => 20 * outputs,
    flops: () => 12 * outputs,
  });

/** Heads [rows, heads, width] turned in place by their row's angle, or back. */
export const rotated = (
  label: string,
  { x, rope, rows, heads, width }: { x: Bindable; rope: Bindable } & Record<"rows" | "heads" | "width", number>,
  direction: 1 | -1,
): AnyDispatch<Sizes> =>
  dispatch({
    kernel: rotate,
    constants: { WG },
    label,
    buffers: { x, rope },
    params: () => ({ heads, width, direction }),
    grid: () => [ceilDiv((heads * width) / 2, WG), rows, 1],
    bytes: () => 12 * rows * heads * width,
    flops: () => 3 * rows * heads * width,
  });

/** x [rows, width] → [width + 1, rows], the last row ones. */
export const turned = (label: string, x: Bindable, xt: Bindable, rows: number, width: number): AnyDispatch<Sizes> =>
  dispatch({
    kernel: transpose,
    constants: { WG },
    label: `${label} turned`,
    buffers: { x, xt },
    params: () => ({ rows, depth: width }),
    grid: () => [ceilDiv(rows, WG), width / 4 + 1, 1],
    bytes: () => 8 * rows * width,
    flops: () => 0,
  });

/** out[at + i] = Σ a[i, :]·b[i, :]; `add`: to what it holds. */
export const dotted = (
  label: string,
  { a, b, out, at = 0, add = false }: { a: Bindable; b: Bindable; out: Bindable; at?: number; add?: boolean },
  rows: number,
  width: number,
): AnyDispatch<Sizes> =>
  dispatch({
    kernel: row_dots,
    constants: { WG, ADD: add ? 1 : 0 },
    label,
    buffers: { a, b, out },
    params: () => ({ rows, width, outAt: at }),
    grid: () => [ceilDiv(rows, WG), 1, 1],
    bytes: () => 8 * rows * width,
    flops: () => 2 * rows * width,
  });

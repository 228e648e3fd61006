// Attention of a window whose keys and values lie in memory as they are made, and its way back, head by head: scores are
// products of the GEMM kernels, [T, T] for one head at a time.
import { ceilDiv } from "../errors.ts";
import { attn_weights, attn_weights_back } from "../gpu/kernels.gen.ts";
import { dispatch } from "../gpu/program.ts";
import { dotted, type Dispatches, turned } from "./ops.ts";
import { type Bench, times } from "./products.ts";

/** Buffers that one head after another uses. */
export interface AttentionScratch {
  /** [T, T] */
  weights: GPUBuffer;
  scores: GPUBuffer;
  /** [T + 1, T] */
  turnedScores: GPUBuffer;
  /** [G·E + 1, T] */
  turnedKeys: GPUBuffer;
  /** [H·E + 1, T] */
  turnedQueries: GPUBuffer;
  turnedGradient: GPUBuffer;
  /** [T, H] */
  deltas: GPUBuffer;
}

/** What attention of a layer reads and leaves. */
export interface AttentionOf {
  label: string;
  /** Keys that a row sees, its own included; 0: all up to its own. */
  window: number;
  /** [T, H·E], rotated */
  query: GPUBuffer;
  /** [T, G·E], rotated */
  keys: GPUBuffer;
  values: GPUBuffer;
  /** [T, H·E] */
  out: GPUBuffer;
  /** [T, H] logarithms of the sums of the softmax */
  sums: GPUBuffer;
}

const WG = 64;

const heads = ({ model }: Bench) => {
  const { heads: H, kvHeads: G, headWidth: E, attentionScale: scale } = model.config;
  return { H, G, E, scale, groupOf: (head: number) => Math.floor((head * G) / H) };
};

export function attend(bench: Bench, of: AttentionOf, scratch: AttentionScratch): Dispatches {
  const { rows: T } = bench;
  const { H, G, E, scale, groupOf } = heads(bench);
  const dispatches: Dispatches = [turned(`${of.label} keys`, of.keys, scratch.turnedKeys, T, G * E)];
  for (let head = 0; head < H; head++) {
    const group = groupOf(head) * E;
    const own = { label: of.label, epilogue: "store" } as const;
    const scored = { c: scratch.weights, cStride: T, cOffset: 0, depth: E, columns: T };
    const merged = { c: of.out, cStride: H * E, cOffset: head * E, depth: T, columns: E };
    dispatches.push(
      ...times(bench, {
        ...own,
        ...scored,
        a: of.query,
        aStride: H * E,
        aOffset: head * E,
        b: scratch.turnedKeys,
        bOffset: group * T,
      }),
      dispatch({
        kernel: attn_weights,
        constants: { WG: bench.model.gpu.profile.normThreads },
        label: of.label,
        buffers: { scores: scratch.weights, sums: of.sums },
        params: () => ({ keys: T, heads: H, head, window: of.window, scale }),
        grid: () => [T, 1, 1],
        bytes: () => 12 * T * T,
        flops: () => 8 * T * T,
      }),
      ...times(bench, {
        ...own,
        ...merged,
        a: scratch.weights,
        b: of.values,
        bStride: G * E,
        bOffset: group,
      }),
    );
  }
  return dispatches;
}

/** Gradients [T, ·] of what attention reads, from that of its output. */
export interface AttentionBack {
  dOut: GPUBuffer;
  dQuery: GPUBuffer;
  dKeys: GPUBuffer;
  dValues: GPUBuffer;
  /** Other layers that read these keys and values have left their share. */
  add: boolean;
}

export function attendBack(
  bench: Bench,
  of: AttentionOf,
  { dOut, dQuery, dKeys, dValues, add }: AttentionBack,
  scratch: AttentionScratch,
): Dispatches {
  const { rows: T } = bench;
  const { H, G, E, scale, groupOf } = heads(bench);
  const label = `${of.label} back`;
  const dispatches: Dispatches = [
    dotted(label, { a: of.out, b: dOut, out: scratch.deltas }, T * H, E),
    turned(label, of.query, scratch.turnedQueries, T, H * E),
    turned(label, dOut, scratch.turnedGradient, T, H * E),
  ];
  for (let head = 0; head < H; head++) {
    const group = groupOf(head) * E;
    const first = !add && (head === 0 || groupOf(head) !== groupOf(head - 1));
    // [key, row] of this head: keys or values times queries or their outputs' gradients.
    const square = (left: GPUBuffer, right: GPUBuffer, c: GPUBuffer) =>
      times(bench, {
        label,
        a: left,
        aStride: G * E,
        aOffset: group,
        b: right,
        bOffset: head * E * T,
        c,
        cStride: T,
        cOffset: 0,
        epilogue: "store",
        depth: E,
        columns: T,
      });
    // Σ over rows: what the keys or values of this group get from this head.
    const summed = (left: GPUBuffer, right: GPUBuffer, c: GPUBuffer) =>
      times(bench, {
        label,
        a: left,
        b: right,
        bStride: H * E,
        bOffset: head * E,
        c,
        cStride: G * E,
        cOffset: group,
        epilogue: first ? "store" : "add",
        depth: T,
        columns: E,
      });
    dispatches.push(
      ...square(of.keys, scratch.turnedQueries, scratch.weights),
      ...square(of.values, scratch.turnedGradient, scratch.scores),
      dispatch({
        kernel: attn_weights_back,
        constants: { WG },
        label,
        buffers: { weights: scratch.weights, scores: scratch.scores, sums: of.sums, deltas: scratch.deltas },
        params: () => ({ rows: T, heads: H, head, window: of.window, scale }),
        grid: () => [ceilDiv(T, WG), T, 1],
        bytes: () => 16 * T * T,
        flops: () => 8 * T * T,
      }),
      ...summed(scratch.weights, dOut, dValues),
      ...summed(scratch.scores, of.query, dKeys),
      turned(label, scratch.scores, scratch.turnedScores, T, T),
      ...times(bench, {
        label,
        a: scratch.turnedScores,
        b: of.keys,
        bStride: G * E,
        bOffset: group,
        c: dQuery,
        cStride: H * E,
        cOffset: head * E,
        epilogue: "store",
        depth: T,
        columns: E,
      }),
    );
  }
  return dispatches;
}

// What is made of consecutive tokens of a sequence while their pages are there: keys before rotation, factors, landmarks, values.
import { ceilDiv } from "../../../errors.ts";
import { shadow_down, shadow_keys, shadow_landmarks, shadow_project, shadow_values } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import type { StepSizes, SystemContext } from "../../system.ts";
import { listsOf, threadsOf } from "./rows.ts";
import { factorWords, type ShadowShape } from "./shape.ts";
import { stateOf } from "./state.ts";

/** What dispatches of a store need. */
export interface Job {
  context: SystemContext;
  shape: ShadowShape;
  store: number;
}

/** Tokens of a sequence, and the place of the first of them where they are kept. */
export interface Range {
  sequence: number;
  begin: number;
  tokens: number;
  first: number;
}

type RangeOf = (sizes: StepSizes) => Range;

/** Keys less `pivot` to `keys`, from its first row on; or the keys of one token to `pivot`. */
export function keysOf({ context, shape, store }: Job, to: "keys" | "pivot", range: RangeOf): AnyDispatch<StepSizes>[] {
  const { cache, model, gpu } = context;
  const { kvHeads: G, headWidth: E } = model;
  const { scratch } = stateOf(context, shape);
  const WG = threadsOf(context).alone;
  const less = to === "keys";
  return cache.writtenArenasOf(store).map((arena) =>
    dispatch({
      kernel: shadow_keys,
      constants: { WG, E, G, KV_BITS: cache.written.bits, PIVOT: Number(less) },
      label: `store ${store} ${to}`,
      buffers: {
        table: cache.lists.table,
        kv: arena.buffers[cache.bundleOf(store)]!,
        rope: context.ropeOf(store),
        pivot: less ? scratch.pivot : gpu.unused,
        x: scratch[to],
      },
      params: (s: StepSizes) => {
        const { sequence: row, begin: first, tokens } = range(s);
        return { ...listsOf(context, store), row, arena: arena.number, first, tokens };
      },
      grid: (s) => [ceilDiv(range(s).tokens, WG), (G * E) / 8, 1],
      bytes: (s) => range(s).tokens * G * E * (cache.written.bits / 8 + 4),
      flops: (s) => 4 * range(s).tokens * G * E,
    }),
  );
}

/** The way to factors of the prompt that the map of `sequence` was made for, and the mean of its keys as `pivot`. */
export function knownMap(
  { context, shape, store }: Job,
  sequence: (sizes: StepSizes) => number,
): AnyDispatch<StepSizes> {
  const { stores, scratch } = stateOf(context, shape);
  const { down, shift, pivot } = scratch;
  const { width: D, rank: RANK } = shape;
  return dispatch({
    kernel: shadow_down,
    constants: { WG: threadsOf(context).together, D, RANK },
    label: `store ${store} known map`,
    buffers: { up: stores[store]!.up, down, shift, pivot },
    params: (s: StepSizes) => ({ sequence: sequence(s) }),
    grid: () => [RANK + 1, 1, 1],
    bytes: () => 8 * D * RANK,
    flops: () => 2 * D * RANK,
  });
}

/** Factors of the first rows of `keys`. */
export function project({ context, shape, store }: Job, range: RangeOf): AnyDispatch<StepSizes> {
  const { stores, scratch } = stateOf(context, shape);
  const { keys: x, down, shift } = scratch;
  const { width: D, rank: RANK, keyBits: BITS } = shape;
  const WG = 16;
  return dispatch({
    kernel: shadow_project,
    constants: { WG, D, RANK, BITS },
    label: `store ${store} factors`,
    buffers: { x, down, shift, factors: stores[store]!.factors.buffer },
    params: (s: StepSizes) => ({ first: range(s).first, tokens: range(s).tokens }),
    grid: (s) => [ceilDiv(RANK / 4, WG), ceilDiv(range(s).tokens, 8), 1],
    bytes: (s) => range(s).tokens * (4 * D + 4 * factorWords(shape)),
    flops: (s) => 2 * range(s).tokens * D * RANK,
  });
}

/** Landmarks of whole chunks. */
export function landmarksOf({ context, shape, store }: Job, range: RangeOf): AnyDispatch<StepSizes>[] {
  const { cache, model } = context;
  const { kvHeads: G, headWidth: E } = model;
  const { stores, scratch } = stateOf(context, shape);
  const { landmarks } = stores[store]!;
  const { chunk: CHUNK, keyBits: BITS } = shape;
  const WG = threadsOf(context).alone;
  return cache.writtenArenasOf(store).map((arena) =>
    dispatch({
      kernel: shadow_landmarks,
      constants: { WG, E, G, KV_BITS: cache.written.bits, BITS, CHUNK },
      label: `store ${store} landmarks`,
      buffers: {
        table: cache.lists.table,
        kv: arena.buffers[cache.bundleOf(store)]!,
        landmarks: landmarks.buffer,
        unlike: scratch.unlike,
      },
      params: (s: StepSizes) => {
        const { sequence: row, begin, tokens, first } = range(s);
        const chunks = { begin: begin / CHUNK, chunks: tokens / CHUNK, first: (first - begin) / CHUNK };
        return {
          ...listsOf(context, store),
          row,
          arena: arena.number,
          ...chunks,
          room: landmarks.room,
          stride: scratch.chunks,
        };
      },
      grid: (s) => [ceilDiv(range(s).tokens / CHUNK, WG), G, 1],
      bytes: (s) => (range(s).tokens * G * E * cache.written.bits) / 8,
      flops: (s) => 5 * range(s).tokens * G * E,
    }),
  );
}

/** Where values go: [G, capacity, words]. */
interface Target<D> {
  buffer: GPUBuffer;
  capacity: (sizes: D) => number;
  range: (sizes: D) => Range;
}

export function copyValues<D>(
  { context, shape, store }: Job,
  { buffer, capacity, range }: Target<D>,
): AnyDispatch<D>[] {
  const { cache, model } = context;
  const { kvHeads: G, headWidth: E } = model;
  const { valueBits: V_BITS, group: GROUP } = shape;
  const WG = threadsOf(context).alone;
  return cache.writtenArenasOf(store).map((arena) =>
    dispatch({
      kernel: shadow_values,
      constants: { WG, E, G, KV_BITS: cache.written.bits, V_BITS, GROUP },
      label: `store ${store} values`,
      buffers: { table: cache.lists.table, kv: arena.buffers[cache.bundleOf(store)]!, values: buffer },
      params: (s: D) => {
        const { sequence: row, ...rest } = range(s);
        return { ...listsOf(context, store), row, arena: arena.number, capacity: capacity(s), ...rest };
      },
      grid: (s: D) => [ceilDiv(range(s).tokens, WG), (G * E) / GROUP, 1],
      bytes: (s: D) => (range(s).tokens * G * E * (cache.written.bits + V_BITS)) / 8,
      flops: () => 0,
    }),
  );
}

/** Values as they are kept on the GPU; those that the CPU keeps are read once the step is over. */
export function keepValues(job: Job, range: RangeOf): AnyDispatch<StepSizes>[] {
  const { values } = stateOf(job.context, job.shape).stores[job.store]!;
  return values ? copyValues(job, { buffer: values.buffer, capacity: () => values.room, range }) : [];
}

// Values of a prompt's pages, as they are kept.
import { ceilDiv } from "../../../errors.ts";
import { shadow_values } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import type { SystemContext } from "../../system.ts";
import { listsOf, threadsOf } from "./rows.ts";
import type { ShadowShape } from "./shape.ts";

/** Tokens of a sequence's prompt, of which no page has been given up yet, and the place of the first of them. */
export interface Range {
  sequence: number;
  begin: number;
  tokens: number;
  first: number;
}

/** Where values go: [G, capacity, words]. */
interface Target<D> {
  buffer: GPUBuffer;
  capacity: (sizes: D) => number;
  range: (sizes: D) => Range;
}

export function copyValues<D>(
  context: SystemContext,
  shape: ShadowShape,
  store: number,
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

// Missing chunks come to their places in private pages: keys from factors, values as they are kept.
import { shadow_recall } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import type { SystemContext } from "../../system.ts";
import { listsOf, type Rows, threadsOf } from "./rows.ts";
import { factorWords, type ShadowShape } from "./shape.ts";
import { stateOf } from "./state.ts";

/** `lists`: where among uploaded words the first ones of the store's lists are told. */
export function recall<D>(
  context: SystemContext,
  shape: ShadowShape,
  store: number,
  { firstRow, count }: Rows<D>,
  lists: (sizes: D) => number,
): AnyDispatch<D> {
  const { cache, model, records } = context;
  const rope = context.ropeOf(store);
  const { kvHeads: G, headWidth: E } = model;
  const { stores, uploads } = stateOf(context, shape);
  const { up, moves, factors, values } = stores[store]!;
  const { chunk: CHUNK, rank: RANK, outliers: OUTLIERS, selected: SELECTED } = shape;
  const { keyBits: BITS, valueBits: V_BITS, group: GROUP } = shape;
  const { lanes: LANES, movers } = threadsOf(context);
  const workgroups = Math.min(SELECTED, movers);
  const constants = { LANES, E, G, KV_BITS: cache.written.bits };
  const kv = cache.privatePages!.arena.buffers[cache.bundleOf(store)]!;
  // At most: how many are missing is on the GPU.
  const tokens = (s: D) => count(s) * G * SELECTED * CHUNK;
  return dispatch({
    kernel: shadow_recall,
    constants: {
      ...constants,
      V_BITS,
      GROUP,
      RANK,
      BITS,
      HOST: Number(shape.host !== null),
      OUTLIERS,
      SELECTED,
      CHUNK,
    },
    label: `store ${store} recall`,
    buffers: {
      rows: records,
      table: cache.lists.table,
      moves,
      factors: factors.buffer,
      up,
      rope,
      values: values?.buffer ?? uploads!,
      kv,
    },
    params: (s: D) => ({
      ...listsOf(context, store),
      firstRow: firstRow(s),
      capacity: values?.room ?? 0,
      workgroups,
      lists: lists(s),
    }),
    grid: (s) => [workgroups, G, count(s)],
    bytes: (s) => tokens(s) * (4 * factorWords(shape) + (E * (V_BITS + 2 * cache.written.bits)) / 8),
    flops: (s) => 2 * tokens(s) * RANK * E,
  });
}

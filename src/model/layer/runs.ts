// Which heads of a projection one dispatch makes, and where they go.
import { assert } from "../../errors.ts";
import type { Arena } from "../../kv/arena.ts";
import type { ModelConfig } from "../config.ts";
import type { ModelContext, QkvProjection } from "../context.ts";
import { isNarrow, type RowClass } from "../ops/rowclass.ts";
import type { Sizes } from "../ops/sizes.ts";

/** Which heads of a projection. */
export type HeadRange = "all" | "queries" | "keysValues";

export interface QkvProduct {
  layer: number;
  qkv: QkvProjection;
  range: HeadRange;
  /** First record of its rows in `lists.inputs`. */
  rowAt: number;
  rows: (sizes: Sizes) => number;
  /** Of keys and values, those of this store alone, also where they pass; default: all that the projection makes. */
  store?: number;
  /** Its rows; default: the residual stream. */
  input?: GPUBuffer;
}

/** "qkv", "q" or "kv", and how many stores are filled where there are several. */
export function labelOf({ layer, qkv: { stores }, range, store }: QkvProduct): string {
  if (store !== undefined) return `layer ${layer} kv of store ${store}`;
  const heads = range === "queries" || stores === 0 ? "q" : range === "keysValues" ? "kv" : "qkv";
  return `layer ${layer} ${heads}${stores > 1 && heads !== "q" ? ` of ${stores} stores` : ""}`;
}

/** Of the norm of a padded head, whose squares are divided by more channels than there are. */
export const headEpsilon = ({ normEpsilon, fileHeadWidth, headWidth }: ModelConfig): number =>
  (normEpsilon * fileHeadWidth) / headWidth;

/** Consecutive heads of a projection that one dispatch makes, the arena that it writes, and how they are turned. */
export interface HeadRun {
  first: number;
  count: number;
  kv: GPUBuffer;
  arena: number;
  rotation: number;
}

/** Stores that one dispatch fills: they lie in one bundle and are turned alike. */
interface Stretch {
  bundle: number;
  first: number;
  count: number;
  rotation: number;
}

/** Keys are turned as their owner's are. */
const rotationOf = ({ cache, config }: ModelContext, store: number): number =>
  config.rotationOf[cache.shape.layout.owners[store]!]!;

function stretchesOf(model: ModelContext, { qkv: { firstStore, stores }, store }: QkvProduct): Stretch[] {
  if (store !== undefined) {
    return [{ bundle: model.cache.bundleOf(store), first: store, count: 1, rotation: rotationOf(model, store) }];
  }
  return model.cache.bundlesIn(firstStore, stores).flatMap(({ bundle, first, count }) => {
    const stretches: Stretch[] = [];
    for (let store = first; store < first + count; store++) {
      const rotation = rotationOf(model, store);
      const last = stretches.at(-1);
      if (last?.rotation === rotation) last.count++;
      else stretches.push({ bundle, first: store, count: 1, rotation });
    }
    return stretches;
  });
}

/** Queries are turned as the keys that they meet are. */
const queriesOf = (model: ModelContext, { layer, qkv }: QkvProduct): HeadRun => ({
  first: 0,
  count: qkv.queries,
  kv: model.cache.arenas[0]!.buffers[0]!,
  arena: 0,
  rotation: rotationOf(model, model.cache.shape.layout.reads[layer]!),
});

/** Rows of a step write nothing that passes: what does is made from inputs that are kept. */
function arenasOf({ cache }: ModelContext, { store }: QkvProduct, first: number): readonly Arena[] {
  const arenas = cache.writtenArenasOf(first);
  return store === undefined ? arenas.filter(({ number }) => !cache.streamed?.isPassing(number)) : arenas;
}

export function runsOf(model: ModelContext, product: QkvProduct): HeadRun[] {
  const { config } = model;
  const { queries, firstStore, stores } = product.qkv;
  const queryRun = queriesOf(model, product);
  if (product.range === "queries" || stores === 0) return [queryRun];
  const runs = stretchesOf(model, product).flatMap(({ bundle, first, count, rotation }) =>
    arenasOf(model, product, first).map(({ number, buffers }): HeadRun => {
      const begin = queries + 2 * (first - firstStore) * config.kvHeads;
      return { first: begin, count: 2 * count * config.kvHeads, kv: buffers[bundle]!, arena: number, rotation };
    }),
  );
  const [firstRun, ...otherRuns] = runs;
  assert(firstRun, "a product with stores writes at least one buffer");
  if (product.range !== "all") return runs;
  if (firstRun.rotation !== queryRun.rotation) return [queryRun, ...runs];
  return [{ ...firstRun, first: 0, count: firstRun.count + queries }, ...otherRuns];
}

/** Rows of a step that write their own keys and values of later stores: those of a chunk come from what is kept of them. */
export const ownRows =
  ({ cache }: ModelContext, most: RowClass) =>
  ({ rows, decodeRows }: Sizes): number =>
    cache.streamed && !isNarrow(most) ? decodeRows : rows;

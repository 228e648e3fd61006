// Which chunks of their prompts rows read, counted on the GPU where a request asks for it, and read once.
import type { Attended } from "../../../attended.ts";
import { shadow_reads } from "../../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../../gpu/program.ts";
import { Readback, type Part } from "../../../gpu/readback.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { KvCache } from "../../cache.ts";
import type { Attending, StepSizes, SystemContext } from "../../system.ts";
import { readersOf } from "../swiftkv/layout.ts";
import { decodingRows, listsOf, threadsOf } from "./rows.ts";
import type { ShadowShape } from "./shape.ts";
import { stateOf } from "./state.ts";

/** Counts of a list: of layers and tokens that read it, then of each chunk. */
const strideOf = (context: SystemContext, shape: ShadowShape): number => 1 + stateOf(context, shape).mostChunks;

const made = new WeakMap<KvCache, GPUBuffer>();

/** [sequences, G, stride] u32 */
function countsOf(context: SystemContext, shape: ShadowShape): GPUBuffer {
  const { gpu, cache, model } = context;
  const words = cache.shape.sequences * model.kvHeads * strideOf(context, shape);
  const buffer = made.get(cache) ?? gpu.buffer("shadow chunks read", 4 * words, "scratch");
  made.set(cache, buffer);
  return buffer;
}

/**
 * `choice`: what a layer that chooses does before its attention. Counted is what attention finds in the places: where values
 * come late, what the token before has chosen. `byGroup`: the layer chooses for all that read its store.
 */
export function withCounts(
  context: SystemContext,
  shape: ShadowShape,
  { layer, byGroup }: { layer: number; byGroup: boolean },
  choice: AnyDispatch<StepSizes>[],
): AnyDispatch<StepSizes>[] {
  const { layout } = context.cache.shape;
  const store = layout.reads[layer]!;
  const counted = countReads(context, shape, store, byGroup ? readersOf(layout, store).length : 1);
  return shape.host === "late" ? [counted, ...choice] : [...choice, counted];
}

function countReads(context: SystemContext, shape: ShadowShape, store: number, weight: number): AnyDispatch<StepSizes> {
  const { cache, model, records } = context;
  const { kvHeads: G } = model;
  const { selected: SELECTED } = shape;
  const rows = (s: StepSizes) => (s.attended ? decodingRows(context, s) : 0);
  return dispatch({
    kernel: shadow_reads,
    constants: { WG: threadsOf(context).alone, G, SELECTED },
    label: `store ${store} chunks read`,
    buffers: {
      rows: records,
      table: cache.lists.table,
      resident: stateOf(context, shape).stores[store]!.resident,
      counts: countsOf(context, shape),
    },
    params: () => ({ ...listsOf(context, store), firstRow: 0, stride: strideOf(context, shape), weight }),
    grid: (s) => [G, rows(s), 1],
    bytes: (s) => 12 * rows(s) * G * SELECTED,
    flops: () => 0,
  });
}

export class ChunkReads implements Attending {
  readonly #context: SystemContext;
  readonly #shape: ShadowShape;
  #readback: Readback | null = null;

  constructor(context: SystemContext, shape: ShadowShape) {
    this.#context = context;
    this.#shape = shape;
  }

  open(sequence: number): void {
    const { gpu } = this.#context;
    const { offset, bytes } = this.#counts(sequence);
    gpu.write(countsOf(this.#context, this.#shape), offset, new Uint32Array(bytes / 4));
  }

  async read(sequence: number): Promise<Attended | null> {
    const { gpu, cache } = this.#context;
    const chunks = (cache.pagesGivenUp(sequence) * BLOCK_TOKENS) / this.#shape.chunk;
    if (chunks === 0) return null;
    const parts = [this.#counts(sequence), ...this.#outliers(sequence)];
    this.#readback ??= new Readback(gpu, sizeOf(parts), cache.shape.sequences); // all may end in one step
    const read = this.#readback.submit(gpu.device.createCommandEncoder(), parts);
    return this.#evaluate(new Uint32Array(await read()), chunks);
  }

  #counts(sequence: number): Part {
    const bytes = 4 * this.#context.model.kvHeads * strideOf(this.#context, this.#shape);
    return { source: countsOf(this.#context, this.#shape), offset: sequence * bytes, bytes };
  }

  /** Of each store. */
  #outliers(sequence: number): Part[] {
    const bytes = 4 * this.#context.model.kvHeads * this.#shape.outliers;
    const { stores } = stateOf(this.#context, this.#shape);
    return stores.map(({ outliers: source }) => ({ source, offset: sequence * bytes, bytes }));
  }

  /** `words`: [G, stride] counts, then [stores, G, outliers] chunks. */
  #evaluate(words: Uint32Array, chunks: number): Attended {
    const { layers, kvHeads } = this.#context.model;
    const stride = strideOf(this.#context, this.#shape);
    const lists = Array.from({ length: kvHeads }, (_, g) => words.subarray(g * stride, (g + 1) * stride));
    const most = lists.reduce((sum, [count]) => sum + count!, 0);
    const chosen = new Uint32Array(chunks);
    for (const list of lists) for (let i = 0; i < chunks; i++) chosen[i]! += list[1 + i]!;
    const tokens = most / (layers * kvHeads);
    const kept = this.#kept(words.subarray(kvHeads * stride), chunks).map((layersAndHeads) => tokens * layersAndHeads);
    return { partTokens: this.#shape.chunk, chosen, kept, most, tokens };
  }

  /** [chunks] how many layers and KV heads always read it. `outliers`: [stores, G, outliers]. */
  #kept(outliers: Uint32Array, chunks: number): Uint32Array {
    const { layout } = this.#context.cache.shape;
    const perStore = outliers.length / layout.stores;
    const kept = new Uint32Array(chunks);
    for (const [i, chunk] of outliers.entries()) kept[chunk]! += readersOf(layout, Math.floor(i / perStore)).length;
    return kept;
  }
}

const sizeOf = (parts: readonly Part[]): number => parts.reduce((sum, { bytes }) => sum + bytes, 0);

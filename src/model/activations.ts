// Buffers of a step, sized when a model is loaded for the largest one.
import type { Gpu } from "../gpu/device.ts";
import { isWritten } from "../kv/format.ts";
import type { KvCache } from "../kv/cache.ts";
import type { ResolvedCache } from "../kv/shape.ts";
import type { SystemContext } from "../kv/system.ts";
import type { ModelConfig } from "./config.ts";
import type { Activations, Spans } from "./context.ts";
import type { Model } from "./model.ts";
import { MOST_NARROW } from "./ops/rowclass.ts";
import { mostSplits } from "./layer/splits.ts";
import { MOST_CHUNK_SPLITS } from "./step.ts";

/** Weights dequantised to f32 for a wide product, at most. */
const DEQUANTISED_BYTES = 32 * 2 ** 20;

/** `placedRows`: those whose heads a product and another dispatch make. `extra`: partials that systems add to each row and head. */
export function allocate(
  gpu: Gpu,
  config: ModelConfig,
  { rows, sequences, logitCount, placedRows }: Model["limits"] & { placedRows: number },
  cache: KvCache,
  spans: Spans,
  extra: number,
): Activations {
  const { hiddenSize: D, intermediateSize: F, heads: H, headWidth: E, vocabulary: V } = config;
  const make = (label: string, words: number) => gpu.buffer(label, words * 4, "scratch");
  const widest = Math.max(D, F, H * E);
  return {
    hidden: make("hidden", rows * D),
    query: make("query", rows * H * E),
    turnedQuery: hasBasis(cache) ? make("queries in a format's basis", rows * H * E) : gpu.unused,
    heads: placedRows ? make("heads before their norms", placedRows * mostHeads(config, cache) * E) : gpu.unused,
    attended: make("attended", rows * H * E),
    trimmed: E === config.fileHeadWidth ? gpu.unused : make("attended, trimmed", rows * H * config.fileHeadWidth),
    made: config.norms === "before" ? gpu.unused : make("what a block made", rows * D),
    partials: make(
      "attention partials",
      mostPartials(gpu, cache, { rows, sequences, spans, extra }, config.kvHeads) * H * (E + 2),
    ),
    activated: make("activated", rows * F),
    wanted: make("rows whose logits are wanted", logitCount),
    continuing: make("rows that continue", spans.upper.count),
    normed: make("normed", Math.max(rows, logitCount) * D),
    logits: make("logits", logitCount * V),
    dequantised: gpu.buffer(
      "dequantised weights",
      Math.min(DEQUANTISED_BYTES, gpu.mostBytes, widest * Math.max(2 * F, V) * 4),
      "scratch",
    ),
  };
}

/** Heads that a layer's projection makes, at most. */
const mostHeads = ({ heads, kvHeads }: ModelConfig, { shape: { layout } }: KvCache): number =>
  heads + 2 * kvHeads * Math.max(...layout.fills.map(({ count }) => count));

const hasBasis = ({ arenas }: KvCache): boolean => arenas.some(({ format }) => !isWritten(format) && format.basis);

/** Partials of one head that a step can have: of rows that read lists of their own, or of a chunk's rows. */
function mostPartials(
  gpu: Gpu,
  cache: KvCache,
  { rows, sequences, spans, extra }: { rows: number; sequences: number; spans: Spans; extra: number },
  kvHeads: number,
): number {
  const { layout, privatePages, choiceWords } = cache.shape;
  const hasUpper = layout.boundary < layout.reads.length;
  // in a narrow step each row may be of another sequence
  const alone = Math.max(MOST_NARROW, sequences, hasUpper && (privatePages || choiceWords > 0) ? spans.upper.count : 0);
  const most = Math.max(...layout.reads.map((store) => cache.arenasOf(store).length)); // arenas of a layer
  const decoding = mostSplits(gpu.profile, kvHeads, alone) * most + alone * extra;
  const sealed = cache.arenas.filter(({ format }) => !isWritten(format)).length; // at most: some layers may read none
  const ofChunk = most - sealed + sealed * MOST_CHUNK_SPLITS + extra;
  return Math.max(decoding, ofChunk > 1 ? rows * ofChunk : 0);
}

/** Where systems say which tokens of a prompt stay. */
export function keepBuffer(
  gpu: Gpu,
  { retaining, layout, model }: ResolvedCache,
  context: number,
): Pick<SystemContext, "keep" | "keepStride"> {
  if (!retaining) return { keep: gpu.unused, keepStride: 0 };
  const keepStride = Math.min(context, Math.max(...retaining.most));
  const words = layout.stores * model.kvHeads * keepStride;
  return { keep: gpu.buffer("tokens that stay", words * 4, "scratch"), keepStride };
}

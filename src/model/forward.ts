// The transformer as a list of dispatches, read top to bottom. What a family has beside Llama, or in another way, families/ says.
//
// `lower` is what every row of a step runs, `upper` what only rows that continue run: the layers from the layout's boundary
// on. In an ordinary model all layers are lower ones.
import { type AnyDispatch, Program } from "../gpu/program.ts";
import { atPlace, keepTokens } from "./layer/systems.ts";
import { recordsOf } from "../kv/lists.ts";
import { attention } from "./layer/attention.ts";
import { addNormed, linear, outputProduct, products, trimHeads } from "./layer/products.ts";
import { projectQkv } from "./layer/qkv.ts";
import { type HeadRange, ownRows } from "./layer/runs.ts";
import { embedRows, finalNorm, gatherRows } from "./ops/rows.ts";
import type { Sizes } from "./ops/sizes.ts";
import type { ModelContext, Span } from "./context.ts";

/** Of prompts that are streamed; null where none is. */
const streamedOf = async ({ cache }: ModelContext) => (cache.streamed ? await import("./layer/streamed.ts") : null);

/** What follows a layer's heads: attention, what systems add to it, and the two blocks' products. */
function rest(model: ModelContext, layer: number, tileRows: number, span: Span): AnyDispatch<Sizes>[] {
  const { output, gateUp, down } = products(model, layer);
  const { afterAttention, afterMlp } = model.weights.layers[layer]!;
  return [
    ...atPlace(model, "afterHeads", layer, span),
    ...attention(model, layer, { prefill: tileRows === 0, span }),
    ...atPlace(model, "afterAttention", layer, span),
    ...keepTokens(model, layer, span),
    ...trimHeads(model, layer),
    ...linear(model, tileRows, output),
    ...addNormed(model, output, afterAttention),
    ...linear(model, tileRows, gateUp),
    ...linear(model, tileRows, down),
    ...addNormed(model, down, afterMlp),
  ];
}

const everyRow = (s: Sizes): number => s.rows;

/**
 * Token ids to the residual stream in `hidden`, keys and values into the cache, for every row: the layers below the
 * boundary, and the projection of the layer there, which fills the stores of all that follow. A narrow program makes that
 * layer's queries in the same product, because all its rows continue: a decoded token costs no dispatch more than in the
 * ordinary model.
 */
export async function lower(model: ModelContext, tileRows: number): Promise<Program<Sizes>> {
  const streamed = await streamedOf(model);
  const { boundary, reads } = model.cache.shape.layout;
  const dispatches = embedding(model);
  for (let layer = 0; layer < boundary; layer++) dispatches.push(...wholeLayer(model, tileRows, layer));
  if (boundary < reads.length) {
    const range = tileRows > 0 ? "all" : "keysValues";
    dispatches.push(...(streamed?.keepInputs(model) ?? []));
    dispatches.push(...projectRows(model, tileRows, boundary, range, ownRows(model, tileRows)));
  }
  return Program.build(model.gpu, tileRows === 0 ? "lower wide" : `lower ${tileRows}`, dispatches);
}

function embedding({ config, weights, activations, tokens, cache, spans }: ModelContext): AnyDispatch<Sizes>[] {
  const rows = recordsOf(cache.lists, spans.lower);
  return embedRows(weights.embedding, { rows, tokens, hidden: activations.hidden }, config.embeddingScale);
}

/** A layer's heads for every row, or the first ones. */
const projectRows = (model: ModelContext, tileRows: number, layer: number, range: HeadRange, rows = everyRow) =>
  projectQkv(model, tileRows, {
    layer,
    range,
    qkv: model.weights.layers[layer]!.qkv,
    rowAt: model.spans.lower.first,
    rows,
  });

/** A layer that fills no store makes queries only. */
const rangeOf = ({ cache }: ModelContext, layer: number): HeadRange =>
  cache.shape.layout.fills[layer]!.count > 0 ? "all" : "queries";

const wholeLayer = (model: ModelContext, tileRows: number, layer: number): AnyDispatch<Sizes>[] => [
  ...projectRows(model, tileRows, layer, rangeOf(model, layer)),
  ...rest(model, layer, tileRows, model.spans.lower),
];

/**
 * An ordinary model for chunks, with the caller's dispatches before each layer, as far as the input of `last`: by default
 * its last layer; as many as there are layers stands for the final norm.
 */
export function tapped(
  model: ModelContext,
  before: (layer: number) => readonly AnyDispatch<Sizes>[],
  last = model.config.layers - 1,
): Promise<Program<Sizes>> {
  const dispatches = embedding(model);
  for (let layer = 0; layer < last; layer++) dispatches.push(...before(layer), ...wholeLayer(model, 0, layer));
  return Program.build(model.gpu, "tapped", [...dispatches, ...before(last)]);
}

/** The layers from the boundary on, for the rows that continue. */
export async function upper(model: ModelContext, tileRows: number): Promise<Program<Sizes>> {
  const streamed = await streamedOf(model);
  const { gpu, config, weights, activations, cache, spans } = model;
  const { boundary } = cache.shape.layout;
  const span = spans.upper;
  const dispatches = [gatherRows(activations.hidden, activations.continuing, config.hiddenSize)];
  for (let layer = boundary; layer < config.layers; layer++) {
    const { qkv } = weights.layers[layer]!;
    const rows = layer === boundary ? (s: Sizes) => (s.queried ? 0 : s.rows) : everyRow;
    dispatches.push(
      ...(streamed?.makeStore(model, layer) ?? []),
      ...projectQkv(model, tileRows, { layer, range: "queries", qkv, rowAt: span.first, rows }),
      ...rest(model, layer, tileRows, span),
    );
  }
  return Program.build(gpu, tileRows === 0 ? "upper wide" : `upper ${tileRows}`, dispatches);
}

/** Logits of the rows listed in `wanted`. */
export function logits(model: ModelContext, tileRows: number): Promise<Program<Sizes>> {
  const { gpu, config, weights, activations } = model;
  const { hidden, wanted, normed } = activations;
  const norm = { x: hidden, rows: wanted, weight: weights.finalNorm, y: normed };
  const dispatches = [
    finalNorm(gpu, norm, config.hiddenSize, config.normEpsilon),
    ...linear(model, tileRows, outputProduct(model)),
  ];
  return Program.build(gpu, tileRows === 0 ? "logits wide" : `logits ${tileRows}`, dispatches);
}

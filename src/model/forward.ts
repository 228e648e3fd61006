// The transformer as a list of dispatches, read top to bottom. What a family has beside Llama, or in another way, families/ says.
//
// `lower` is what every row of a step runs, `upper` what only rows that continue run: the layers from the layout's boundary
// on. In an ordinary model all layers are lower ones.
import { type AnyDispatch, Program } from "../gpu/program.ts";
import { atEnd, atPlace } from "./layer/systems.ts";
import { recordsOf } from "../kv/lists.ts";
import { attention } from "./layer/attention.ts";
import { addNormed, linear, outputProduct, products, promptLinear, trimHeads } from "./layer/products.ts";
import { projectQkv } from "./layer/qkv.ts";
import { type HeadRange, ownRows } from "./layer/runs.ts";
import { embedRows, finalNorm, gatherRows } from "./ops/rows.ts";
import type { Linear } from "./ops/linear.ts";
import { isNarrow, nameOf, type RowClass } from "./ops/rowclass.ts";
import type { Sizes } from "./ops/sizes.ts";
import type { ModelContext, Span } from "./context.ts";

/** Of prompts that are streamed; null where none is. */
const streamedOf = async ({ cache }: ModelContext) => (cache.streamed ? await import("./layer/streamed.ts") : null);

/** What follows a layer's heads: attention, what systems add to it, and the two blocks' products. */
function rest(model: ModelContext, layer: number, most: RowClass, span: Span): AnyDispatch<Sizes>[] {
  const { output, gateUp, down } = products(model, layer);
  const { afterAttention, afterMlp } = model.weights.layers[layer]!;
  const multiply = span === model.spans.lower ? promptLinear : linear;
  return [
    ...atPlace(model, "afterHeads", layer, span),
    ...attention(model, layer, { rows: most, span }),
    ...atPlace(model, "afterAttention", layer, span),
    ...atEnd(model, layer, span),
    ...trimHeads(model, layer),
    ...multiply(model, most, output),
    ...addNormed(model, output, afterAttention),
    ...multiply(model, most, gateUp),
    ...multiply(model, most, down),
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
export async function lower(model: ModelContext, most: RowClass): Promise<Program<Sizes>> {
  const streamed = await streamedOf(model);
  const { boundary, reads } = model.cache.shape.layout;
  const dispatches = embedding(model);
  for (let layer = 0; layer < boundary; layer++) dispatches.push(...wholeLayer(model, most, layer));
  if (boundary < reads.length) {
    const range = isNarrow(most) ? "all" : "keysValues";
    dispatches.push(...(streamed?.keepInputs(model) ?? []));
    dispatches.push(...projectRows(model, most, boundary, range, ownRows(model, most)));
  }
  return Program.build(model.gpu, `lower ${nameOf(most)}`, dispatches);
}

function embedding({
  config,
  weights,
  activations: { hidden },
  tokens,
  cache,
  spans,
  pictures,
}: ModelContext): AnyDispatch<Sizes>[] {
  const rows = recordsOf(cache.lists, spans.lower);
  const seen = pictures ? [pictures.embed(rows, tokens, hidden)] : [];
  return [...embedRows(weights.embedding, { rows, tokens, hidden }, config.embeddingScale), ...seen];
}

/** A layer's heads for every row, or the first ones. */
const projectRows = (model: ModelContext, most: RowClass, layer: number, range: HeadRange, rows = everyRow) =>
  projectQkv(model, most, {
    layer,
    range,
    qkv: model.weights.layers[layer]!.qkv,
    rowAt: model.spans.lower.first,
    rows,
  });

/** A layer that fills no store makes queries only. */
const rangeOf = ({ cache }: ModelContext, layer: number): HeadRange =>
  cache.shape.layout.fills[layer]!.count > 0 ? "all" : "queries";

const wholeLayer = (model: ModelContext, most: RowClass, layer: number): AnyDispatch<Sizes>[] => [
  ...projectRows(model, most, layer, rangeOf(model, layer)),
  ...rest(model, layer, most, model.spans.lower),
];

/**
 * An ordinary model for chunks, with the caller's dispatches before each layer, as far as the input of `last`: by default
 * its last layer; as many as there are layers stands for the final norm. All products are of f32.
 */
export function tapped(
  given: ModelContext,
  before: (layer: number) => readonly AnyDispatch<Sizes>[],
  last = given.config.layers - 1,
): Promise<Program<Sizes>> {
  const model = { ...given, rounded: null };
  const dispatches = embedding(model);
  for (let layer = 0; layer < last; layer++) dispatches.push(...before(layer), ...wholeLayer(model, Infinity, layer));
  return Program.build(model.gpu, "tapped", [...dispatches, ...before(last)]);
}

/** The layers from the boundary on, for the rows that continue. */
export async function upper(model: ModelContext, most: RowClass): Promise<Program<Sizes>> {
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
      ...projectQkv(model, most, { layer, range: "queries", qkv, rowAt: span.first, rows }),
      ...rest(model, layer, most, span),
    );
  }
  return Program.build(gpu, `upper ${nameOf(most)}`, dispatches);
}

/** Logits of the rows listed in `wanted`. */
export function logits(model: ModelContext, most: RowClass): Promise<Program<Sizes>> {
  const { gpu, config, weights, activations } = model;
  const { hidden, wanted, normed } = activations;
  const final = { weight: weights.finalNorm, epsilon: config.normEpsilon };
  const product = outputProduct(model);
  const picked = (rows: Linear["rows"]) => [
    finalNorm(gpu, { x: hidden, from: wanted, norm: final, y: normed }, config.hiddenSize, rows),
    ...linear(model, most, { ...product, rows }),
  ];
  // A token decoded on a GPU costs a dispatch less: rows that lie in front are normalised within the product.
  const dispatches =
    isNarrow(most) && gpu.profile.kernels === "tiles"
      ? [
          ...linear(model, most, {
            ...product,
            x: hidden,
            norm: final,
            rows: (s) => (s.wantedFirst ? s.logitCount : 0),
          }),
          ...picked((s) => (s.wantedFirst ? 0 : s.logitCount)),
        ]
      : picked(product.rows);
  return Program.build(gpu, `logits ${nameOf(most)}`, dispatches);
}

// The transformer as a list of dispatches, read top to bottom. What a family has beside Llama, or in another way, families/ says.
//
// `lower` is what every row of a step runs, `upper` what only rows that continue run: the layers from the layout's boundary
// on. In an ordinary model all layers are lower ones.
import { UnsupportedError } from "../errors.ts";
import { type AnyDispatch, Program } from "../gpu/program.ts";
import type { Layout } from "../kv/layout.ts";
import { atPlace, keepTokens } from "./layer/systems.ts";
import { recordsOf } from "../kv/lists.ts";
import { attention } from "./layer/attention.ts";
import type { ModelConfig } from "./config.ts";
import { addNormed, linear, outputProduct, products, trimHeads } from "./layer/products.ts";
import { nameOrdinaryQkv, nameQkv, normPart } from "./layer/projection.ts";
import { projectQkv } from "./layer/qkv.ts";
import type { HeadRange } from "./layer/runs.ts";
import { embedRows, finalNorm, gatherRows } from "./ops/rows.ts";
import type { Sizes } from "./ops/sizes.ts";
import type { Layer, ModelContext, QkvProjection, Span, Weights } from "./context.ts";
import type { VectorPart, WeightLoader } from "./weights/loader.ts";

/** Names what the model needs. The loader fetches it afterwards, in file order. `teacher`: SwiftKV's ordinary projections too. */
export function nameWeights(
  loader: WeightLoader,
  config: ModelConfig,
  layout: Layout,
  { teacher = false } = {},
): Weights {
  const { hiddenSize: D, vocabulary: V, layers: L, swiftkv } = config;
  checkWidths(config);
  const embedding = loader.stacked([{ name: "model.embed_tokens.weight", rows: V }], D);
  // The file decides, as in transformers: fine-tunes save a head of their own under a flag that says there is none.
  const tied = !loader.has("lm_head.weight");
  const layers = Array.from({ length: L }, (_, layer) => nameLayer(loader, config, layout, layer));
  const ordinary = ({ qkv }: Layer, layer: number): QkvProjection =>
    layer < layout.boundary ? qkv : nameOrdinaryQkv(loader, config, layer);
  return {
    embedding,
    layers,
    finalNorm: loader.joined([scaledNorm(config, "model.norm.weight", config.logitScale)]),
    outputProjection: tied ? embedding : loader.stacked([{ name: "lm_head.weight", rows: V }], D),
    teacher: swiftkv && !teacher ? null : layers.map(ordinary),
    trained: swiftkv && { swiftkv, qkv: layers.map(({ qkv }) => qkv) },
    undistilled: false,
    fit: null,
  };
}

function nameLayer(loader: WeightLoader, config: ModelConfig, layout: Layout, layer: number): Layer {
  const { hiddenSize: D, intermediateSize: F, heads: H, fileHeadWidth } = config;
  const prefix = `model.layers.${layer}`;
  const mlp = `${prefix}.mlp`;
  const [gate, up, down] = [`${mlp}.gate_proj`, `${mlp}.up_proj`, `${mlp}.down_proj`];
  const output = `${prefix}.self_attn.o_proj`;
  const bias = (wanted: boolean, name: string) => (wanted ? loader.vector([`${name}.bias`], [D]) : undefined);
  return {
    qkv: nameQkv(loader, config, layout, layer),
    output: loader.stacked([{ name: `${output}.weight`, rows: D }], H * fileHeadWidth),
    outputBias: bias(config.outputBias, output),
    ...nameNorms(loader, config, prefix),
    gateUp: loader.interleaved(`${gate}.weight`, `${up}.weight`, F, D),
    gateUpBias: config.mlpBias ? loader.interleavedVector([`${gate}.bias`, `${up}.bias`], F) : undefined,
    down: loader.stacked([{ name: `${down}.weight`, rows: D }], F),
    downBias: bias(config.mlpBias, down),
  };
}

/** What a layer's norms before its feed-forward block and after both blocks are called. Llama's name is that of its place. */
const NORM_NAMES = {
  before: { mlp: "post_attention_layernorm", afterAttention: null, afterMlp: null },
  after: { mlp: null, afterAttention: "post_attention_layernorm", afterMlp: "post_feedforward_layernorm" },
  around: {
    mlp: "pre_feedforward_layernorm",
    afterAttention: "post_attention_layernorm",
    afterMlp: "post_feedforward_layernorm",
  },
} as const;

function nameNorms(loader: WeightLoader, config: ModelConfig, prefix: string) {
  const { mlp, afterAttention, afterMlp } = NORM_NAMES[config.norms];
  const norm = (name: string | null) =>
    name === null ? undefined : loader.joined([normPart(config, `${prefix}.${name}.weight`)]);
  return { mlpNorm: norm(mlp), afterAttention: norm(afterAttention), afterMlp: norm(afterMlp) };
}

function scaledNorm(config: ModelConfig, name: string, scale: number): VectorPart {
  const { as, ...part } = normPart(config, name);
  return { ...part, as: (values) => as(values).map((value) => scale * value) };
}

/** The kernels read activations four at a time. */
function checkWidths({ hiddenSize, intermediateSize }: ModelConfig): void {
  for (const [name, width] of Object.entries({ hidden_size: hiddenSize, intermediate_size: intermediateSize })) {
    if (width % 4 !== 0) throw new UnsupportedError(`config.json: ${name}; got ${width}, want a multiple of 4.`);
  }
}

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
export function lower(model: ModelContext, tileRows: number): Promise<Program<Sizes>> {
  const { boundary, reads } = model.cache.shape.layout;
  const dispatches = [embedding(model)];
  for (let layer = 0; layer < boundary; layer++) dispatches.push(...wholeLayer(model, tileRows, layer));
  if (boundary < reads.length)
    dispatches.push(...projectRows(model, tileRows, boundary, tileRows > 0 ? "all" : "keysValues"));
  return Program.build(model.gpu, tileRows === 0 ? "lower wide" : `lower ${tileRows}`, dispatches);
}

function embedding({ config, weights, activations, tokens, cache, spans }: ModelContext): AnyDispatch<Sizes> {
  const rows = recordsOf(cache.lists, spans.lower);
  return embedRows(weights.embedding, { rows, tokens, hidden: activations.hidden }, config.embeddingScale);
}

/** A layer's heads for every row. */
const projectRows = (model: ModelContext, tileRows: number, layer: number, range: HeadRange) =>
  projectQkv(model, tileRows, {
    layer,
    range,
    qkv: model.weights.layers[layer]!.qkv,
    rowAt: model.spans.lower.first,
    rows: everyRow,
  });

const wholeLayer = (model: ModelContext, tileRows: number, layer: number): AnyDispatch<Sizes>[] => [
  ...projectRows(model, tileRows, layer, "all"),
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
  const dispatches = [embedding(model)];
  for (let layer = 0; layer < last; layer++) dispatches.push(...before(layer), ...wholeLayer(model, 0, layer));
  return Program.build(model.gpu, "tapped", [...dispatches, ...before(last)]);
}

/** The layers from the boundary on, for the rows that continue. */
export function upper(model: ModelContext, tileRows: number): Promise<Program<Sizes>> {
  const { gpu, config, weights, activations, cache, spans } = model;
  const { boundary } = cache.shape.layout;
  const span = spans.upper;
  const dispatches = [gatherRows(activations.hidden, activations.continuing, config.hiddenSize)];
  for (let layer = boundary; layer < config.layers; layer++) {
    const { qkv } = weights.layers[layer]!;
    const rows = layer === boundary ? (s: Sizes) => (s.queried ? 0 : s.rows) : everyRow;
    dispatches.push(
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

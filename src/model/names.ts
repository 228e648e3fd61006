// The weights of a model by their names in a checkpoint.
import { UnsupportedError } from "../errors.ts";
import type { Layout } from "../kv/layout.ts";
import type { ModelConfig } from "./config.ts";
import type { Layer, QkvProjection, Weights } from "./context.ts";
import { nameOrdinaryQkv, nameQkv, normPart } from "./layer/projection.ts";
import type { VectorPart, WeightLoader } from "./weights/loader.ts";

/** `nameWeights`, and what a model that sees needs for that. */
export async function nameAll(
  loader: WeightLoader,
  config: ModelConfig,
  layout: Layout,
  options: { teacher?: boolean } = {},
): Promise<Weights> {
  const weights = nameWeights(loader, config, layout, options);
  if (!config.vision) return weights;
  const { nameVision } = await import("./vision/weights.ts");
  return { ...weights, vision: nameVision(loader, config.vision, config.hiddenSize) };
}

/** Names what the model needs. The loader fetches it afterwards, in file order. `teacher`: SwiftKV's ordinary projections too. */
export function nameWeights(
  loader: WeightLoader,
  config: ModelConfig,
  layout: Layout,
  { teacher = false } = {},
): Weights {
  const { hiddenSize: D, vocabulary: V, layers: L, swiftkv } = config;
  checkWidths(config);
  const table = (name: string) => loader.stacked([{ name, rows: V }], D, { splits: true });
  const embedding = table("model.embed_tokens.weight");
  // The file decides, as in transformers: fine-tunes save a head of their own under a flag that says there is none.
  const tied = !loader.has("lm_head.weight");
  const layers = Array.from({ length: L }, (_, layer) => nameLayer(loader, config, layout, layer));
  const ordinary = ({ qkv }: Layer, layer: number): QkvProjection =>
    layer < layout.boundary ? qkv : nameOrdinaryQkv(loader, config, layer);
  return {
    embedding,
    layers,
    finalNorm: loader.joined([scaledNorm(config, "model.norm.weight", config.logitScale)]),
    outputProjection: tied ? embedding : table("lm_head.weight"),
    teacher: swiftkv && !teacher ? null : layers.map(ordinary),
    trained: swiftkv && { swiftkv, qkv: layers.map(({ qkv }) => qkv) },
    undistilled: false,
    fit: null,
    vision: null,
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
    output: loader.stacked([{ name: `${output}.weight`, rows: D }], H * fileHeadWidth, { splits: true }),
    outputBias: bias(config.outputBias, output),
    ...nameNorms(loader, config, prefix),
    gateUp: loader.interleaved(`${gate}.weight`, `${up}.weight`, F, D),
    gateUpBias: config.mlpBias ? loader.interleavedVector([`${gate}.bias`, `${up}.bias`], F) : undefined,
    down: loader.stacked([{ name: `${down}.weight`, rows: D }], F, { splits: true }),
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

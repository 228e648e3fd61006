// The transformer of the Llama family as a list of dispatches, read top to bottom.
import { UnsupportedError } from "../errors.ts";
import { type AnyDispatch, Program } from "../gpu/program.ts";
import { attention, ropeIntoCache } from "./attention.ts";
import { inverseFrequencies, type ModelConfig } from "./config.ts";
import { embedRows, finalNorm, gemm, gemv, type Linear, type Sizes } from "./ops.ts";
import type { Layer, Parts, Weights } from "./parts.ts";
import type { WeightLoader } from "./weights.ts";

/** Names what the model needs. The loader fetches it afterwards, in file order. */
export function nameWeights(loader: WeightLoader, config: ModelConfig): Weights {
  const { hiddenSize: D, vocabulary: V, layers } = config;
  checkWidths(config);
  const embedding = loader.stacked(["model.embed_tokens.weight"], [V], D);
  const tied = config.tiedEmbeddings || !loader.has("lm_head.weight");
  return {
    embedding,
    layers: Array.from({ length: layers }, (_, layer) => nameLayer(loader, config, `model.layers.${layer}`)),
    finalNorm: loader.vector(["model.norm.weight"], [D]),
    head: tied ? embedding : loader.stacked(["lm_head.weight"], [V], D),
  };
}

function nameLayer(loader: WeightLoader, config: ModelConfig, prefix: string): Layer {
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headWidth: E } = config;
  const attn = `${prefix}.self_attn`;
  const mlp = `${prefix}.mlp`;
  const bias = (wanted: boolean, names: string[], lengths: number[], interleave = false) =>
    wanted
      ? loader.vector(
          names.map((name) => `${name}.bias`),
          lengths,
          interleave,
        )
      : undefined;
  const projections = ["q", "k", "v"].map((which) => `${attn}.${which}_proj`);
  const widths = [H * E, G * E, G * E];
  const pair = [`${mlp}.gate_proj`, `${mlp}.up_proj`];
  return {
    attentionNorm: loader.vector([`${prefix}.input_layernorm.weight`], [D]),
    qkv: loader.stacked(
      projections.map((name) => `${name}.weight`),
      widths,
      D,
    ),
    qkvBias: bias(config.qkvBias, projections, widths),
    headNorm: config.headNorm ? loader.vector([`${attn}.q_norm.weight`, `${attn}.k_norm.weight`], [E, E]) : undefined,
    output: loader.stacked([`${attn}.o_proj.weight`], [D], H * E),
    outputBias: bias(config.outputBias, [`${attn}.o_proj`], [D]),
    mlpNorm: loader.vector([`${prefix}.post_attention_layernorm.weight`], [D]),
    gateUp: loader.interleaved(`${pair[0]}.weight`, `${pair[1]}.weight`, F, D),
    gateUpBias: bias(config.mlpBias, pair, [F, F], true),
    down: loader.stacked([`${mlp}.down_proj.weight`], [D], F),
    downBias: bias(config.mlpBias, [`${mlp}.down_proj`], [D]),
  };
}

/** The kernels read activations four at a time. */
function checkWidths({ hiddenSize, intermediateSize, headWidth }: ModelConfig): void {
  const widths = {
    hidden_size: hiddenSize,
    intermediate_size: intermediateSize,
  };
  if (headWidth % 8 !== 0) throw new UnsupportedError(`config.json: head_dim; got ${headWidth}, want a multiple of 8.`);
  for (const [name, width] of Object.entries(widths)) {
    if (width % 4 !== 0) throw new UnsupportedError(`config.json: ${name}; got ${width}, want a multiple of 4.`);
  }
}

/** A product, by weight bytes (up to `tileRows` rows) or by arithmetic (tileRows 0: any number). */
export const linear = ({ gpu, activations, variants }: Parts, tileRows: number, what: Linear): AnyDispatch<Sizes>[] =>
  tileRows > 0 ? gemv(gpu, what, tileRows, variants.gemv(what)) : gemm(gpu, what, activations, variants.gemm(what));

/** The four products of a layer. */
export function products(
  { config, weights, activations }: Parts,
  index: number,
): Record<"qkv" | "output" | "gateUp" | "down", Linear> {
  const layer = weights.layers[index]!;
  const { hidden, qkv, attended, activated } = activations;
  const epsilon = config.normEpsilon;
  const label = (what: string) => `layer ${index} ${what}`;
  const rows = (s: Sizes) => s.rows;
  return {
    qkv: {
      label: label("qkv"),
      matrix: layer.qkv,
      bias: layer.qkvBias,
      norm: { weight: layer.attentionNorm, epsilon },
      x: hidden,
      y: qkv,
      epilogue: "store",
      rows,
    },
    output: {
      label: label("output"),
      matrix: layer.output,
      bias: layer.outputBias,
      x: attended,
      y: hidden,
      epilogue: "add",
      rows,
    },
    gateUp: {
      label: label("gate·up"),
      matrix: layer.gateUp,
      bias: layer.gateUpBias,
      norm: { weight: layer.mlpNorm, epsilon },
      x: hidden,
      y: activated,
      epilogue: "swiglu",
      rows,
    },
    down: {
      label: label("down"),
      matrix: layer.down,
      bias: layer.downBias,
      x: activated,
      y: hidden,
      epilogue: "add",
      rows,
    },
  };
}

/** The output projection of the rows whose logits are wanted. */
export const headProduct = ({ weights, activations: { normed, logits } }: Parts): Linear => ({
  label: "logits",
  matrix: weights.head,
  x: normed,
  y: logits,
  epilogue: "store",
  rows: (s) => s.logitRows,
});

/** Embedding and all layers: token ids in `rows` to the residual stream in `hidden`, keys and values into the cache. */
export function forward(parts: Parts, tileRows: number): Promise<Program<Sizes>> {
  const { gpu, weights, activations, tokens } = parts;
  const { rows, hidden } = activations;
  const steps = [embedRows(weights.embedding, { rows, tokens, hidden })];
  for (const [i, { headNorm }] of weights.layers.entries()) {
    const { qkv, output, gateUp, down } = products(parts, i);
    steps.push(
      ...linear(parts, tileRows, qkv),
      ...ropeIntoCache(parts, i, headNorm),
      ...attention(parts, i, { prefill: tileRows === 0 }),
      ...linear(parts, tileRows, output),
      ...linear(parts, tileRows, gateUp),
      ...linear(parts, tileRows, down),
    );
  }
  return Program.build(gpu, tileRows === 0 ? "forward wide" : `forward ${tileRows}`, steps);
}

/** Logits of the rows listed in `logitRows`. */
export function logits(parts: Parts, tileRows: number): Promise<Program<Sizes>> {
  const { gpu, config, weights, activations } = parts;
  const { hidden, logitRows, normed } = activations;
  const steps = [
    finalNorm(
      gpu,
      { x: hidden, rows: logitRows, weight: weights.finalNorm, y: normed },
      config.hiddenSize,
      config.normEpsilon,
    ),
    ...linear(parts, tileRows, headProduct(parts)),
  ];
  return Program.build(gpu, tileRows === 0 ? "logits wide" : `logits ${tileRows}`, steps);
}

/** (cos, sin) of every position, computed in float64: WGSL's own sin and cos are good to 2⁻¹¹ only. */
export function ropeTable(config: ModelConfig, positions: number): Float32Array<ArrayBuffer> {
  const frequencies = inverseFrequencies(config);
  const table = new Float32Array(positions * config.headWidth);
  for (let position = 0; position < positions; position++) {
    for (const [i, frequency] of frequencies.entries()) {
      const at = position * config.headWidth + 2 * i;
      table[at] = Math.cos(position * frequency);
      table[at + 1] = Math.sin(position * frequency);
    }
  }
  return table;
}

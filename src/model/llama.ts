// The transformer of the Llama family as a list of dispatches, read top to bottom.
import { UnsupportedError } from "../errors.ts";
import { type AnyDispatch, Program } from "../gpu/program.ts";
import { attention, recordsOf } from "./attention.ts";
import { inverseFrequencies, type ModelConfig } from "./config.ts";
import { type HeadRange, nameHeads, nameSwiftkvHeads, projectHeads } from "./heads.ts";
import { embedRows, finalNorm, gatherRows, gemm, gemv, type Linear, type Sizes } from "./ops.ts";
import type { Heads, Layer, Parts, Span, Weights } from "./parts.ts";
import type { WeightLoader } from "./weights.ts";

/** Names what the model needs. The loader fetches it afterwards, in file order. `teacher`: SwiftKV's ordinary heads too. */
export function nameWeights(loader: WeightLoader, config: ModelConfig, { teacher = false } = {}): Weights {
  const { hiddenSize: D, vocabulary: V, layers: L, swiftkv } = config;
  checkWidths(config);
  const embedding = loader.stacked(["model.embed_tokens.weight"], [V], D);
  const tied = config.tiedEmbeddings || !loader.has("lm_head.weight");
  const layers = Array.from({ length: L }, (_, layer) => nameLayer(loader, config, layer));
  const ordinary = ({ heads }: Layer, layer: number): Heads =>
    layer < (swiftkv?.layers ?? L) ? heads : nameHeads(loader, config, layer);
  return {
    embedding,
    layers,
    finalNorm: loader.vector(["model.norm.weight"], [D]),
    head: tied ? embedding : loader.stacked(["lm_head.weight"], [V], D),
    teacher: swiftkv && !teacher ? null : layers.map(ordinary),
    trained: swiftkv && { swiftkv, heads: layers.map(({ heads }) => heads) },
    undistilled: false,
  };
}

function nameLayer(loader: WeightLoader, config: ModelConfig, layer: number): Layer {
  const { hiddenSize: D, intermediateSize: F, heads: H, headWidth: E, swiftkv } = config;
  const prefix = `model.layers.${layer}`;
  const mlp = `${prefix}.mlp`;
  const bias = (wanted: boolean, names: string[], lengths: number[], interleave = false) =>
    wanted
      ? loader.vector(
          names.map((name) => `${name}.bias`),
          lengths,
          interleave,
        )
      : undefined;
  const pair = [`${mlp}.gate_proj`, `${mlp}.up_proj`];
  const output = `${prefix}.self_attn.o_proj`;
  return {
    heads: (swiftkv && layer >= swiftkv.layers ? nameSwiftkvHeads : nameHeads)(loader, config, layer),
    output: loader.stacked([`${output}.weight`], [D], H * E),
    outputBias: bias(config.outputBias, [output], [D]),
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

/** The products of a layer after attention. */
export function products(
  { config, weights, activations }: Parts,
  index: number,
): Record<"output" | "gateUp" | "down", Linear> {
  const layer = weights.layers[index]!;
  const { hidden, attended, activated } = activations;
  const epsilon = config.normEpsilon;
  const label = (what: string) => `layer ${index} ${what}`;
  const rows = (s: Sizes) => s.rows;
  return {
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

/** Attention and the products after it: what follows a layer's heads. */
function rest(parts: Parts, layer: number, tileRows: number, span: Span): AnyDispatch<Sizes>[] {
  const { output, gateUp, down } = products(parts, layer);
  return [
    ...attention(parts, layer, { prefill: tileRows === 0, span }),
    ...[output, gateUp, down].flatMap((product) => linear(parts, tileRows, product)),
  ];
}

const everyRow = (s: Sizes): number => s.rows;

/**
 * What every row of a step runs: token ids to the residual stream in `hidden`, keys and values into the cache. With
 * SwiftKV that is layers 0 … K−1 and the projection for all later ones. In layer K a single product makes its queries
 * too, where all rows go on: a decoded token costs no dispatch more than in the ordinary model.
 */
export function lower(parts: Parts, tileRows: number): Promise<Program<Sizes>> {
  const { gpu, config, weights, activations, tokens, store, spans } = parts;
  const span = spans.lower;
  const own = config.swiftkv?.layers ?? config.layers;
  const heads = (layer: number, range: HeadRange) =>
    projectHeads(parts, tileRows, {
      layer,
      range,
      heads: weights.layers[layer]!.heads,
      rowAt: span.first,
      rows: everyRow,
    });
  const steps = [embedRows(weights.embedding, { rows: recordsOf(store, span), tokens, hidden: activations.hidden })];
  for (let layer = 0; layer < own; layer++) steps.push(...heads(layer, "all"), ...rest(parts, layer, tileRows, span));
  if (config.swiftkv) steps.push(...heads(own, tileRows > 0 ? "all" : "keysValues"));
  return Program.build(gpu, tileRows === 0 ? "lower wide" : `lower ${tileRows}`, steps);
}

/** SwiftKV's layers K … L−1, for the rows whose logits are wanted. */
export function upper(parts: Parts, tileRows: number): Promise<Program<Sizes>> {
  const { gpu, config, weights, activations, spans } = parts;
  const span = spans.upper;
  const own = config.swiftkv!.layers;
  const steps = [gatherRows(activations.hidden, activations.logitRows, config.hiddenSize)];
  for (let layer = own; layer < config.layers; layer++) {
    const { heads } = weights.layers[layer]!;
    const rows = layer === own ? (s: Sizes) => (s.queried ? 0 : s.rows) : everyRow;
    steps.push(
      ...projectHeads(parts, tileRows, { layer, range: "queries", heads, rowAt: span.first, rows }),
      ...rest(parts, layer, tileRows, span),
    );
  }
  return Program.build(gpu, tileRows === 0 ? "upper wide" : `upper ${tileRows}`, steps);
}

/** Logits of the rows listed in `logitRows`; after SwiftKV's later layers those are the first rows. */
export function logits(parts: Parts, tileRows: number): Promise<Program<Sizes>> {
  const { gpu, config, weights, activations } = parts;
  const { hidden, logitRows, normed } = activations;
  const steps = [
    finalNorm(
      gpu,
      { x: hidden, rows: config.swiftkv ? null : logitRows, weight: weights.finalNorm, y: normed },
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

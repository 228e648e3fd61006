// What a family of models is: the fields of config.json that it has beyond those of all, and what follows from them.
import type { Json, Reader } from "../reader.ts";
import { readRotation, type RopeTensors, type Rotation } from "../rotation.ts";

/** Sizes that every family has. Letters as in docs/kernels.md. */
export interface Sizes {
  /** D */
  hiddenSize: number;
  /** F */
  intermediateSize: number;
  /** L */
  layers: number;
  /** H */
  heads: number;
  /** G */
  kvHeads: number;
  /** Width of a head in the file. */
  fileHeadWidth: number;
  /** Channels of a head that are turned by position, the first ones. */
  turnedWidth: number;
  /** V */
  vocabulary: number;
  /** Tokens the model was trained for. */
  context: number;
}

/** Where a layer's norms are: before each of its two blocks, after each, before the residual takes it up, or both. */
export type NormPlaces = "before" | "after" | "around";

/** How a model differs from Llama. */
export interface Traits {
  normEpsilon: number;
  /** Added to the weights of norms while loading. */
  normOffset: number;
  norms: NormPlaces;
  /** The gate of the feed-forward block. */
  activation: "silu" | "gelu";
  /** Bias on q, k, v. */
  qkvBias: boolean;
  /** Bias on the attention output. */
  outputBias: boolean;
  mlpBias: boolean;
  /** RMSNorm on q and k before the rotation: of each head by itself, or of all heads together. */
  headNorm: boolean;
  allHeadsNorm: boolean;
  /** What embeddings are multiplied by. */
  embeddingScale: number;
  /** What q·k is multiplied by. */
  attentionScale: number;
  /** What the final norm's weights are multiplied by. */
  logitScale: number;
  /** Keys further back than this are not seen; 0 = all are. By layer. */
  windows: readonly number[];
  /** How queries and keys are turned, and which of these each layer has. */
  rotations: readonly Rotation[];
  rotationOf: readonly number[];
}

export interface Family {
  /** Class and `model_type` in transformers. */
  architecture: string;
  type: string;
  /** Has a public SwiftKV form. */
  swiftkv?: boolean;
  /** What transformers assumes of fields that are absent. */
  defaults?: Json;
  /** Throws where config.json asks for what we do not have. */
  traits(config: Reader, sizes: Sizes, tensors: RopeTensors): Partial<Traits>;
}

/** A value for each layer. */
export const perLayer = <T>(layers: number, of: (layer: number) => T): T[] =>
  Array.from({ length: layers }, (_, layer) => of(layer));

/** What a Llama without any option is. */
export const plainTraits = (config: Reader, sizes: Sizes, tensors: RopeTensors): Traits => ({
  normEpsilon: config.positive("rms_norm_eps", 1e-6),
  normOffset: 0,
  norms: "before",
  activation: "silu",
  qkvBias: false,
  outputBias: false,
  mlpBias: config.flag("mlp_bias"),
  headNorm: false,
  allHeadsNorm: false,
  embeddingScale: 1,
  attentionScale: 1 / Math.sqrt(sizes.fileHeadWidth),
  logitScale: 1,
  windows: perLayer(sizes.layers, () => 0),
  rotations: [readRotation(config, sizes.turnedWidth, tensors)],
  rotationOf: perLayer(sizes.layers, () => 0),
});

/** `attention_bias`, and what src/io/formats/translate.ts found in a GGUF: files have one of the two without the other. */
export const attentionBiases = (config: Reader): Pick<Traits, "qkvBias" | "outputBias"> => ({
  qkvBias: config.flag("attention_bias"),
  outputBias: config.flag("attention_output_bias", config.flag("attention_bias")),
});

type LayerRule = (layer: number) => boolean;

/** Layers that see a window: by `layer_types` where the file has them, else those that `slides` names. */
export function slidingLayers(config: Reader, layers: number, slides: LayerRule): boolean[] {
  const types = config.list("layer_types");
  return perLayer(layers, (layer) => (types.length > 0 ? types[layer] === "sliding_attention" : slides(layer)));
}

/** `sliding_window` in the layers that have one. A window that no text of the trained length exceeds is none. */
export function windowsOf(config: Reader, { layers, context }: Sizes, slides: LayerRule): number[] {
  if (!config.has("sliding_window")) return perLayer(layers, () => 0);
  const window = config.count("sliding_window", 1 << 24);
  const most = window >= context ? 0 : window;
  return slidingLayers(config, layers, slides).map((isSliding) => (isSliding ? most : 0));
}

// The part of config.json that says how a model of Idefics3's kind sees: a tower of SigLIP's kind, then squares of patches
// that a projection brings to the language model's width. Preprocessing is in src/pictures/.
import { UnsupportedError } from "../../errors.ts";
import type { Json, Reader } from "../reader.ts";

export interface VisionConfig {
  /** Width of the tower. */
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  normEpsilon: number;
  /** Pixels along each side of a patch, and patches along each side of a tile. */
  patch: number;
  side: number;
  /** Patches along each side of the squares that become one row of the language model. */
  squeeze: number;
  /** Rows of the language model that a tile becomes. */
  tileTokens: number;
  /** Token that stands for such a row in a prompt. */
  imageToken: number;
  /** Of red, green and blue between 0 and 1: what is taken off, and what the rest is divided by. */
  mean: readonly number[];
  deviation: readonly number[];
}

/** Widest head of the tower's attention. */
const WIDEST_HEAD = 128;

/** `preprocessor`: preprocessor_config.json. Throws UnsupportedError for what the kernels do not have. */
export function visionOf(config: Reader, preprocessor: Json): VisionConfig {
  const tower = config.object("vision_config").withDefaults(DEFAULTS);
  const hiddenSize = tower.count("hidden_size", 1 << 14);
  const heads = tower.count("num_attention_heads", 1 << 8);
  const patch = tower.count("patch_size", 1 << 8);
  const side = tower.count("image_size", 1 << 14) / patch;
  const squeeze = config.count("scale_factor", 64, 2);
  const refuse = (field: string, got: unknown, want: string): never => {
    throw new UnsupportedError(`config.json: vision_config.${field}; got ${String(got)}, want ${want}.`);
  };
  const headWidth = hiddenSize / heads;
  if (headWidth % 4 !== 0 || headWidth > WIDEST_HEAD)
    refuse("num_attention_heads", heads, `heads of a multiple of 4 channels, at most ${WIDEST_HEAD}`);
  if (!Number.isInteger(side / squeeze)) refuse("image_size", side * patch, `a multiple of ${patch * squeeze}`);
  if (patch % 2 !== 0) refuse("patch_size", patch, "an even number");
  const act = tower.text("hidden_act", "gelu_pytorch_tanh");
  if (act !== "gelu_pytorch_tanh") refuse("hidden_act", act, "gelu_pytorch_tanh");
  checkTile(preprocessor, side * patch);
  return {
    hiddenSize,
    intermediateSize: tower.count("intermediate_size", 1 << 16),
    layers: tower.count("num_hidden_layers", 1 << 8),
    heads,
    normEpsilon: tower.positive("layer_norm_eps"),
    patch,
    side,
    squeeze,
    tileTokens: (side / squeeze) ** 2,
    imageToken: config.whole("image_token_id", 128257),
    mean: threeOf(preprocessor["image_mean"]),
    deviation: threeOf(preprocessor["image_std"]),
  };
}

/** Tiles are as large as what the tower was made for: positions are those of the whole table. */
function checkTile(preprocessor: Json, want: number): void {
  const given = preprocessor["max_image_size"] as Json | undefined;
  const got = given?.["longest_edge"] ?? 364;
  if (got === want) return;
  throw new UnsupportedError(
    `preprocessor_config.json: max_image_size.longest_edge; got ${String(got)}, want ${want}, the image_size of vision_config.`,
  );
}

/** What transformers assumes of fields that are absent. */
const DEFAULTS: Json = {
  hidden_size: 1152,
  intermediate_size: 3072,
  num_hidden_layers: 12,
  num_attention_heads: 16,
  image_size: 224,
  patch_size: 32,
  hidden_act: "gelu_pytorch_tanh",
  layer_norm_eps: 1e-6,
};

/** A number for each colour; ½ of what is absent. */
const threeOf = (value: unknown): number[] =>
  Array.isArray(value) && value.length === 3 && value.every((each) => typeof each === "number")
    ? (value as number[])
    : [0.5, 0.5, 0.5];

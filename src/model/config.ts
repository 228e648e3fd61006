// config.json -> ModelConfig. Everything the engine relies on is checked here, once; what differs by family in families/.
import type { SwiftKv } from "../api.ts";
import { alignUp, ModelError, UnsupportedError } from "../errors.ts";
import { shapeProblem } from "../kv/systems/swiftkv/layout.ts";
import type { Sizes, Traits } from "./families/family.ts";
import { plainTraits } from "./families/family.ts";
import { familyOf } from "./families/index.ts";
import type { VisionConfig } from "./families/vision.ts";
import { type Json, Reader } from "./reader.ts";
import { fetchScalings, type RopeTensors, turnedWidth } from "./rotation.ts";

export interface ModelConfig extends Sizes, Traits {
  architecture: string;
  /** E: `fileHeadWidth` padded to what kernels and pages take. */
  headWidth: number;
  tiedEmbeddings: boolean;
  /** SwiftKV with fewer own layers than L, else null. */
  swiftkv: SwiftKv | null;
  /** How it sees pictures; null: it does not. */
  vision: VisionConfig | null;
}

/** Values of a head fill whole words of a page, of 4 bits each too. */
const HEAD_ALIGN = 8;

/** Throws UnsupportedError for an architecture or option we do not have, ModelError for a malformed file. */
export async function parseConfig(
  json: Json,
  options: { rope?: RopeTensors; swiftkv?: boolean; preprocessor?: Json | null } = {},
): Promise<ModelConfig> {
  const whole = new Reader(json);
  const text = textConfig(whole);
  const { architecture, family } = await familyOf(text);
  const config = text.withDefaults(family.defaults ?? {});
  await fetchScalings(config);
  const sizes = readSizes(config);
  const rope = options.rope ?? {};
  const traits = { ...plainTraits(config, sizes, rope), ...family.traits(config, sizes, rope) };
  checkActivation(config, traits);
  return {
    architecture,
    ...sizes,
    ...traits,
    headWidth: alignUp(sizes.fileHeadWidth, HEAD_ALIGN),
    tiedEmbeddings: config.flag("tie_word_embeddings", false),
    swiftkv: options.swiftkv === false ? null : swiftkvOf(config, sizes.layers, architecture),
    vision: options.preprocessor ? (await import("./families/vision.ts")).visionOf(whole, options.preprocessor) : null,
  };
}

/** Models that also read images keep what their language model is in an object of its own. */
const textConfig = (config: Reader): Reader => (config.has("text_config") ? config.object("text_config") : config);

function readSizes(config: Reader): Sizes {
  const hiddenSize = config.count("hidden_size", 1 << 16);
  const heads = config.count("num_attention_heads", 1 << 10);
  const kvHeads = config.count("num_key_value_heads", heads, heads);
  const fileHeadWidth = config.count("head_dim", 256, Math.floor(hiddenSize / heads));
  if (heads % kvHeads !== 0) {
    throw new ModelError(
      `config.json: num_key_value_heads; got ${kvHeads}, want a divisor of num_attention_heads ${heads}.`,
    );
  }
  if (fileHeadWidth % 2 !== 0 || (!config.has("head_dim") && hiddenSize % heads !== 0)) {
    throw new ModelError(`config.json: head_dim; got ${hiddenSize}/${heads}, want an even whole number.`);
  }
  if (fileHeadWidth % 4 !== 0)
    throw new UnsupportedError(`config.json: head_dim; got ${fileHeadWidth}, want a multiple of 4.`);
  return {
    hiddenSize,
    intermediateSize: config.count("intermediate_size", 1 << 18),
    layers: config.count("num_hidden_layers", 1 << 10),
    heads,
    kvHeads,
    fileHeadWidth,
    turnedWidth: turnedWidth(config, fileHeadWidth),
    vocabulary: config.count("vocab_size", 1 << 22),
    context: config.count("max_position_embeddings", 1 << 24, 2048),
  };
}

const ACTIVATIONS = { silu: "silu", gelu: "gelu_pytorch_tanh" } as const;

function checkActivation(config: Reader, { activation }: Traits): void {
  const field = config.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  const want = ACTIVATIONS[activation];
  const got = config.text(field, want);
  if (got !== want) throw new UnsupportedError(`config.json: ${field}; got "${got}", want "${want}".`);
}

/** Optional fields have the defaults of the public training code; `swiftkv` itself is true where the type says so. */
function swiftkvOf(config: Reader, layers: number, architecture: string): SwiftKv | null {
  const named = architecture.includes("SwiftKV");
  if (!config.flag("swiftkv", named)) return null;
  if (!named) {
    throw new ModelError(
      `config.json: swiftkv; got true with architecture ${architecture}, want a SwiftKV one such as LlamaSwiftKVForCausalLM. Is config.json from this checkpoint?`,
    );
  }
  const own = config.whole("num_key_value_layers", layers);
  const shape = { layers: own, group: config.count("key_value_group_size", 1 << 10, 1) };
  const problem = shapeProblem(shape, layers);
  if (!problem) return own === layers ? null : shape;
  const field = problem.field === "layers" ? "num_key_value_layers" : "key_value_group_size";
  throw new ModelError(`config.json: ${field}; ${problem.text}. Is config.json from this checkpoint?`);
}

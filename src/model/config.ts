// config.json -> ModelConfig. Everything the engine relies on is checked here, once.
import type { SwiftKv } from "../api.ts";
import { ModelError, UnsupportedError } from "../errors.ts";
import { shapeProblem } from "../kv/systems/swiftkv/layout.ts";

export type RopeScaling =
  | { kind: "default" }
  | { kind: "linear"; factor: number }
  | { kind: "llama3"; factor: number; lowFrequency: number; highFrequency: number; originalContext: number }
  /** `attention`: what (cos, sin) are multiplied by, which scales the logits by its square. */
  | { kind: "yarn"; factor: number; turns: Turns; originalContext: number; attention: number }
  /** Divisors per frequency, as a GGUF file carries them. */
  | { kind: "divisors"; divisors: readonly number[] };

/** Frequencies that turn more often than `fast` within the original context are kept, those below `slow` are stretched. */
interface Turns {
  fast: number;
  slow: number;
  /** The ramp between begins and ends at whole frequencies. */
  whole: boolean;
}

export interface ModelConfig {
  architecture: string;
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
  /** E */
  headWidth: number;
  /** V */
  vocabulary: number;
  /** Tokens the model was trained for. */
  context: number;
  normEpsilon: number;
  ropeTheta: number;
  ropeScaling: RopeScaling;
  tiedEmbeddings: boolean;
  /** Bias on q, k, v. */
  qkvBias: boolean;
  /** Bias on the attention output. */
  outputBias: boolean;
  mlpBias: boolean;
  /** RMSNorm on each head of q and k before the rotation (Qwen3). */
  headNorm: boolean;
  /** Keys further back than this are not seen; 0 = all are. By layer. */
  windows: readonly number[];
  /** SwiftKV with fewer own layers than L, else null. */
  swiftkv: SwiftKv | null;
}

interface Family {
  qkvBias: (config: Reader) => boolean;
  outputBias: (config: Reader) => boolean;
  headNorm: boolean;
}

const LLAMA: Family = {
  qkvBias: (c) => c.flag("attention_bias"),
  // `attention_output_bias` is what src/io/formats/translate.ts found in a GGUF.
  outputBias: (c) => c.flag("attention_output_bias", c.flag("attention_bias")),
  headNorm: false,
};
const QWEN2: Family = { qkvBias: () => true, outputBias: () => false, headNorm: false };
const QWEN3: Family = { ...LLAMA, headNorm: true };

/** Llama 1–3.2, TinyLlama, SmolLM, SmolLM2, Mistral, Qwen2, Qwen2.5, Qwen3: one forward pass, four sets of options, and SwiftKV. */
const FAMILIES: Readonly<Record<string, Family>> = {
  LlamaForCausalLM: LLAMA,
  MistralForCausalLM: { qkvBias: () => false, outputBias: () => false, headNorm: false },
  Qwen2ForCausalLM: QWEN2,
  Qwen3ForCausalLM: QWEN3,
  LlamaSwiftKVForCausalLM: LLAMA,
  Qwen2SwiftKVForCausalLM: QWEN2,
  Qwen3SwiftKVForCausalLM: QWEN3,
};

type Json = Readonly<Record<string, unknown>>;

/** Typed access to the fields; every complaint names the field. */
class Reader {
  readonly #json: Json;
  readonly #path: string;

  constructor(json: Json, path = "") {
    this.#json = json;
    this.#path = path;
  }

  #bad(name: string, want: string): never {
    throw new ModelError(
      `config.json: ${this.#path}${name}; got ${JSON.stringify(this.#json[name])}, want ${want}. Is the file complete and from this checkpoint?`,
    );
  }

  has(name: string): boolean {
    return this.#json[name] !== undefined && this.#json[name] !== null;
  }

  /** A positive finite number, or `fallback` where the field is absent. */
  positive(name: string, fallback?: number): number {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) this.#bad(name, "a positive number");
    return value;
  }

  count(name: string, most: number, fallback?: number): number {
    const value = this.positive(name, fallback);
    if (!Number.isInteger(value) || value > most) this.#bad(name, `a whole number from 1 to ${most}`);
    return value;
  }

  /** A whole number, 0 included. */
  whole(name: string, fallback: number): number {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0) this.#bad(name, "a whole number");
    return value;
  }

  flag(name: string, fallback = false): boolean {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "boolean") this.#bad(name, "true or false");
    return value;
  }

  text(name: string, fallback: string): string {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "string") this.#bad(name, "a string");
    return value;
  }

  list(name: string): readonly unknown[] {
    const value = this.#json[name] ?? [];
    if (!Array.isArray(value)) this.#bad(name, "a list");
    return value;
  }

  object(name: string): Reader {
    const value = this.#json[name] ?? {};
    if (typeof value !== "object" || Array.isArray(value)) this.#bad(name, "an object");
    return new Reader(value as Json, `${this.#path}${name}.`);
  }
}

/** Throws UnsupportedError for an architecture or option we do not have, ModelError for a malformed file. */
export function parseConfig(
  json: Json,
  options: { ropeDivisors?: readonly number[]; swiftkv?: boolean } = {},
): ModelConfig {
  const config = new Reader(json);
  const { architecture, family } = familyOf(config);
  const activation = config.text("hidden_act", "silu");
  if (activation !== "silu") throw new UnsupportedError(`config.json: hidden_act; got "${activation}", want "silu".`);
  const hiddenSize = config.count("hidden_size", 1 << 16);
  const heads = config.count("num_attention_heads", 1 << 10);
  const kvHeads = config.count("num_key_value_heads", heads, heads);
  const headWidth = config.count("head_dim", 256, Math.floor(hiddenSize / heads));
  if (heads % kvHeads !== 0) {
    throw new ModelError(
      `config.json: num_key_value_heads; got ${kvHeads}, want a divisor of num_attention_heads ${heads}.`,
    );
  }
  if (headWidth % 2 !== 0 || (!config.has("head_dim") && hiddenSize % heads !== 0)) {
    throw new ModelError(`config.json: head_dim; got ${hiddenSize}/${heads}, want an even whole number.`);
  }
  const layers = config.count("num_hidden_layers", 1 << 10);
  return {
    architecture,
    hiddenSize,
    intermediateSize: config.count("intermediate_size", 1 << 18),
    layers,
    heads,
    kvHeads,
    headWidth,
    vocabulary: config.count("vocab_size", 1 << 22),
    context: config.count("max_position_embeddings", 1 << 24, 2048),
    normEpsilon: config.positive("rms_norm_eps", 1e-6),
    ...ropeOf(config, options.ropeDivisors),
    tiedEmbeddings: config.flag("tie_word_embeddings", false),
    qkvBias: family.qkvBias(config),
    outputBias: family.outputBias(config),
    mlpBias: config.flag("mlp_bias"),
    headNorm: family.headNorm,
    windows: windowsOf(config, layers, architecture),
    swiftkv: options.swiftkv === false ? null : swiftkvOf(config, layers, architecture),
  };
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

/**
 * By `model_type`, as transformers does: fine-tunes give their class names of their own. The class where there is no known
 * type, or where it alone says SwiftKV.
 */
function familyOf(config: Reader): { architecture: string; family: Family } {
  const named = config.list("architectures")[0];
  const type = config.text("model_type", "?");
  const byType = Object.keys(FAMILIES).find((name) => name.toLowerCase() === `${type.replaceAll("_", "")}forcausallm`);
  const byClass = typeof named === "string" ? named : undefined;
  const architecture = byClass?.includes("SwiftKV") && byClass in FAMILIES ? byClass : (byType ?? byClass);
  const family = architecture === undefined ? undefined : FAMILIES[architecture];
  if (architecture === undefined || !family) {
    throw new UnsupportedError(
      `config.json: architecture ${architecture ?? "(none)"} is not supported; want one of ${Object.keys(FAMILIES).join(", ")}.`,
    );
  }
  return { architecture, family };
}

/** Both spellings: rope_theta + rope_scaling, and rope_parameters (transformers 5). */
function ropeOf(
  config: Reader,
  divisors: readonly number[] | undefined,
): { ropeTheta: number; ropeScaling: RopeScaling } {
  const unified = config.has("rope_parameters");
  const scaling = config.object(unified ? "rope_parameters" : "rope_scaling");
  const ropeTheta = (unified && scaling.has("rope_theta") ? scaling : config).positive("rope_theta", 10000);
  if (divisors) return { ropeTheta, ropeScaling: { kind: "divisors", divisors } };
  const kind = scaling.has("rope_type") ? scaling.text("rope_type", "default") : scaling.text("type", "default");
  if (kind === "default") return { ropeTheta, ropeScaling: { kind } };
  if (kind === "linear") return { ropeTheta, ropeScaling: { kind, factor: scaling.positive("factor") } };
  // Stretches with the length of the text, from the trained length on; below it is none at all.
  if (kind === "dynamic") return { ropeTheta, ropeScaling: { kind: "default" } };
  if (kind === "yarn") return { ropeTheta, ropeScaling: yarnOf(config, scaling) };
  if (kind !== "llama3") {
    throw new UnsupportedError(
      `config.json: rope type "${kind}" is not supported; want default, linear, dynamic, yarn or llama3.`,
    );
  }
  return {
    ropeTheta,
    ropeScaling: {
      kind,
      factor: scaling.positive("factor"),
      lowFrequency: scaling.positive("low_freq_factor"),
      highFrequency: scaling.positive("high_freq_factor"),
      originalContext: scaling.positive("original_max_position_embeddings"),
    },
  };
}

/** Peng et al., arXiv 2309.00071. Defaults as in transformers. */
function yarnOf(config: Reader, scaling: Reader): RopeScaling {
  const originalContext = scaling.positive(
    "original_max_position_embeddings",
    config.positive("max_position_embeddings", 2048),
  );
  const factor = scaling.positive("factor");
  return {
    kind: "yarn",
    factor,
    originalContext,
    turns: {
      fast: scaling.positive("beta_fast", 32),
      slow: scaling.positive("beta_slow", 1),
      whole: scaling.flag("truncate", true),
    },
    attention: scaling.positive("attention_factor", yarnAttention(factor, scaling)),
  };
}

/** Longer texts have flatter attention: the logits are sharpened with the logarithm of the factor. */
function yarnAttention(factor: number, scaling: Reader): number {
  const of = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  if (!scaling.has("mscale") || !scaling.has("mscale_all_dim")) return of(1);
  return of(scaling.positive("mscale")) / of(scaling.positive("mscale_all_dim"));
}

/** Mistral: all layers. Qwen: only with use_sliding_window, from layer max_window_layers on. layer_types wins over both. */
function windowsOf(config: Reader, layers: number, architecture: string): number[] {
  const qwen = architecture.startsWith("Qwen");
  const active =
    config.has("sliding_window") && (qwen ? config.flag("use_sliding_window") : architecture.startsWith("Mistral"));
  if (!active) return Array.from({ length: layers }, () => 0);
  const window = config.count("sliding_window", 1 << 24);
  const types = config.list("layer_types");
  const from = qwen ? config.whole("max_window_layers", 28) : 0;
  return Array.from({ length: layers }, (_, layer) => {
    const slides = types.length > 0 ? types[layer] === "sliding_attention" : layer >= from;
    return slides ? window : 0;
  });
}

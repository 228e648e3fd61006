// Golden checkpoints as GGUF files, as llama.cpp's converter would write them.
import { f32, gguf, ggmlTypes, strings, text, u32, type GgufTensorSpec, type Value } from "../io/formats.ts";
import { createModel, type HubConfig, type Model } from "../reference.ts";
import { type Checkpoint, makeTensors, readGolden } from "./checkpoint.ts";
import { letterOf } from "./folder.ts";

/** What a converter does to a family: the architecture's name, the names of modules, what it writes of the config. */
interface Conversion {
  architecture: string;
  names: Readonly<Record<string, string>>;
  /** Fields of config.json that a GGUF has no place for, as llama.cpp takes them. */
  assumes?: HubConfig;
  keys?: (config: HubConfig) => Record<string, Value>;
  tensors?: (config: HubConfig) => Record<string, readonly number[]>;
  /** Rows of queries and keys in the order of interleaved RoPE. */
  interleaved?: boolean;
  normOffset?: number;
}

const NAMES = {
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  input_layernorm: "attn_norm",
  post_attention_layernorm: "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};
const POST = { post_attention_layernorm: "post_attention_norm", post_feedforward_layernorm: "post_ffw_norm" };
const number = (config: HubConfig, field: string): number => Number(config[field]);

const CONVERSIONS: Readonly<Record<string, Conversion>> = {
  gemma3: {
    architecture: "gemma3",
    names: { ...NAMES, ...POST, pre_feedforward_layernorm: "ffn_norm" },
    assumes: { query_pre_attn_scalar: 24 }, // the width of a head
    normOffset: 1,
    keys: (config) => ({
      "attention.sliding_window": u32(number(config, "sliding_window")),
      "rope.freq_base_swa": f32(number(config, "rope_local_base_freq")),
      "rope.scaling.type": text("linear"),
      "rope.scaling.factor": f32(4),
    }),
  },
  granite: {
    architecture: "granite",
    names: NAMES,
    interleaved: true,
    keys: (config) => ({
      embedding_scale: f32(number(config, "embedding_multiplier")),
      residual_scale: f32(number(config, "residual_multiplier")),
      "attention.scale": f32(number(config, "attention_multiplier")),
      logit_scale: f32(number(config, "logits_scaling")),
    }),
  },
  olmo2: { architecture: "olmo2", names: { ...NAMES, ...POST } },
  smollm3: { architecture: "smollm3", names: NAMES, interleaved: true },
  phi3: {
    architecture: "phi3",
    names: { ...NAMES, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up" },
    keys: (config) => ({
      "attention.sliding_window": u32(number(config, "sliding_window")),
      "rope.dimension_count": u32(14),
      "rope.scaling.original_context_length": u32(number(config, "original_max_position_embeddings")),
      "rope.scaling.attn_factor": f32(Math.sqrt(1 + Math.log(256 / 32) / Math.log(32))),
    }),
    tensors: ({ rope_scaling: rope }) => ({
      rope_factors_long: (rope as Record<string, number[]>).long_factor!,
      rope_factors_short: (rope as Record<string, number[]>).short_factor!,
    }),
  },
  ministral3: {
    architecture: "mistral3",
    names: NAMES,
    interleaved: true,
    keys: ({ rope_parameters: rope }) => {
      const yarn = rope as HubConfig;
      return {
        "rope.scaling.type": text("yarn"),
        "rope.scaling.factor": f32(number(yarn, "factor")),
        "rope.scaling.original_context_length": u32(number(yarn, "original_max_position_embeddings")),
        "rope.scaling.yarn_beta_fast": f32(32),
        "rope.scaling.yarn_beta_slow": f32(1),
        "rope.scaling.yarn_log_multiplier": f32(1),
        "attention.temperature_scale": f32(number(yarn, "llama_4_scaling_beta")),
      };
    },
  },
};

/** The golden model with what a GGUF assumes of it. */
export function assumed(variant: string): Checkpoint & { model: Model } {
  const { seed, config: own } = readGolden(variant);
  const config = { ...own, ...CONVERSIONS[variant]!.assumes };
  const tensors = makeTensors(config, seed);
  return { config, tensors, model: createModel(config, tensors) };
}

/** Rows 2i + j of a head are row j · E/2 + i. */
function interleave(data: Float32Array, E: number, depth: number): Float32Array {
  return data.map((_, at) => {
    const [row, k] = [Math.floor(at / depth), at % depth];
    const within = row % E;
    return data[(row - within + (within % 2) * (E / 2) + Math.floor(within / 2)) * depth + k]!;
  });
}

function convertTensor(name: string, data: Float32Array, shape: readonly number[], E: number, by: Conversion) {
  if (by.interleaved && /[qk]_proj\.weight/.test(name)) return interleave(data, E, shape[1]!);
  return name.includes("norm") ? data.map((value) => value + (by.normOffset ?? 0)) : data;
}

/** The name in a GGUF. */
function nameOf(name: string, { names }: Conversion): string {
  const fixed: Record<string, string> = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
  };
  const [, layer, module] = /^model\.layers\.(\d+)\.(.*)\.weight$/.exec(name) ?? [];
  return fixed[name] ?? `blk.${layer}.${names[module!]}.weight`;
}

export function asGguf(variant: string): Uint8Array<ArrayBuffer> {
  const by = CONVERSIONS[variant]!;
  const { config, tensors, model } = assumed(variant);
  const { E, V } = model.shape;
  const floats = (name: string, shape: readonly number[], values: Float32Array): GgufTensorSpec => ({
    name,
    shape,
    typeId: ggmlTypes.F32[0],
    data: new Uint8Array(values.buffer),
  });
  const specs = [...tensors].map(([name, { shape, data }]) =>
    floats(nameOf(name, by), shape, convertTensor(name, data, shape, E, by)),
  );
  for (const [name, values] of Object.entries(by.tensors?.(config) ?? {}))
    specs.push(floats(`${name}.weight`, [values.length], Float32Array.from(values)));
  return gguf({ metadata: { ...metadataOf(config, E, V, by) }, tensors: specs });
}

function metadataOf(config: HubConfig, E: number, V: number, by: Conversion): Record<string, Value> {
  const theta = number({ ...config, ...(config.rope_parameters as HubConfig | undefined) }, "rope_theta");
  const own = {
    block_count: u32(number(config, "num_hidden_layers")),
    context_length: u32(256),
    embedding_length: u32(number(config, "hidden_size")),
    feed_forward_length: u32(number(config, "intermediate_size")),
    "attention.head_count": u32(number(config, "num_attention_heads")),
    "attention.head_count_kv": u32(number(config, "num_key_value_heads")),
    "attention.key_length": u32(E),
    "attention.value_length": u32(E),
    "attention.layer_norm_rms_epsilon": f32(number(config, "rms_norm_eps")),
    "rope.freq_base": f32(theta),
    ...by.keys?.(config),
  };
  const tokens = Array.from({ length: V }, (_, id) => (id < 3 ? ["<unk>", "<s>", "</s>"][id]! : letterOf(id)));
  const types = tokens.map((_, id) => ({ type: "i32", value: id < 3 ? 3 : 1 }) as const);
  return {
    "general.architecture": text(by.architecture),
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${by.architecture}.${key}`, value])),
    "tokenizer.ggml.model": text("gpt2"),
    "tokenizer.ggml.pre": text("gpt-2"),
    "tokenizer.ggml.tokens": strings(tokens),
    "tokenizer.ggml.merges": strings([]),
    "tokenizer.ggml.token_type": { type: "array", of: "i32", value: types },
  };
}

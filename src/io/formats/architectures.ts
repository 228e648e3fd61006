// The architectures of GGUF files that can be read: what each is called in Hugging Face vocabulary, and what differs in it.
import { UnsupportedError } from "../../errors.ts";
import { quote } from "../files/bytes.ts";
import type { Keys } from "./keys.ts";

export interface Architecture {
  /** Rows of q and k are permuted for interleaved RoPE. */
  interleaved: boolean;
  /** Fields of config.json that it has beyond those of all. */
  config(keys: Keys, prefix: string): Record<string, unknown>;
  /** Modules of a layer whose names differ from Llama's. */
  names?: Readonly<Record<string, string>>;
}

/** The fields that are there. */
export const given = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

const typed = (name: string, type: string): Record<string, unknown> => ({
  architectures: [`${name}ForCausalLM`],
  model_type: type,
  hidden_act: "silu",
});

/** Norms after a layer's blocks. */
const POST_NORMS = {
  post_attention_norm: "post_attention_layernorm",
  post_ffw_norm: "post_feedforward_layernorm",
};

const llama: Architecture = {
  interleaved: true,
  config: (keys, prefix) =>
    keys.count(`${prefix}.attention.sliding_window`) ? typed("Mistral", "mistral") : typed("Llama", "llama"),
};

/** The converter adds the 1 to the weights of norms. */
const gemma3: Architecture = {
  interleaved: false,
  names: { ...POST_NORMS, ffn_norm: "pre_feedforward_layernorm" },
  config: (keys, prefix) => ({
    ...typed("Gemma3", "gemma3_text"),
    hidden_act: "gelu_pytorch_tanh",
    norm_offset: 0, // our own field
    query_pre_attn_scalar: keys.count(`${prefix}.attention.key_length`) ?? 256,
    rope_theta: keys.real(`${prefix}.rope.freq_base`) ?? 1e6,
    rope_local_base_freq: keys.real(`${prefix}.rope.freq_base_swa`) ?? 10000,
    ...given({
      sliding_window_pattern: keys.count(`${prefix}.attention.sliding_window_pattern`),
      final_logit_softcapping: keys.real(`${prefix}.final_logit_softcapping`),
      attn_logit_softcapping: keys.real(`${prefix}.attn_logit_softcapping`),
    }),
  }),
};

const granite: Architecture = {
  interleaved: true,
  config: (keys, prefix) => ({
    ...typed("Granite", "granite"),
    ...given({
      embedding_multiplier: keys.real(`${prefix}.embedding_scale`),
      residual_multiplier: keys.real(`${prefix}.residual_scale`),
      attention_multiplier: keys.real(`${prefix}.attention.scale`),
      logits_scaling: keys.real(`${prefix}.logit_scale`),
    }),
  }),
};

const olmo2: Architecture = {
  interleaved: false,
  names: POST_NORMS,
  config(keys, prefix) {
    const window = keys.count(`${prefix}.attention.sliding_window`);
    if (window) throw new UnsupportedError(`${keys.name}: window of OLMo 3; got ${window}, want none, as in OLMo 2.`);
    return typed("Olmo2", "olmo2");
  },
};

/** Queries, keys and values are one matrix, gate and up another, under the name of up. */
const phi3: Architecture = {
  interleaved: false,
  names: { attn_qkv: "self_attn.qkv_proj", ffn_up: "mlp.gate_up_proj" },
  config: (keys, prefix) => ({
    ...typed("Phi3", "phi3"),
    ...given({ original_max_position_embeddings: keys.count(`${prefix}.rope.scaling.original_context_length`) }),
  }),
};

const architectures: Readonly<Record<string, Architecture>> = {
  llama,
  qwen2: { interleaved: false, config: () => typed("Qwen2", "qwen2") },
  qwen3: { interleaved: false, config: () => typed("Qwen3", "qwen3") },
  gemma3,
  granite,
  olmo2,
  smollm3: { interleaved: true, config: () => typed("SmolLM3", "smollm3") },
  phi3,
  mistral3: { interleaved: true, config: () => typed("Ministral3", "ministral3") },
};

/** By `general.architecture`. `file`: for the message. */
export function architectureOf(name: string, file: string): Architecture {
  const found = Object.hasOwn(architectures, name) ? architectures[name] : undefined;
  if (found) return found;
  throw new UnsupportedError(
    `${file}: architecture without an implementation; got ${quote(name)}, want one of ${Object.keys(architectures).join(", ")}.`,
  );
}

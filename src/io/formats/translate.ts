// A GGUF in Hugging Face vocabulary: tensor names, config.json, generation_config.json.

import { ModelError, UnsupportedError } from "../../errors.ts";
import { quote } from "../files/bytes.ts";
import type { ByteFile } from "../files/bytes.ts";
import { type Architecture, architectureOf, given, widthsOf } from "./architectures.ts";
import { type Gguf, type GgufTensor, KNOWN_TYPES } from "./gguf.ts";
import { Keys } from "./keys.ts";
import { unfused } from "./names.ts";
import type { StoredTensor } from "./tensor.ts";

/** ggml → Hugging Face, tensors outside the layers. */
const globalNames: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
  // RoPE scaling as one divisor per frequency (Llama 3; Phi-3, for short and long texts): passed through.
  "rope_freqs.weight": "rope_freqs.weight",
  "rope_factors_short.weight": "rope_factors_short.weight",
  "rope_factors_long.weight": "rope_factors_long.weight",
};

/** The same inside layers, without .weight or .bias. */
const layerNames: Readonly<Record<string, string>> = {
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  attn_norm: "input_layernorm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

export interface Translated {
  config: Record<string, unknown>;
  generationConfig: Record<string, unknown>;
  chatTemplate: string | null;
  /** In file order. */
  tensors: StoredTensor[];
}

/**
 * Throws UnsupportedError for architectures and features without an implementation, ModelError for metadata that is
 * missing or impossible.
 */
export function translateGguf(gguf: Gguf, file: ByteFile): Translated {
  const keys = new Keys(gguf.metadata, file.name);
  const prefix = keys.text("general.architecture") ?? keys.fail("general.architecture", undefined, "a name");
  const architecture = architectureOf(prefix, file.name);
  refuseVariants(keys, prefix, architecture);
  refuseTypes(gguf, file);
  const config = { ...makeConfig(keys, prefix, gguf.tensors), ...architecture.config(keys, prefix) };
  const headsOf = (module: string | undefined): number => {
    if (!architecture.interleaved) return 0;
    if (module === "attn_q") return config.num_attention_heads;
    return module === "attn_k" ? config.num_key_value_heads : 0;
  };
  const names = { ...layerNames, ...architecture.names };
  const tensors = gguf.tensors.flatMap((tensor) => translateTensor(tensor, config.num_hidden_layers, names, headsOf));
  return {
    config,
    tensors: unfused(tensors),
    generationConfig: makeGenerationConfig(keys),
    chatTemplate: keys.text("tokenizer.chat_template") ?? null,
  };
}

function refuseVariants(keys: Keys, prefix: string, { interleaved }: Architecture): void {
  const refuse = (what: string, got: unknown, want: string) => {
    throw new UnsupportedError(`${keys.name}: ${what}; got ${quote(got)}, want ${want}.`);
  };
  const experts = keys.count(`${prefix}.expert_count`) ?? 0;
  if (experts > 0) refuse("mixture of experts", experts, "a dense model");
  const keyWidth = keys.count(`${prefix}.attention.key_length`);
  const valueWidth = keys.count(`${prefix}.attention.value_length`);
  if (keyWidth !== undefined && valueWidth !== undefined && keyWidth !== valueWidth) {
    refuse("heads of keys and values differ in width", [keyWidth, valueWidth], "one width");
  }
  const { headWidth, turned } = widthsOf(keys, prefix);
  if (interleaved && turned !== headWidth) refuse("partly rotated heads", `${turned} of ${headWidth}`, "all");
}

function makeConfig(keys: Keys, prefix: string, tensors: readonly GgufTensor[]) {
  const hidden = keys.size(`${prefix}.embedding_length`);
  const heads = keys.size(`${prefix}.attention.head_count`);
  const window = keys.count(`${prefix}.attention.sliding_window`) ?? 0;
  const { headWidth, turned } = widthsOf(keys, prefix);
  const embedding = tensors.find(({ name }) => name === "token_embd.weight");
  if (!embedding) keys.fail("tensor token_embd.weight", "none", "the embedding table");
  const has = (pattern: RegExp) => tensors.some(({ name }) => pattern.test(name));
  return {
    hidden_size: hidden,
    intermediate_size: keys.size(`${prefix}.feed_forward_length`),
    num_hidden_layers: keys.size(`${prefix}.block_count`),
    num_attention_heads: heads,
    num_key_value_heads: keys.count(`${prefix}.attention.head_count_kv`) ?? heads,
    head_dim: headWidth,
    vocab_size: embedding.shape[0]!,
    max_position_embeddings: keys.size(`${prefix}.context_length`),
    rms_norm_eps: keys.real(`${prefix}.attention.layer_norm_rms_epsilon`) ?? 1e-5,
    rope_theta: keys.real(`${prefix}.rope.freq_base`) ?? 10000,
    rope_scaling: ropeScaling(keys, prefix, has(/^rope_factors_/)),
    ...(turned === headWidth ? {} : { partial_rotary_factor: turned / headWidth }),
    ...(window > 0 ? { sliding_window: window } : {}),
    tie_word_embeddings: !has(/^output\.weight$/),
    attention_bias: has(/^blk\.\d+\.attn_[qkv]\.bias$/),
    attention_output_bias: has(/^blk\.\d+\.attn_output\.bias$/), // our own field: files have one without the other
    mlp_bias: has(/^blk\.\d+\.ffn_(gate|up|down)\.bias$/),
    bos_token_id: keys.count("tokenizer.ggml.bos_token_id") ?? null,
  };
}

/** Null for none; types this room does not know pass through by name for the model room to judge. */
function ropeScaling(keys: Keys, prefix: string, hasFactors: boolean): Record<string, unknown> | null {
  const factor = keys.real(`${prefix}.rope.scaling.factor`) ?? keys.real(`${prefix}.rope.scale_linear`);
  const assumed = hasFactors ? "longrope" : factor === undefined ? "none" : "linear";
  const type = keys.text(`${prefix}.rope.scaling.type`) ?? assumed;
  if (type === "none" || (type === "linear" && (factor ?? 1) === 1)) return null;
  const original = keys.count(`${prefix}.rope.scaling.original_context_length`);
  return {
    rope_type: type,
    ...(factor === undefined ? {} : { factor }),
    ...(original === undefined ? {} : { original_max_position_embeddings: original }),
    ...(type === "yarn" ? yarnFields(keys, prefix, factor) : {}),
    ...(type === "longrope" ? given({ attention_factor: keys.real(`${prefix}.rope.scaling.attn_factor`) }) : {}),
  };
}

/** The fields of yarn under the names of config.json. llama.cpp multiplies its factor of attention with yarn's own. */
function yarnFields(keys: Keys, prefix: string, factor = 1): Record<string, unknown> {
  const key = (name: string): number | undefined => keys.real(`${prefix}.rope.scaling.${name}`);
  const attention = key("attn_factor") ?? 1;
  const multiplier = key("yarn_log_multiplier") ?? 0;
  return given({
    beta_fast: key("yarn_beta_fast"),
    beta_slow: key("yarn_beta_slow"),
    attention_factor: attention === 1 ? undefined : attention * (0.1 * Math.log(Math.max(1, factor)) + 1),
    ...(multiplier > 0 ? { mscale: 1, mscale_all_dim: multiplier } : {}),
    llama_4_scaling_beta: keys.real(`${prefix}.attention.temperature_scale`),
  });
}

/** End of text, of turn and of message all end a reply. */
function makeGenerationConfig(keys: Keys): Record<string, unknown> {
  const ends = ["eos", "eot", "eom"].map((end) => keys.count(`tokenizer.ggml.${end}_token_id`));
  const bos = keys.count("tokenizer.ggml.bos_token_id");
  return {
    ...(bos === undefined ? {} : { bos_token_id: bos }),
    eos_token_id: [...new Set(ends.filter((end) => end !== undefined))],
  };
}

/** Rotary tables of old conversions: recomputed here. */
const UNNEEDED = /^blk\.\d+\.attn_rot_embd/;

/** What is not needed may be of any type. */
function refuseTypes({ others }: Gguf, file: ByteFile): void {
  for (const [name, type] of others) {
    if (UNNEEDED.test(name)) continue;
    throw new UnsupportedError(
      `${file.name}: tensor ${quote(name)} has a type without a kernel; got ${type}, want one of ${KNOWN_TYPES.join(", ")}. Take another quantisation of the model.`,
    );
  }
}

function translateTensor(
  tensor: GgufTensor,
  layers: number,
  names: Readonly<Record<string, string>>,
  headsOf: (module: string | undefined) => number,
): StoredTensor[] {
  const { name, shape, type, byteLength, file, offset } = tensor;
  if (UNNEEDED.test(name)) return [];
  const [, layer, module, kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const known = Object.hasOwn(globalNames, name) ? globalNames[name] : undefined;
  const inLayer = module !== undefined && Object.hasOwn(names, module) ? names[module] : undefined;
  const translated = known ?? (inLayer && `model.layers.${Number(layer)}.${inLayer}.${kind}`);
  if (translated === undefined) {
    throw new UnsupportedError(
      `${file.name}: tensor without a use here; got ${quote(name)}, want those of a dense llama.`,
    );
  }
  if (layer !== undefined && Number(layer) >= layers) {
    throw new ModelError(`${file.name}: tensor of a layer too many; got ${name}, want layers below ${layers}.`);
  }
  const interleavedHeads = headsOf(module);
  if (interleavedHeads > 0 && shape[0]! % (2 * interleavedHeads) !== 0) {
    throw new ModelError(
      `${file.name}: rows of ${name}; got ${shape[0]}, want a multiple of ${2 * interleavedHeads} (two halves for each of ${interleavedHeads} heads).`,
    );
  }
  return [{ name: translated, shape, type, byteLength, interleavedHeads, file, offset }];
}

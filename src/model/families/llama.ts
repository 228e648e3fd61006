// Llama 1–3.2, TinyLlama, SmolLM, SmolLM2; Mistral; Qwen2, Qwen2.5, Qwen3.
import type { Reader } from "../reader.ts";
import { attentionBiases, type Family, type Sizes, windowsOf } from "./family.ts";

export const llama: Family = {
  architecture: "LlamaForCausalLM",
  type: "llama",
  swiftkv: true,
  traits: attentionBiases,
};

export const mistral: Family = {
  architecture: "MistralForCausalLM",
  type: "mistral",
  defaults: { sliding_window: 4096, num_key_value_heads: 8 },
  traits: (config, sizes) => ({ windows: windowsOf(config, sizes, () => true) }),
};

/** Windows only with use_sliding_window, from layer max_window_layers on. */
function qwenWindows(config: Reader, sizes: Sizes): { windows?: number[] } {
  if (!config.flag("use_sliding_window")) return {};
  const from = config.whole("max_window_layers", 28);
  return { windows: windowsOf(config, sizes, (layer) => layer >= from) };
}

export const qwen2: Family = {
  architecture: "Qwen2ForCausalLM",
  type: "qwen2",
  swiftkv: true,
  defaults: { sliding_window: 4096 },
  traits: (config, sizes) => ({ qkvBias: true, ...qwenWindows(config, sizes) }),
};

export const qwen3: Family = {
  architecture: "Qwen3ForCausalLM",
  type: "qwen3",
  swiftkv: true,
  defaults: { head_dim: 128, sliding_window: 4096 },
  traits: (config, sizes) => ({ ...attentionBiases(config), headNorm: true, ...qwenWindows(config, sizes) }),
};

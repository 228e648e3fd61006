// Floating-point operations of a model, multiply-add = 2: the yardstick of the benchmark page. docs/swiftkv.md, "Cost".
import type { ModelFlops, ModelInfo } from "../api.ts";
import type { ModelConfig } from "./config.ts";

/** With SwiftKV a prompt token costs the first K layers and one key and value projection per group of later layers. */
export function modelCost(config: ModelConfig): ModelFlops {
  const { hiddenSize: D, intermediateSize: F, layers: L, heads: H, kvHeads: G, headWidth: E, vocabulary: V } = config;
  const own = config.swiftkv?.layers ?? L;
  const groups = config.swiftkv ? (L - own) / config.swiftkv.group : 0;
  const queryAndOutput = 4 * D * H * E;
  const keyAndValue = 4 * D * G * E;
  const mlp = 6 * D * F;
  return {
    layers: own * (queryAndOutput + keyAndValue + mlp) + groups * keyAndValue,
    attention: 4 * own * H * E,
    last: 2 * D * V + (L - own) * (queryAndOutput + mlp),
    lastAttention: 4 * (L - own) * H * E,
  };
}

/** Operations to read a prompt of `tokens` tokens, causal attention and the logits of its last token included. */
export function modelFlops({ model: { flops } }: { model: Pick<ModelInfo, "flops"> }, tokens: number): number {
  const { layers, attention, last, lastAttention } = flops;
  return tokens * layers + (attention * tokens * (tokens + 1)) / 2 + last + lastAttention * tokens;
}

// Floating-point operations of a model, multiply-add = 2: the yardstick of the benchmark page. docs/swiftkv.md, "Cost".
import type { ModelFlops, ModelInfo } from "../api.ts";
import { layoutOf } from "../kv/systems/swiftkv/layout.ts";
import type { ModelConfig } from "./config.ts";

/** A prompt token costs the layers below the layout's boundary, and keys and values of every store. */
export function modelCost(config: ModelConfig): ModelFlops {
  const { hiddenSize: D, intermediateSize: F, layers: L, heads: H, kvHeads: G, headWidth: E, vocabulary: V } = config;
  const { boundary, stores } = layoutOf(L, config.swiftkv);
  const queryAndOutput = 4 * D * H * E;
  const keyAndValue = 4 * D * G * E;
  const mlp = 6 * D * F;
  return {
    layers: boundary * (queryAndOutput + mlp) + stores * keyAndValue,
    attention: 4 * boundary * H * E,
    last: 2 * D * V + (L - boundary) * (queryAndOutput + mlp),
    lastAttention: 4 * (L - boundary) * H * E,
  };
}

/** Operations to read a prompt of `tokens` tokens, causal attention and the logits of its last token included. */
export function modelFlops({ model: { flops } }: { model: Pick<ModelInfo, "flops"> }, tokens: number): number {
  const { layers, attention, last, lastAttention } = flops;
  return tokens * layers + (attention * tokens * (tokens + 1)) / 2 + last + lastAttention * tokens;
}

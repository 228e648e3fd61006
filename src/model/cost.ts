// Floating-point operations of a model, multiply-add = 2: the yardstick of the benchmark page.
import type { ModelInfo } from "../api.ts";
import type { ModelConfig } from "./config.ts";

/** Per token: weights of all layers; attention per visible key; output projection. */
export function modelCost({
  hiddenSize: D,
  intermediateSize: F,
  layers: L,
  heads: H,
  kvHeads: G,
  headWidth: E,
  vocabulary: V,
}: ModelConfig): ModelInfo["flops"] {
  const projections = 2 * D * (2 * H + 2 * G) * E;
  return { layers: L * (projections + 6 * D * F), attention: 4 * L * H * E, head: 2 * D * V };
}

/** Operations to read a prompt of `tokens` tokens, causal attention and the logits of its last token included. */
export function modelFlops({ model: { flops } }: { model: Pick<ModelInfo, "flops"> }, tokens: number): number {
  return tokens * flops.layers + (flops.attention * tokens * (tokens + 1)) / 2 + flops.head;
}

// Granite 3 and 4 dense: a Llama with four multipliers.
import { attentionBiases, type Family } from "./family.ts";

export const granite: Family = {
  architecture: "GraniteForCausalLM",
  type: "granite",
  traits(config) {
    const residual = config.positive("residual_multiplier", 1);
    // What a block adds is multiplied by `residual`. The residual stream is kept divided by it instead: then blocks add
    // what they make, and each norm of the stream, whatever its scale, gives the same once its epsilon is scaled too.
    return {
      ...attentionBiases(config),
      normEpsilon: config.positive("rms_norm_eps", 1e-6) / residual ** 2,
      embeddingScale: config.positive("embedding_multiplier", 1) / residual,
      attentionScale: config.positive("attention_multiplier", 1),
      logitScale: 1 / config.positive("logits_scaling", 1),
    };
  },
};

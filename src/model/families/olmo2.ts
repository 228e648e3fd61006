// OLMo 2: norms after each block, none before, and one norm over all heads of the queries, one over those of the keys.
import { attentionBiases, type Family } from "./family.ts";

export const olmo2: Family = {
  architecture: "Olmo2ForCausalLM",
  type: "olmo2",
  defaults: { rms_norm_eps: 1e-5 },
  traits: (config) => ({ ...attentionBiases(config), norms: "after", allHeadsNorm: true }),
};

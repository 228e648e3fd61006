// Ministral 3, the text part: a Mistral with yarn, whose queries grow with their position (read with the rotation).
import { type Family, windowsOf } from "./family.ts";

export const ministral3: Family = {
  architecture: "Ministral3ForCausalLM",
  type: "ministral3",
  defaults: { head_dim: 128, num_key_value_heads: 8, rms_norm_eps: 1e-5, max_position_embeddings: 262144 },
  traits: (config, sizes) => ({ windows: windowsOf(config, sizes, () => true) }),
};

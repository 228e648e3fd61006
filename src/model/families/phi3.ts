// Phi-3, Phi-3.5, Phi-4 and Phi-4-mini: a Llama with heads that are turned in part, and longrope. Its tensors of q·k·v and of
// gate·up are fused in the file: src/io/formats/names.ts takes them apart.
import { type Family, windowsOf } from "./family.ts";

export const phi3: Family = {
  architecture: "Phi3ForCausalLM",
  type: "phi3",
  defaults: { rms_norm_eps: 1e-5, max_position_embeddings: 4096, original_max_position_embeddings: 4096 },
  traits: (config, sizes) => ({ windows: windowsOf(config, sizes, () => true) }),
};

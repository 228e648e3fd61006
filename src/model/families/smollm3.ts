// SmolLM3: a Llama in which every fourth layer turns nothing (`no_rope_layers`: 1 = turns).
import { ModelError } from "../../errors.ts";
import type { Reader } from "../reader.ts";
import { readRotation } from "../rotation.ts";
import { attentionBiases, type Family, perLayer, windowsOf } from "./family.ts";

export const smollm3: Family = {
  architecture: "SmolLM3ForCausalLM",
  type: "smollm3",
  defaults: { rope_theta: 2e6, num_key_value_heads: 4, max_position_embeddings: 32768, tie_word_embeddings: true },
  traits(config, sizes, tensors) {
    const turning = readRotation(config, sizes.turnedWidth, tensors);
    const rotationOf = stillLayers(config, sizes.layers);
    const isSliding = config.flag("use_sliding_window");
    return {
      ...attentionBiases(config),
      rotations: [turning, { ...turning, scaling: { kind: "still" } }],
      rotationOf,
      ...(isSliding ? { windows: windowsOf(config, sizes, (layer) => rotationOf[layer] === 1) } : {}),
    };
  },
};

/** 1 for layers that turn nothing. */
function stillLayers(config: Reader, layers: number): number[] {
  const interval = config.count("no_rope_layer_interval", 1 << 10, 4);
  if (!config.has("no_rope_layers")) return perLayer(layers, (layer) => ((layer + 1) % interval === 0 ? 1 : 0));
  const flags = config.list("no_rope_layers");
  if (flags.length !== layers || flags.some((flag) => flag !== 0 && flag !== 1))
    throw new ModelError(`config.json: no_rope_layers; got ${JSON.stringify(flags)}, want ${layers} times 0 or 1.`);
  return flags.map((flag) => 1 - (flag as number));
}

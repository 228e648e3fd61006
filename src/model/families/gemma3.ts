// Gemma 3, the text models and the text part of the larger ones (Gemma Team, arXiv 2503.19786).
import { UnsupportedError } from "../../errors.ts";
import type { Reader } from "../reader.ts";
import { readScaling, type RopeTensors, type Rotation } from "../rotation.ts";
import { attentionBiases, type Family, type Sizes, slidingLayers, type Traits, windowsOf } from "./family.ts";

export const gemma3: Family = {
  architecture: "Gemma3ForCausalLM",
  type: "gemma3_text",
  defaults: {
    head_dim: 256,
    num_key_value_heads: 4,
    hidden_activation: "gelu_pytorch_tanh",
    max_position_embeddings: 131072,
    query_pre_attn_scalar: 256,
    sliding_window: 4096,
    tie_word_embeddings: true,
  },
  traits: (config, sizes, tensors) => ({
    ...attentionBiases(config),
    // Weights lie around 0; those of a GGUF around 1, as src/io/formats/translate.ts says.
    normOffset: config.number("norm_offset", 1),
    norms: "around",
    activation: "gelu",
    headNorm: true,
    embeddingScale: Math.sqrt(sizes.hiddenSize),
    attentionScale: 1 / Math.sqrt(config.positive("query_pre_attn_scalar")),
    ...layerKinds(refuseCaps(config), sizes, tensors),
  }),
};

function refuseCaps(config: Reader): Reader {
  for (const cap of ["final_logit_softcapping", "attn_logit_softcapping"])
    if (config.has(cap)) throw new UnsupportedError(`config.json: ${cap}; got one, want none, as in Gemma 3.`);
  if (config.flag("use_bidirectional_attention"))
    throw new UnsupportedError("config.json: use_bidirectional_attention; got true, want false.");
  return config;
}

/** Every sixth layer sees everything and turns slowly; the others have a window and a rotation of their own. */
function layerKinds(
  config: Reader,
  sizes: Sizes,
  tensors: RopeTensors,
): Pick<Traits, "windows" | "rotations" | "rotationOf"> {
  const pattern = config.count("sliding_window_pattern", 1 << 10, 6);
  const slides = (layer: number): boolean => (layer + 1) % pattern !== 0;
  return {
    windows: windowsOf(config, sizes, slides),
    rotations: [rotation(config, "full", sizes, tensors), rotation(config, "sliding", sizes, {})],
    rotationOf: slidingLayers(config, sizes.layers, slides).map(Number),
  };
}

const BASES = { full: ["rope_theta", 1e6], sliding: ["rope_local_base_freq", 1e4] } as const;

/** Both spellings: one object for each kind of layer (transformers 5), or two bases and the scaling of full layers. */
function rotation(
  config: Reader,
  kind: "full" | "sliding",
  { turnedWidth: turned }: Sizes,
  tensors: RopeTensors,
): Rotation {
  const [field, fallback] = BASES[kind];
  const unified = config.has("rope_parameters");
  const scaling = unified
    ? config.object("rope_parameters").object(`${kind}_attention`)
    : config.object("rope_scaling");
  const theta = scaling.has("rope_theta") ? scaling.positive("rope_theta") : config.positive(field, fallback);
  if (!unified && kind === "sliding") return { theta, scaling: { kind: "default" }, queries: null };
  return readScaling(config, scaling, { theta, turned, tensors });
}

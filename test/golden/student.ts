// The student that a conversion makes of a golden checkpoint, for the oracle.
import type { SwiftKv } from "../../src/index.ts";
import { createModel, type Model, type Tensor } from "../reference.ts";
import { makeCheckpoint } from "./checkpoint.ts";

/** The γ-folded student of an ordinary checkpoint, in float64: docs/swiftkv.md, "Conversion". */
export function student(variant: string, { layers: own, group }: SwiftKv): Model {
  const { config, tensors: file } = makeCheckpoint(variant);
  const { tensors: ordinary, shape } = createModel(config, file);
  const tensors = new Map<string, Tensor>(ordinary);
  const L = Number(config.num_hidden_layers);
  const attn = (layer: number) => `model.layers.${layer}.self_attn`;
  const D = Number(config.hidden_size);
  tensors.set("model.norm_swiftkv.weight", { shape: [D], data: new Float64Array(D).fill(1 - shape.normOffset) });
  for (let layer = own; layer < L; layer++) {
    for (const part of ["weight", "bias"]) {
      const query = ordinary.get(`${attn(layer)}.q_proj.${part}`);
      if (query) tensors.set(`${attn(layer)}.q_proj_swiftkv.${part}`, query);
    }
    if ((layer - own) % group !== 0) continue;
    for (const kind of ["k_proj.weight", "v_proj.weight", "k_proj.bias", "v_proj.bias", "k_norm.weight"]) {
      const members = Array.from({ length: group }, (_, i) => ordinary.get(`${attn(layer + i)}.${kind}`));
      if (!members[0]) continue;
      const gammas = members.map((_, i) => ordinary.get(`model.layers.${layer + i}.input_layernorm.weight`)!.data);
      const data = Float64Array.from(members[0].data, (_, at) =>
        members.reduce((sum, member, i) => {
          const gamma = kind.endsWith("proj.weight") ? gammas[i]![at % D]! + shape.normOffset : 1;
          return sum + (member!.data[at]! * gamma) / group;
        }, 0),
      );
      const name = kind === "k_norm.weight" ? kind : kind.replace("_proj", "_proj_swiftkv");
      tensors.set(`${attn(layer)}.${name}`, { shape: members[0].shape, data });
    }
  }
  return createModel({ ...config, num_key_value_layers: own, key_value_group_size: group }, tensors);
}

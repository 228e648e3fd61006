// The toy model of the SwiftKV conformance vectors (golden/swiftkv.json): tensor number n is scale·sin(0.7·i + 1.9·n +
// 0.3), row-major. Teacher and students in the public layout, and a form with wider heads that our kernels can run.
import { readFileSync } from "node:fs";
import { createModel, type HubConfig, type Model, type Tensor, type Tensors } from "../reference.ts";

export interface SwiftkvVectors {
  tokens: number[];
  teacher_last: number[];
  student_last_G1: number[];
  student_last_G2: number[];
  kl_loss_G1: number;
  kl_loss_G2: number;
  embed_row5_first4: number[];
}

export const vectors = JSON.parse(readFileSync(new URL("swiftkv.json", import.meta.url), "utf8")) as SwiftkvVectors;

export const TOY: HubConfig = {
  architectures: ["LlamaSwiftKVForCausalLM"],
  model_type: "llama_swiftkv",
  num_hidden_layers: 4,
  hidden_size: 8,
  intermediate_size: 12,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 11,
  rms_norm_eps: 1e-5,
};

/** The ordinary weights. */
export function toyTensors(): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  const add = (name: string, shape: number[], scale: number, base = 0): void => {
    const n = tensors.size + 1;
    const data = new Float64Array(shape.reduce((a, b) => a * b, 1));
    tensors.set(`${name}.weight`, {
      shape,
      data: data.map((_, i) => base + scale * Math.sin(0.7 * i + 1.9 * n + 0.3)),
    });
  };
  add("model.embed_tokens", [11, 8], 0.9);
  for (let layer = 0; layer < 4; layer++) {
    const at = `model.layers.${layer}`;
    add(`${at}.input_layernorm`, [8], 0.1, 1);
    add(`${at}.self_attn.q_proj`, [8, 8], 0.4);
    add(`${at}.self_attn.k_proj`, [4, 8], 0.4);
    add(`${at}.self_attn.v_proj`, [4, 8], 0.4);
    add(`${at}.self_attn.o_proj`, [8, 8], 0.4);
    add(`${at}.post_attention_layernorm`, [8], 0.1, 1);
    add(`${at}.mlp.gate_proj`, [12, 8], 0.3);
    add(`${at}.mlp.up_proj`, [12, 8], 0.3);
    add(`${at}.mlp.down_proj`, [8, 12], 0.3);
  }
  add("model.norm", [8], 0.1, 1);
  add("lm_head", [11, 8], 0.5);
  return tensors;
}

const at = (layer: number, kind: string): string => `model.layers.${layer}.self_attn.${kind}_proj`;

/** Layers 2 and 3 read shared keys and values, each group's projections the mean of its layers'. */
export function toyStudent(groupSize: number): { config: HubConfig; tensors: Map<string, Tensor> } {
  const tensors = toyTensors();
  tensors.set("model.norm_swiftkv.weight", tensors.get("model.layers.2.input_layernorm.weight")!);
  for (const layer of [2, 3]) {
    tensors.set(`${at(layer, "q")}_swiftkv.weight`, tensors.get(`${at(layer, "q")}.weight`)!);
    for (const kind of (layer - 2) % groupSize === 0 ? ["k", "v"] : []) {
      const group = Array.from({ length: groupSize }, (_, i) => tensors.get(`${at(layer + i, kind)}.weight`)!);
      const data = Float64Array.from(group[0]!.data, (_, i) =>
        group.reduce((sum, { data }) => sum + data[i]! / groupSize, 0),
      );
      tensors.set(`${at(layer, kind)}_swiftkv.weight`, { shape: group[0]!.shape, data });
    }
  }
  return { config: { ...TOY, num_key_value_layers: 2, key_value_group_size: groupSize }, tensors };
}

export const toyModel = ({ config, tensors }: { config: HubConfig; tensors: Tensors }): Model =>
  createModel(config, tensors);

/**
 * The same function of the same tokens with heads of 8 channels instead of 4: kernels want a multiple of 8. The rotation
 * pairs (0, 2) and (1, 3) of θ^0 and θ^(−1/2) become (0, 4) and (2, 6), the other channels are zero, and q is larger by
 * √2, because scores are divided by √8 now. One more token, whose logit is 0, turns log-probabilities into logits.
 */
export function widened({ config, tensors }: { config: HubConfig; tensors: Tensors }) {
  const wide = new Map<string, { shape: number[]; data: Float32Array }>();
  for (const [name, tensor] of tensors) wide.set(name, widen(name, tensor));
  return { config: { ...config, head_dim: 8, vocab_size: 12, max_position_embeddings: 64 }, tensors: wide };
}

const CHANNELS = [0, 2, 4, 6];
const wideChannel = (i: number): number => Math.floor(i / 4) * 8 + CHANNELS[i % 4]!;

function widen(name: string, { shape, data }: Tensor): { shape: number[]; data: Float32Array } {
  const [rows, columns] = shape as [number, number];
  const heads = /\.[qkv]_proj/.test(name);
  const output = name.includes(".o_proj");
  const vocabulary = rows === 11 ? 12 : rows;
  const wide = heads ? [2 * rows, columns] : output ? [rows, 2 * columns] : [vocabulary, columns];
  if (shape.length === 1) return { shape: [...shape], data: Float32Array.from(data) };
  const out = new Float32Array(wide[0]! * wide[1]!);
  const factor = name.includes(".q_proj") ? Math.SQRT2 : 1;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const to = (heads ? wideChannel(i) : i) * wide[1]! + (output ? wideChannel(j) : j);
      out[to] = factor * data[i * columns + j]!;
    }
  }
  return { shape: wide, data: out };
}

// 65,536 tokens of context on a model of 0.5B parameters within the limits that every adapter has: planned, without a GPU.
import { expect, test } from "playwright/test";
import { Gpu } from "../../../src/gpu/device.ts";
import { paperDevice } from "../../../src/gpu/paper.ts";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { decide } from "../../../src/load/plan.ts";
import { checkOptions } from "../../../src/load/settings.ts";
import { parseConfig } from "../../../src/model/config.ts";
import type { TensorInfo } from "../../../src/tensor.ts";

// What browsers define.
Object.assign(globalThis, {
  GPUShaderStage: { VERTEX: 1, FRAGMENT: 2, COMPUTE: 4 },
  GPUBufferUsage: {
    MAP_READ: 1,
    MAP_WRITE: 2,
    COPY_SRC: 4,
    COPY_DST: 8,
    UNIFORM: 64,
    STORAGE: 128,
    QUERY_RESOLVE: 512,
  },
});

/** Qwen2.5-0.5B. */
const CONFIG = {
  architectures: ["Qwen2ForCausalLM"],
  model_type: "qwen2",
  hidden_size: 896,
  intermediate_size: 4864,
  num_hidden_layers: 24,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  vocab_size: 151936,
  max_position_embeddings: 32768,
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  tie_word_embeddings: true,
  hidden_act: "silu",
};

function tensors(): ReadonlyMap<string, TensorInfo> {
  const { hidden_size: D, intermediate_size: F, vocab_size: V, num_hidden_layers: L } = CONFIG;
  const layer: Record<string, number[]> = {
    "self_attn.q_proj.weight": [D, D],
    "self_attn.k_proj.weight": [128, D],
    "self_attn.v_proj.weight": [128, D],
    "self_attn.o_proj.weight": [D, D],
    "self_attn.q_proj.bias": [D],
    "self_attn.k_proj.bias": [128],
    "self_attn.v_proj.bias": [128],
    "mlp.gate_proj.weight": [F, D],
    "mlp.up_proj.weight": [F, D],
    "mlp.down_proj.weight": [D, F],
    "input_layernorm.weight": [D],
    "post_attention_layernorm.weight": [D],
  };
  const all: [string, number[]][] = [
    ["model.embed_tokens.weight", [V, D]],
    ["model.norm.weight", [D]],
  ];
  for (let i = 0; i < L; i++)
    for (const [name, shape] of Object.entries(layer)) all.push([`model.layers.${i}.${name}`, shape]);
  return new Map(all.map(([name, shape]) => [name, { name, shape, type: "BF16", interleavedHeads: 0 }]));
}

/** The limits that WebGPU guarantees. */
const LIMITS = {
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
  maxComputeWorkgroupStorageSize: 2 ** 14,
  maxComputeInvocationsPerWorkgroup: 256,
} as GPUSupportedLimits;

const device = () => paperDevice({ limits: LIMITS, features: new Set(), info: { vendor: "paper" } });

async function use(kv: string, context: number) {
  const config = await parseConfig(CONFIG);
  const options = { kv, context, weights: "q4" } as const;
  const source = { tensors: tensors(), read: () => Promise.reject(new Error("nothing is read")) };
  const settings = await checkOptions(options);
  const found = await decide({ config, student: null, stored: null, device: device(), tensors: source, settings, options }); // prettier-ignore
  return found.use;
}

const MODEL = { hiddenSize: 896, layers: 24, heads: 14, kvHeads: 2, headWidth: 64, windows: Array<number>(24).fill(0) };

test("65,536 tokens on Qwen2.5-0.5B: no buffer is larger than an adapter must bind, and bytes are those of the formula", async () => {
  expect(Gpu.paper(device()).mostBytes).toBe(2 ** 27);
  const context = 65_536;
  for (const [kv, bytesPerToken] of [
    ["shadow", 512 + 232],
    ["shadow:values=host", 512 + 96],
  ] as const) {
    const { loaded, full, largestBytes, peakBytes } = await use(kv, context);
    expect(largestBytes, kv).toBeLessThanOrEqual(2 ** 27);
    const once = 24 * 4 * (33 * 128 + 2 * (24 + 128)) * 4; // sequences
    const kept = 24 * 4 * 512 * 32 * Math.ceil(((24 + 128) * 8) / 32); // private pages
    expect(full.kvBytes, kv).toBe(24 * bytesPerToken * context + once + kept);
    expect(loaded.kvBytes, kv).toBeLessThan(0.2 * full.kvBytes);
    expect(loaded.scratchBytes, kv).toBeLessThan(0.9 * full.scratchBytes);
    expect(peakBytes, kv).toBeGreaterThan(full.weightBytes + full.kvBytes);
  }
  expect(parseRecipe("shadow").wholeUpTo({ ...MODEL, context, swiftkv: null }, context)).toBeLessThan(2_000);
});

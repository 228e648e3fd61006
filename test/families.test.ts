// Families beside Llama, Mistral and Qwen: as GGUF files, with every way of keeping keys and values, and what is refused.
// Their tokens from safetensors are in model.test.ts, their students in swiftkv.test.ts.
import { expect } from "playwright/test";
import { letterOf, toFiles } from "./golden/folder.ts";
import { makeCheckpoint, makeTensors, readGolden, type Checkpoint } from "./golden/checkpoint.ts";
import { job, source, testWith, tolerance, worst } from "./golden/serve.ts";
import { f32, gguf, ggmlTypes, strings, text, u32, type GgufTensorSpec, type Value } from "./io/formats.ts";
import { kiviReply } from "./kv/kivi/rule.ts";
import { pyramidReply } from "./kv/pyramid/rule.ts";
import { shadowReply } from "./kv/shadow/rule.ts";
import { createModel, greedy, score, type HubConfig, type Model } from "./reference.ts";

const test = testWith((name) =>
  name.endsWith("@gguf")
    ? new Map([["model.gguf", asGguf(name.slice(0, -5))]])
    : toFiles(makeCheckpoint(name), readGolden(name).dtype),
);
test.describe.configure({ mode: "parallel" });

// ---- GGUF ----

/** What a converter does to a family: the architecture's name, the names of modules, what it writes of the config. */
interface Conversion {
  architecture: string;
  names: Readonly<Record<string, string>>;
  /** Fields of config.json that a GGUF has no place for, as llama.cpp takes them. */
  assumes?: HubConfig;
  keys?: (config: HubConfig) => Record<string, Value>;
  tensors?: (config: HubConfig) => Record<string, readonly number[]>;
  /** Rows of queries and keys in the order of interleaved RoPE. */
  interleaved?: boolean;
  normOffset?: number;
}

const NAMES = {
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  input_layernorm: "attn_norm",
  post_attention_layernorm: "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};
const POST = { post_attention_layernorm: "post_attention_norm", post_feedforward_layernorm: "post_ffw_norm" };
const number = (config: HubConfig, field: string): number => Number(config[field]);

const CONVERSIONS: Readonly<Record<string, Conversion>> = {
  gemma3: {
    architecture: "gemma3",
    names: { ...NAMES, ...POST, pre_feedforward_layernorm: "ffn_norm" },
    assumes: { query_pre_attn_scalar: 24 }, // the width of a head
    normOffset: 1,
    keys: (config) => ({
      "attention.sliding_window": u32(number(config, "sliding_window")),
      "rope.freq_base_swa": f32(number(config, "rope_local_base_freq")),
      "rope.scaling.type": text("linear"),
      "rope.scaling.factor": f32(4),
    }),
  },
  granite: {
    architecture: "granite",
    names: NAMES,
    interleaved: true,
    keys: (config) => ({
      embedding_scale: f32(number(config, "embedding_multiplier")),
      residual_scale: f32(number(config, "residual_multiplier")),
      "attention.scale": f32(number(config, "attention_multiplier")),
      logit_scale: f32(number(config, "logits_scaling")),
    }),
  },
  olmo2: { architecture: "olmo2", names: { ...NAMES, ...POST } },
  smollm3: { architecture: "smollm3", names: NAMES, interleaved: true },
  phi3: {
    architecture: "phi3",
    names: { ...NAMES, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up" },
    keys: (config) => ({
      "attention.sliding_window": u32(number(config, "sliding_window")),
      "rope.dimension_count": u32(14),
      "rope.scaling.original_context_length": u32(number(config, "original_max_position_embeddings")),
      "rope.scaling.attn_factor": f32(Math.sqrt(1 + Math.log(256 / 32) / Math.log(32))),
    }),
    tensors: ({ rope_scaling: rope }) => ({
      rope_factors_long: (rope as Record<string, number[]>).long_factor!,
      rope_factors_short: (rope as Record<string, number[]>).short_factor!,
    }),
  },
  ministral3: {
    architecture: "mistral3",
    names: NAMES,
    interleaved: true,
    keys: ({ rope_parameters: rope }) => {
      const yarn = rope as HubConfig;
      return {
        "rope.scaling.type": text("yarn"),
        "rope.scaling.factor": f32(number(yarn, "factor")),
        "rope.scaling.original_context_length": u32(number(yarn, "original_max_position_embeddings")),
        "rope.scaling.yarn_beta_fast": f32(32),
        "rope.scaling.yarn_beta_slow": f32(1),
        "rope.scaling.yarn_log_multiplier": f32(1),
        "attention.temperature_scale": f32(number(yarn, "llama_4_scaling_beta")),
      };
    },
  },
};

/** The golden model with what a GGUF assumes of it. */
function assumed(variant: string): Checkpoint & { model: Model } {
  const { seed, config: own } = readGolden(variant);
  const config = { ...own, ...CONVERSIONS[variant]!.assumes };
  const tensors = makeTensors(config, seed);
  return { config, tensors, model: createModel(config, tensors) };
}

/** Rows 2i + j of a head are row j · E/2 + i. */
function interleave(data: Float32Array, E: number, depth: number): Float32Array {
  return data.map((_, at) => {
    const [row, k] = [Math.floor(at / depth), at % depth];
    const within = row % E;
    return data[(row - within + (within % 2) * (E / 2) + Math.floor(within / 2)) * depth + k]!;
  });
}

function convertTensor(name: string, data: Float32Array, shape: readonly number[], E: number, by: Conversion) {
  if (by.interleaved && /[qk]_proj\.weight/.test(name)) return interleave(data, E, shape[1]!);
  return name.includes("norm") ? data.map((value) => value + (by.normOffset ?? 0)) : data;
}

/** The name in a GGUF. */
function nameOf(name: string, { names }: Conversion): string {
  const fixed: Record<string, string> = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
  };
  const [, layer, module] = /^model\.layers\.(\d+)\.(.*)\.weight$/.exec(name) ?? [];
  return fixed[name] ?? `blk.${layer}.${names[module!]}.weight`;
}

function asGguf(variant: string): Uint8Array<ArrayBuffer> {
  const by = CONVERSIONS[variant]!;
  const { config, tensors, model } = assumed(variant);
  const { E, V } = model.shape;
  const floats = (name: string, shape: readonly number[], values: Float32Array): GgufTensorSpec => ({
    name,
    shape,
    typeId: ggmlTypes.F32[0],
    data: new Uint8Array(values.buffer),
  });
  const specs = [...tensors].map(([name, { shape, data }]) =>
    floats(nameOf(name, by), shape, convertTensor(name, data, shape, E, by)),
  );
  for (const [name, values] of Object.entries(by.tensors?.(config) ?? {}))
    specs.push(floats(`${name}.weight`, [values.length], Float32Array.from(values)));
  return gguf({ metadata: { ...metadataOf(config, E, V, by) }, tensors: specs });
}

function metadataOf(config: HubConfig, E: number, V: number, by: Conversion): Record<string, Value> {
  const theta = number({ ...config, ...(config.rope_parameters as HubConfig | undefined) }, "rope_theta");
  const own = {
    block_count: u32(number(config, "num_hidden_layers")),
    context_length: u32(256),
    embedding_length: u32(number(config, "hidden_size")),
    feed_forward_length: u32(number(config, "intermediate_size")),
    "attention.head_count": u32(number(config, "num_attention_heads")),
    "attention.head_count_kv": u32(number(config, "num_key_value_heads")),
    "attention.key_length": u32(E),
    "attention.value_length": u32(E),
    "attention.layer_norm_rms_epsilon": f32(number(config, "rms_norm_eps")),
    "rope.freq_base": f32(theta),
    ...by.keys?.(config),
  };
  const tokens = Array.from({ length: V }, (_, id) => (id < 3 ? ["<unk>", "<s>", "</s>"][id]! : letterOf(id)));
  const types = tokens.map((_, id) => ({ type: "i32", value: id < 3 ? 3 : 1 }) as const);
  return {
    "general.architecture": text(by.architecture),
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${by.architecture}.${key}`, value])),
    "tokenizer.ggml.model": text("gpt2"),
    "tokenizer.ggml.pre": text("gpt-2"),
    "tokenizer.ggml.tokens": strings(tokens),
    "tokenizer.ggml.merges": strings([]),
    "tokenizer.ggml.token_type": { type: "array", of: "i32", value: types },
  };
}

for (const variant of Object.keys(CONVERSIONS)) {
  test(`${variant} as a GGUF: log-probabilities of float64`, async ({ call }) => {
    const { prompt, float32Gap } = readGolden(variant);
    await call("open", variant, `${source(`${variant}@gguf`)}model.gguf`, { kv: "f32", context: 96 });
    const got = await call("score", variant, prompt);
    const want = score(assumed(variant).model, prompt);
    expect(worst(got.slice(1), want.subarray(1))).toBeLessThan(tolerance({ float32Gap }));
    await call("close", variant);
  });
}

// ---- keys and values ----

/** A golden model and 120 tokens for it. */
function toy(variant: string) {
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = readGolden(variant);
  return { model: createModel(config, tensors), tokens: [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 27)] };
}

const KIVI = { kbits: 8, vbits: 8, rotate: false, recent: 32, chunk: 64 };
const SHADOW = { chunk: 4, outliers: 3, selected: 4, local: 16, select: "layer", rank: 1024, half: true } as const;
const PYRAMID = { budget: 48, window: 8, beta: 4 };

/** A recipe, and the reference's reply with it. */
const RECIPES: readonly (readonly [kv: string, reply: (model: Model, tokens: readonly number[]) => number[]])[] = [
  ["int8", (model, tokens) => greedy(model, tokens, 12, { kv: "int8" }).tokens],
  ["f32+kivi:bits=8,recent=32", (model, tokens) => kiviReply(model, tokens, 12, KIVI).tokens],
  ["f32+pyramid:budget=48,window=8,beta=4", (model, tokens) => pyramidReply(model, tokens, 12, PYRAMID).tokens],
  [
    "f32+shadow:chunk=4,outliers=3,budget=16,local=16,values=f16,rank=full",
    (model, tokens) => shadowReply(model, tokens, 12, SHADOW).tokens,
  ],
];

for (const variant of ["granite", "olmo2", "smollm3", "ministral3", "phi3-short", "qwen3-head-36"]) {
  test(`${variant}: every recipe gives the reference's tokens`, async ({ call }) => {
    const { model, tokens } = toy(variant);
    for (const [kv, reply] of RECIPES) {
      await call("open", variant, source(variant), { kv, context: 160, chunk: 64 });
      expect((await call("answer", variant, job(tokens, 12))).tokens, kv).toEqual(reply(model, tokens));
    }
    await call("close", variant);
  });
}

test("what a family cannot do is refused by name", async ({ call }) => {
  const refused = (variant: string, options: object, message: RegExp) =>
    expect(call("open", "bad", source(variant), { context: 96, ...options })).rejects.toThrow(message);
  await refused("gemma3", { kv: "pyramid" }, /InputError: kv: pyramid; got a model whose layers see a window/);
  await refused(
    "olmo2",
    { swiftkv: { layers: 1, group: 1 } },
    /UnsupportedError: swiftkv: Olmo2ForCausalLM; got a model without norms before its blocks/,
  );
});

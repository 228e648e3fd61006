// The oracle against the other authors: Hugging Face transformers (golden/), a numpy model (stories260K), the SwiftKV
// conformance vectors. Plain Node, no GPU.
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "playwright/test";
import { halfBits, fromHalfBits, makeCheckpoint, makeTensors, readGolden } from "./golden/checkpoint.ts";
import { readSafetensors, toSafetensors, VARIANTS } from "./golden/checkpoint.ts";
import { createCache, createModel, forward, greedy, logSoftmax, score, toHalf } from "./reference.ts";
import type { ForwardOptions, HubConfig, Model, Tensor } from "./reference.ts";

/** Two float64 programs that sum in different orders: 2⁻⁵³ · √terms, amplified by a few layers (measured: 4e-15). */
const FLOAT64 = 1e-12;

/** Largest |got − want| over largest |want|. */
function error(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  let [worst, scale] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    const difference = Math.abs(got[i]! - want[i]!);
    worst = Number.isNaN(difference) ? Infinity : Math.max(worst, difference);
    scale = Math.max(scale, Math.abs(want[i]!));
  }
  return worst / scale;
}

function load(variant: string, change: Record<string, unknown> = {}): Model {
  const { config, tensors } = makeCheckpoint(variant);
  return createModel({ ...config, ...change }, tensors);
}

const last = (model: Model, tokens: readonly number[], options: ForwardOptions = {}): Float64Array =>
  forward(model, tokens, createCache(model), { ...options, rows: "last" });

for (const variant of VARIANTS) {
  test(`golden ${variant}: logits, log-probabilities and greedy tokens equal transformers`, () => {
    const golden = readGolden(variant);
    const model = load(variant);
    expect(error(last(model, golden.prompt), golden.logits)).toBeLessThan(FLOAT64);
    expect(error(score(model, golden.prompt).slice(1), golden.logprobs.slice(1).map(Number))).toBeLessThan(FLOAT64);
    const { tokens, logprobs, margins } = greedy(model, golden.prompt, golden.greedy.tokens.length);
    expect(tokens).toEqual(golden.greedy.tokens);
    expect(error(logprobs, golden.greedy.logprobs)).toBeLessThan(FLOAT64);
    expect(error(margins, golden.greedy.margins)).toBeLessThan(FLOAT64);
    expect(Math.min(...golden.greedy.margins)).toBeGreaterThan(0.1);
  });
}

/** A fixture guards a feature only if a model without it gives other numbers. */
const MUTANTS: [variant: string, what: string, change: Record<string, unknown>][] = [
  ["llama", "other epsilon", { rms_norm_eps: 1e-2 }],
  ["llama", "embedding used as head", { tie_word_embeddings: true }],
  ["llama-linear", "no scaling", { rope_scaling: null }],
  ["llama3", "no scaling", { rope_scaling: null }],
  ["llama3-parameters", "other theta", { rope_parameters: { rope_type: "default", rope_theta: 500 } }],
  ["mistral", "window one short", { sliding_window: 15 }],
  ["mistral", "window one long", { sliding_window: 17 }],
  ["mistral", "no window", { sliding_window: null }],
  ["qwen2-window", "window in every layer", { max_window_layers: 0 }],
  ["qwen2-window", "window in no layer", { use_sliding_window: false }],
  ["qwen3", "other theta", { rope_parameters: { rope_type: "default", rope_theta: 10000 } }],
];
for (const [variant, what, change] of MUTANTS) {
  test(`golden ${variant} notices: ${what}`, () => {
    const { prompt, logits } = readGolden(variant);
    expect(error(last(load(variant, change), prompt), logits)).toBeGreaterThan(1e-3);
  });
}

/** Weights that a loader could forget without any complaint. */
for (const [variant, part] of [
  ["llama-bias", "self_attn.q_proj.bias"],
  ["llama-bias", "self_attn.o_proj.bias"],
  ["llama-bias", "mlp.gate_proj.bias"],
  ["llama-bias", "mlp.up_proj.bias"],
  ["llama-bias", "mlp.down_proj.bias"],
  ["qwen2", "self_attn.k_proj.bias"],
  ["qwen2", "self_attn.v_proj.bias"],
  ["qwen3", "self_attn.q_norm.weight"],
  ["qwen3", "self_attn.k_norm.weight"],
] as const) {
  test(`golden ${variant} notices: layer 1 without ${part}`, () => {
    const { prompt, logits } = readGolden(variant);
    const { config, tensors } = makeCheckpoint(variant);
    expect(tensors.delete(`model.layers.1.${part}`)).toBe(true);
    expect(error(last(createModel(config, tensors), prompt), logits)).toBeGreaterThan(1e-3);
  });
}

test("layer_types says which layers have a window, as max_window_layers does", () => {
  const { prompt, logits } = readGolden("qwen2-window");
  const layer_types = ["full_attention", "sliding_attention", "sliding_attention"];
  expect(error(last(load("qwen2-window", { layer_types, max_window_layers: 0 }), prompt), logits)).toBeLessThan(
    FLOAT64,
  );
});

test("chunks through one cache equal one shot, to the bit", () => {
  for (const variant of ["llama-gqa-tied", "mistral", "qwen3"]) {
    const model = load(variant);
    const { prompt } = readGolden(variant);
    const { V } = model.shape;
    const whole = forward(model, prompt);
    for (const size of [1, 7, 49]) {
      const cache = createCache(model);
      for (let at = 0; at < prompt.length; at += size) {
        const chunk = prompt.slice(at, at + size);
        expect(forward(model, chunk, cache)).toEqual(whole.slice(at * V, (at + chunk.length) * V));
      }
      expect(cache.length).toBe(prompt.length);
    }
  }
});

test("an f16 cache differs by about its rounding, and equally however the prompt is cut", () => {
  for (const variant of VARIANTS) {
    const model = load(variant);
    const { prompt, logits, greedy: want } = readGolden(variant);
    const half = last(model, prompt, { kv: "f16" });
    const gap = error(half, logits);
    expect(gap).toBeGreaterThan(1e-6);
    expect(gap).toBeLessThan(5e-3);
    expect(greedy(model, prompt, want.tokens.length, { kv: "f16" }).tokens).toEqual(want.tokens);
    const cache = createCache(model);
    forward(model, prompt.slice(0, 20), cache, { kv: "f16" });
    expect(forward(model, prompt.slice(20), cache, { kv: "f16", rows: "last" })).toEqual(half);
  }
});

test("half precision: rounding, ties to even, subnormals, overflow, and all 65536 bit patterns", () => {
  expect([1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -11 + 2 ** -30].map(toHalf)).toEqual([1, 1 + 2 ** -9, 1 + 2 ** -10]);
  expect([2 ** -25, 3 * 2 ** -25, -65519, 65520, -1e9].map(toHalf)).toEqual([0, 2 ** -23, -65504, Infinity, -Infinity]);
  for (let bits = 0; bits < 65536; bits++) {
    const value = fromHalfBits(bits);
    if (!Number.isNaN(value) && halfBits(value) !== bits) throw new Error(`${bits} comes back as ${halfBits(value)}`);
  }
});

test("safetensors: what is written is read back, in every stored type", () => {
  for (const [variant, dtype] of [
    ["llama", "F32"],
    ["llama-f16", "F16"],
    ["llama-bf16", "BF16"],
  ] as const) {
    const { tensors } = makeCheckpoint(variant);
    expect(readSafetensors(toSafetensors(tensors, dtype))).toEqual(tensors);
  }
});

test("bad input is refused in words", () => {
  const model = load("llama");
  expect(() => forward(model, [157])).toThrow("reference: token id; got 157, want an integer in 0 … 156.");
  expect(() => load("llama", { hidden_size: undefined })).toThrow("reference: config.hidden_size; got undefined");
  expect(() => load("llama", { rope_scaling: { rope_type: "yarn" } })).toThrow("reference: rope_type; got yarn");
  expect(() => forward(createModel(makeCheckpoint("llama").config, new Map()), [1])).toThrow("lacks");
});

// ---- SwiftKV --------------------------------------------------------------------------------------------------------

interface SwiftkvVectors {
  tokens: number[];
  teacher_last: number[];
  student_last_G1: number[];
  student_last_G2: number[];
  kl_loss_G1: number;
  kl_loss_G2: number;
  embed_row5_first4: number[];
}
const vectors = JSON.parse(readFileSync(new URL("golden/swiftkv.json", import.meta.url), "utf8")) as SwiftkvVectors;

/** The toy model of the vectors: tensor number n is scale·sin(0.7·i + 1.9·n + 0.3), row-major. */
function toyTensors(): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  const add = (name: string, shape: number[], scale: number, base = 0): void => {
    const n = tensors.size + 1;
    const data = new Float64Array(shape.reduce((a, b) => a * b, 1));
    tensors.set(`model.${name}.weight`, {
      shape,
      data: data.map((_, i) => base + scale * Math.sin(0.7 * i + 1.9 * n + 0.3)),
    });
  };
  add("embed_tokens", [11, 8], 0.9);
  for (let layer = 0; layer < 4; layer++) {
    add(`layers.${layer}.input_layernorm`, [8], 0.1, 1);
    add(`layers.${layer}.self_attn.q_proj`, [8, 8], 0.4);
    add(`layers.${layer}.self_attn.k_proj`, [4, 8], 0.4);
    add(`layers.${layer}.self_attn.v_proj`, [4, 8], 0.4);
    add(`layers.${layer}.self_attn.o_proj`, [8, 8], 0.4);
    add(`layers.${layer}.post_attention_layernorm`, [8], 0.1, 1);
    add(`layers.${layer}.mlp.gate_proj`, [12, 8], 0.3);
    add(`layers.${layer}.mlp.up_proj`, [12, 8], 0.3);
    add(`layers.${layer}.mlp.down_proj`, [8, 12], 0.3);
  }
  add("norm", [8], 0.1, 1);
  add("lm_head", [11, 8], 0.5);
  tensors.set("lm_head.weight", tensors.get("model.lm_head.weight")!);
  return tensors;
}

const TOY: HubConfig = {
  model_type: "llama_swiftkv",
  num_hidden_layers: 4,
  hidden_size: 8,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 11,
  rms_norm_eps: 1e-5,
};

const at = (layer: number, kind: string): string => `model.layers.${layer}.self_attn.${kind}_proj`;

/** Layers 2 and 3 read shared keys and values, each group's projections the mean of its layers'. */
function student(groupSize: number): Model {
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
  return createModel({ ...TOY, num_key_value_layers: 2, key_value_group_size: groupSize }, tensors);
}

test("SwiftKV vectors: teacher", () => {
  const teacher = createModel(TOY, toyTensors());
  expect(
    error(teacher.tensors.get("model.embed_tokens.weight")!.data.slice(40, 44), vectors.embed_row5_first4),
  ).toBeLessThan(1e-12);
  expect(error(last(teacher, vectors.tokens), vectors.teacher_last)).toBeLessThan(1e-12);
});

/** KL(teacher ‖ student) · 4 at temperature 2, of positions 3, 4, 5, over all 6 positions. */
function distillationLoss(model: Model): number {
  const [teacher, V] = [createModel(TOY, toyTensors()), 11];
  const [want, got] = [teacher, model].map((m) => forward(m, vectors.tokens).map((logit) => logit / 2)) as [
    Float64Array,
    Float64Array,
  ];
  let loss = 0;
  for (let t = 3; t < 6; t++) {
    const [p, q] = [logSoftmax(want.slice(t * V, (t + 1) * V)), logSoftmax(got.slice(t * V, (t + 1) * V))];
    p.forEach((logP, v) => (loss += (Math.exp(logP) * (logP - q[v]!) * 4) / 6));
  }
  return loss;
}

for (const groupSize of [1, 2] as const) {
  test(`SwiftKV vectors: student, ${groupSize} layer(s) per cache`, () => {
    const model = student(groupSize);
    const want = vectors[`student_last_G${groupSize}`];
    const { tokens } = vectors;
    expect(error(forward(model, tokens).slice(-11), want)).toBeLessThan(1e-12);
    // Skipping the later layers for all tokens but the last is exact, however the prompt is cut.
    for (const cut of [0, 3, 5]) {
      const cache = createCache(model);
      if (cut > 0) forward(model, tokens.slice(0, cut), cache, { rows: "last" });
      expect(error(forward(model, tokens.slice(cut), cache, { rows: "last" }), want)).toBeLessThan(1e-12);
      expect(cache.keys.map((rows) => rows.length)).toEqual(groupSize === 1 ? [6, 6, 6, 6] : [6, 6, 6, 0]);
    }
    expect(distillationLoss(model) / vectors[`kl_loss_G${groupSize}`]).toBeCloseTo(1, 9);
  });
}

test("SwiftKV on seeded checkpoints: skipping is exact; no later layers means an ordinary model", () => {
  for (const variant of ["llama-gqa-tied", "qwen2", "qwen3"]) {
    const { config, seed, prompt, logits } = readGolden(variant);
    const swift = { ...config, num_key_value_layers: 1, key_value_group_size: 2 };
    const model = createModel(swift, makeTensors(swift, seed));
    expect(last(model, prompt)).toEqual(forward(model, prompt).slice(-model.shape.V));
    const ordinary = { ...config, num_key_value_layers: config.num_hidden_layers };
    expect(error(last(createModel(ordinary, makeTensors(ordinary, seed)), prompt), logits)).toBeLessThan(FLOAT64);
  }
});

// ---- a trained model ------------------------------------------------------------------------------------------------

test("stories260K: first logits and 256 greedy tokens equal the numpy record", () => {
  const folder = new URL("../../shared/models/stories260K/", import.meta.url);
  test.skip(!existsSync(folder), `absent: ${folder.pathname}`);
  const json = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
  const { tokens, logits_first } = json("golden.json") as { tokens: number[]; logits_first: number[] };
  const weights = readSafetensors(readFileSync(new URL("model.safetensors", folder)));
  const model = createModel(json("config.json") as HubConfig, weights);
  // The record rounds logits to 6 decimals.
  last(model, tokens.slice(0, 1)).forEach((logit, v) => expect(Math.abs(logit - logits_first[v]!)).toBeLessThan(6e-7));
  expect(greedy(model, tokens.slice(0, 1), 256).tokens).toEqual(tokens.slice(1));
});

test("fable: first logits and greedy replies equal the transformers record", () => {
  const folder = new URL("../../shared/models/fable/", import.meta.url);
  test.skip(!existsSync(folder), `absent: ${folder.pathname}`);
  const json = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
  const { cases } = json("golden.json") as { cases: { prompt: number[]; tokens: number[]; first_top8: number[][] }[] };
  const weights = readSafetensors(readFileSync(new URL("model.safetensors", folder)));
  const model = createModel(json("config.json") as HubConfig, weights);
  for (const { prompt, tokens, first_top8 } of cases.filter(({ prompt }) => prompt.length < 100)) {
    const first = last(model, prompt);
    // The record rounds to 6 decimals, and transformers computed it with cos, sin, norms and softmax in f32.
    for (const [id, logit] of first_top8) expect(Math.abs(first[id!]! - logit!)).toBeLessThan(1e-4);
    expect(greedy(model, prompt, tokens.length).tokens).toEqual(tokens);
  }
});

// The oracle against the other authors: Hugging Face transformers (golden/), SwiftKV on top of it (golden/swiftkv.py), a
// numpy model (stories260K), the SwiftKV conformance vectors. Plain Node, no GPU.
import { readFileSync } from "node:fs";
import { expect, test } from "playwright/test";
import { halfBits, fromHalfBits, makeCheckpoint, makeTensors, readGolden } from "./golden/checkpoint.ts";
import { readSafetensors, FAMILY_VARIANTS, SWIFTKV_VARIANTS, toSafetensors, VARIANTS } from "./golden/checkpoint.ts";
import type { GoldenNumbers } from "./golden/checkpoint.ts";
import { applyChange, DAMAGED, HARMLESS, numbersOf } from "./golden/damage.ts";
import { TOY, toyModel, toyStudent, toyTensors, vectors } from "./golden/toy.ts";
import { folderHolding, skipWithout, STORIES } from "./material.ts";
import { createCache, createModel, forward, greedy, logSoftmax, score, toHalf, toSteps } from "./reference.ts";
import type { ForwardOptions, HubConfig, Model } from "./reference.ts";

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

/** Logits and greedy tokens come of rows "last", log-probabilities of rows "all". */
function expectNumbers(model: Model, prompt: readonly number[], want: GoldenNumbers): void {
  expect(error(last(model, prompt), want.logits)).toBeLessThan(FLOAT64);
  expect(error(score(model, prompt).slice(1), want.logprobs.slice(1).map(Number))).toBeLessThan(FLOAT64);
  const { tokens, logprobs, margins } = greedy(model, prompt, want.greedy.tokens.length);
  expect(tokens).toEqual(want.greedy.tokens);
  expect(error(logprobs, want.greedy.logprobs)).toBeLessThan(FLOAT64);
  expect(error(margins, want.greedy.margins)).toBeLessThan(FLOAT64);
  expect(Math.min(...want.greedy.margins)).toBeGreaterThan(0.1);
}

for (const variant of [...VARIANTS, ...FAMILY_VARIANTS, ...SWIFTKV_VARIANTS]) {
  test(`golden ${variant}: logits, log-probabilities and greedy tokens equal transformers`, () => {
    expectNumbers(load(variant), readGolden(variant).prompt, readGolden(variant));
  });
}

const YARN = readGolden("ministral3").config.rope_parameters as Record<string, unknown>;

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
  ["gemma3", "one base for all layers", { rope_local_base_freq: 5000 }],
  ["gemma3", "no scaling", { rope_scaling: null }],
  ["gemma3", "scores over the width of a head", { query_pre_attn_scalar: 24 }],
  ["gemma3", "every fifth layer sees all", { sliding_window_pattern: 5 }],
  ["granite", "embeddings as they are", { embedding_multiplier: 1 }],
  ["granite", "scores over the width of a head", { attention_multiplier: 8 ** -0.5 }],
  ["granite", "blocks as they are", { residual_multiplier: 1 }],
  ["granite", "logits as they are", { logits_scaling: 1 }],
  ["smollm3", "every layer turns", { no_rope_layers: [1, 1, 1, 1, 1] }],
  ["phi3", "every channel turns", { partial_rotary_factor: 1, rope_scaling: null }],
  ["phi3", "no window", { sliding_window: null }],
  ["phi3-short", "long factors", { original_max_position_embeddings: 32 }],
  ["ministral3", "queries as long everywhere", { rope_parameters: { ...YARN, llama_4_scaling_beta: 0 } }],
  ["llama-swiftkv-g3", "no scaling", { rope_scaling: null }],
  ["qwen2-swiftkv-window", "window in no layer", { use_sliding_window: false }],
  ["qwen2-swiftkv-window", "layer 3 sees what layer 2 sees", { max_window_layers: 4 }],
  ["qwen2-swiftkv-window", "layer 2 sees what layer 3 sees", { max_window_layers: 2 }],
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
  ["qwen3-head-36", "self_attn.v_proj.bias"],
  ["olmo2", "self_attn.q_norm.weight"],
  ["olmo2", "self_attn.k_norm.weight"],
  ["llama-swiftkv-k0", "self_attn.q_proj_swiftkv.bias"],
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
  for (const variant of [...VARIANTS, ...SWIFTKV_VARIANTS]) {
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

test("an int8 or int4 cache differs by about its rounding, and equally however the prompt is cut", () => {
  for (const variant of VARIANTS) {
    const model = load(variant);
    const { prompt, logits } = readGolden(variant);
    const gap = { int8: 0, int4: 0 };
    for (const kv of ["int8", "int4"] as const) {
      const whole = last(model, prompt, { kv });
      gap[kv] = error(whole, logits);
      const cache = createCache(model);
      forward(model, prompt.slice(0, 20), cache, { kv });
      expect(forward(model, prompt.slice(20), cache, { kv, rows: "last" })).toEqual(whole);
    }
    expect(gap.int8).toBeGreaterThan(1e-5);
    expect(gap.int8).toBeLessThan(5e-2);
    expect(gap.int4).toBeGreaterThan(gap.int8);
    expect(gap.int4).toBeLessThan(1);
  }
});

test("whole steps: the ends are kept, equal values stay, at most half a step off, each head by itself", () => {
  // Steps of 1/8 and 1/16: minimum and scale are exact in half precision.
  const row = Float64Array.of(-1, 0.875, 0.06, -0.07, 0.25, 0.25, 0.25, 0.25, 0, 0, 0, 0, 0, 0.9375, 0.5, 0.04);
  expect([...toSteps(row, 4, 4)]).toEqual([
    -1, 0.875, 0, -0.125, 0.25, 0.25, 0.25, 0.25, 0, 0, 0, 0, 0, 0.9375, 0.5, 0.0625,
  ]); // prettier-ignore
  const noisy = Float64Array.from({ length: 64 }, (_, i) => Math.sin(1.3 * i));
  for (const bits of [4, 8]) {
    const step = 2 / (2 ** bits - 1);
    toSteps(noisy, 64, bits).forEach((value, e) => expect(Math.abs(value - noisy[e]!)).toBeLessThan(0.51 * step));
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
  expect(() => load("llama", { rope_scaling: { rope_type: "spiral" } })).toThrow("reference: rope_type; got spiral");
  expect(() => forward(createModel(makeCheckpoint("llama").config, new Map()), [1])).toThrow("lacks");
});

// ---- SwiftKV --------------------------------------------------------------------------------------------------------

for (const variant of SWIFTKV_VARIANTS) {
  test(`golden ${variant}: skipping changes no bit, however the prompt is cut; swiftkv false is the teacher`, () => {
    const { prompt, logits, teacher } = readGolden(variant);
    const model = load(variant);
    const { L, V, ownLayers } = model.shape;
    const whole = forward(model, prompt).slice(-V);
    for (const cut of [0, 1, 20, 49]) {
      const cache = createCache(model);
      if (cut > 0) forward(model, prompt.slice(0, cut), cache, { rows: "last" });
      expect(forward(model, prompt.slice(cut), cache, { rows: "last" })).toEqual(whole);
    }
    let later = 0;
    const observe = (name: string, layer: number, rows: readonly unknown[]): void => {
      if (name === "hidden" && layer >= ownLayers) later += rows.length;
    };
    last(model, prompt, { observe });
    expect(later).toBe(L - ownLayers);
    expectNumbers(load(variant, { swiftkv: false }), prompt, teacher!);
    expect(error(teacher!.logits, logits)).toBeGreaterThan(1e-3);
  });
}

/** Tensors a loader could take instead without any complaint; the teacher's where no other is named. */
for (const [variant, layer, part, instead] of [
  ["llama-swiftkv", 3, "q_proj_swiftkv.weight"],
  ["llama-swiftkv", 5, "q_proj_swiftkv.weight"],
  ["llama-swiftkv", 3, "k_proj_swiftkv.weight"],
  ["llama-swiftkv", 5, "v_proj_swiftkv.weight"],
  ["llama-swiftkv-g3", 3, "q_proj_swiftkv.weight"],
  ["llama-swiftkv-k0", 2, "v_proj_swiftkv.weight"],
  ["llama-swiftkv-k0", 1, "q_proj_swiftkv.bias"],
  ["llama-swiftkv-k0", 0, "k_proj_swiftkv.weight", "layers.2.self_attn.k_proj_swiftkv.weight"],
  ["qwen2-swiftkv", 2, "v_proj_swiftkv.bias"],
  ["qwen2-swiftkv", 3, "q_proj_swiftkv.bias"],
  ["qwen2-swiftkv", 4, "k_proj_swiftkv.weight", "layers.2.self_attn.k_proj_swiftkv.weight"],
  ["qwen3-swiftkv", 3, "k_proj_swiftkv.weight"],
  ["qwen3-swiftkv", 3, "k_norm.weight", "layers.2.self_attn.k_norm.weight"],
  ["qwen3-swiftkv", 3, "q_norm.weight", "layers.3.self_attn.k_norm.weight"],
] as const) {
  test(`golden ${variant} notices: layer ${layer} with another ${part}`, () => {
    const { prompt, logits } = readGolden(variant);
    const { config, tensors } = makeCheckpoint(variant);
    const name = `model.layers.${layer}.self_attn.${part}`;
    tensors.set(name, tensors.get(instead ? `model.${instead}` : name.replace("_swiftkv", ""))!);
    expect(error(last(createModel(config, tensors), prompt), logits)).toBeGreaterThan(1e-3);
  });
}

for (const variant of SWIFTKV_VARIANTS) {
  test(`golden ${variant} notices: the norm of layer K instead of norm_swiftkv`, () => {
    const { prompt, logits } = readGolden(variant);
    const { config, tensors } = makeCheckpoint(variant);
    const first = `model.layers.${config.num_key_value_layers as number}.input_layernorm.weight`;
    tensors.set("model.norm_swiftkv.weight", tensors.get(first)!);
    expect(error(last(createModel(config, tensors), prompt), logits)).toBeGreaterThan(1e-3);
  });
}

for (const [name, odd] of Object.entries(HARMLESS)) {
  test(`odd SwiftKV checkpoint: ${name}`, () => {
    const { config, tensors } = applyChange(odd);
    expectNumbers(createModel(config, tensors), readGolden(odd.variant).prompt, numbersOf(odd.variant, odd.like));
  });
}

test("damaged SwiftKV checkpoints: what the complaint must name is what was changed", () => {
  for (const [name, damage] of Object.entries(DAMAGED)) {
    const [whole, damaged] = [makeCheckpoint(damage.variant), applyChange(damage)];
    const tensors = [...whole.tensors].filter(
      ([key, { shape }]) => `${damaged.tensors.get(key)?.shape}` !== `${shape}`,
    );
    const changed = [...tensors.map(([key]) => key), ...Object.keys(damage.config ?? {})];
    const absent = damage.names.startsWith("model.") && ![...damaged.tensors.keys()].includes(damage.names);
    expect(changed.includes(damage.names) || absent, name).toBe(true);
  }
});

const student = (groupSize: number): Model => toyModel(toyStudent(groupSize));

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
  skipWithout(STORIES, "golden.json");
  const folder = folderHolding(STORIES, "golden.json");
  const json = (name: string): unknown => JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));
  const { tokens, logits_first } = json("golden.json") as { tokens: number[]; logits_first: number[] };
  const weights = readSafetensors(readFileSync(`${folder}/model.safetensors`));
  const model = createModel(json("config.json") as HubConfig, weights);
  // The record rounds logits to 6 decimals.
  last(model, tokens.slice(0, 1)).forEach((logit, v) => expect(Math.abs(logit - logits_first[v]!)).toBeLessThan(6e-7));
  expect(greedy(model, tokens.slice(0, 1), 256).tokens).toEqual(tokens.slice(1));
});

test("fable: first logits and greedy replies equal the transformers record", () => {
  const folder = folderHolding("fable", "golden.json");
  const json = (name: string): unknown => JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));
  const { cases } = json("golden.json") as { cases: { prompt: number[]; tokens: number[]; first_top8: number[][] }[] };
  const weights = readSafetensors(readFileSync(`${folder}/model.safetensors`));
  const model = createModel(json("config.json") as HubConfig, weights);
  for (const { prompt, tokens, first_top8 } of cases.filter(({ prompt }) => prompt.length < 100)) {
    const first = last(model, prompt);
    // The record rounds to 6 decimals, and transformers computed it with cos, sin, norms and softmax in f32.
    for (const [id, logit] of first_top8) expect(Math.abs(first[id!]! - logit!)).toBeLessThan(1e-4);
    expect(greedy(model, prompt, tokens.length).tokens).toEqual(tokens);
  }
});

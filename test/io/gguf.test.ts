import { expect, test } from "playwright/test";
import { ModelError, UnsupportedError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import * as formats from "./formats.ts";
import { f32, gguf, ggmlTypes, smallMetadata, smallTensors, strings, tensor, text, u32 } from "./formats.ts";
import { expectError } from "./failure.ts";
import { serve } from "./server.ts";
import type { GgmlType, GgufSpec, GgufTensorSpec, Value } from "./formats.ts";

const open = (bytes: Uint8Array<ArrayBuffer>) => openCheckpoint([formats.asFile(bytes, "tiny.gguf")]);

/** Opens the small model with changes. */
const openWith = (spec: Partial<GgufSpec>) =>
  open(gguf({ metadata: smallMetadata(), tensors: smallTensors(), ...spec }));

const withKeys = (changes: Record<string, Value>, architecture = "llama") =>
  openWith({ metadata: { ...smallMetadata(architecture), ...changes } });

test("names, shapes and bytes of every tensor type", async () => {
  const checkpoint = await open(formats.smallGguf());
  const layer = "model.layers.0";
  const names = [
    "model.embed_tokens.weight",
    `${layer}.input_layernorm.weight`,
    `${layer}.self_attn.q_proj.weight`,
    `${layer}.self_attn.k_proj.weight`,
    `${layer}.self_attn.v_proj.weight`,
    `${layer}.self_attn.o_proj.weight`,
    `${layer}.post_attention_layernorm.weight`,
    `${layer}.mlp.gate_proj.weight`,
    `${layer}.mlp.up_proj.weight`,
    `${layer}.mlp.down_proj.weight`,
    "model.norm.weight",
  ];
  expect([...checkpoint.tensors.keys()]).toEqual(names);
  for (const [i, { shape, data, typeId }] of smallTensors().entries()) {
    const info = checkpoint.tensors.get(names[i]!)!;
    expect(info.shape).toEqual(shape);
    expect(ggmlTypes[info.type][0]).toBe(typeId);
    expect(info.byteLength).toBe(data.length);
    expect(await checkpoint.read(names[i]!)).toEqual(data);
  }
  const [, ...others] = smallTensors();
  for (const type of Object.keys(ggmlTypes) as GgmlType[]) {
    const first = tensor("token_embd.weight", type, [4, 256]);
    const info = (await openWith({ tensors: [first, ...others] })).tensors.get(names[0]!)!;
    expect(info).toMatchObject({ type, byteLength: first.data.length });
  }
});

test("config, generation config, tokenizer metadata", async () => {
  const checkpoint = await withKeys({
    "tokenizer.ggml.eot_token_id": u32(1),
    "tokenizer.chat_template": text("{{ messages }}"),
  });
  expect(checkpoint.name).toBe("tiny");
  expect(checkpoint.config).toEqual({
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    hidden_size: 256,
    intermediate_size: 512,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 128,
    vocab_size: 4,
    max_position_embeddings: 64,
    rms_norm_eps: 2 ** -17,
    rope_theta: 10000,
    rope_scaling: null,
    tie_word_embeddings: true,
    attention_bias: false,
    attention_output_bias: false,
    mlp_bias: false,
    bos_token_id: 2,
  });
  expect(checkpoint.generationConfig).toEqual({ bos_token_id: 2, eos_token_id: [3, 1] });
  expect(checkpoint.chatTemplate).toBe("{{ messages }}");
  expect(checkpoint.tokenizer).toBeNull();
  expect(checkpoint.gguf?.get("tokenizer.ggml.tokens")).toEqual(["a", "b", "<s>", "</s>"]);
  expect([...(checkpoint.gguf?.keys() ?? [])].every((key) => key.startsWith("tokenizer."))).toBe(true);
});

test("architectures: names, and whose rows are interleaved", async () => {
  const bias = ["q", "k", "v"].map((part, i) => tensor(`blk.0.attn_${part}.bias`, "F32", [i === 0 ? 256 : 128]));
  const norms = ["q", "k"].map((part) => tensor(`blk.0.attn_${part}_norm.weight`, "F32", [128]));
  const heads = async (architecture: string) => {
    const tensors = [...smallTensors(), ...bias, ...norms, tensor("output.weight", "Q6_K", [4, 256])];
    const { config, tensors: opened } = await openWith({ metadata: smallMetadata(architecture), tensors });
    const layer = "model.layers.0.self_attn";
    const infos = [
      "q_proj.weight",
      "q_proj.bias",
      "k_proj.weight",
      "k_proj.bias",
      "v_proj.weight",
      "v_proj.bias",
      "q_norm.weight",
    ];
    expect(config["tie_word_embeddings"]).toBe(false);
    expect(config["attention_bias"]).toBe(true);
    expect(opened.has("lm_head.weight")).toBe(true);
    return [config["architectures"], infos.map((name) => opened.get(`${layer}.${name}`)?.interleavedHeads)];
  };
  expect(await heads("llama")).toEqual([["LlamaForCausalLM"], [2, 2, 1, 1, 0, 0, 0]]);
  expect(await heads("qwen2")).toEqual([["Qwen2ForCausalLM"], [0, 0, 0, 0, 0, 0, 0]]);
  expect(await heads("qwen3")).toEqual([["Qwen3ForCausalLM"], [0, 0, 0, 0, 0, 0, 0]]);
  const mistral = await withKeys({ "llama.attention.sliding_window": u32(32) });
  expect(mistral.config).toMatchObject({
    architectures: ["MistralForCausalLM"],
    model_type: "mistral",
    sliding_window: 32,
  });
  await expectError(withKeys({ "general.architecture": text("gemma2") }), UnsupportedError, '"gemma2"', "gemma3");
  await expectError(withKeys({ "general.architecture": text("constructor") }), UnsupportedError, '"constructor"');
  await expectError(withKeys({ "general.architecture": u32(3) }), ModelError, "general.architecture");
});

const scaling = async (keys: Record<string, Value>) => (await withKeys(keys)).config["rope_scaling"];

test("RoPE scaling", async () => {
  const type = "llama.rope.scaling.type";
  const factor = "llama.rope.scaling.factor";
  expect(await scaling({ [type]: text("none") })).toBeNull();
  expect(await scaling({ [type]: text("linear"), [factor]: f32(4) })).toEqual({ rope_type: "linear", factor: 4 });
  expect(await scaling({ "llama.rope.scale_linear": f32(2) })).toEqual({ rope_type: "linear", factor: 2 });
  const original = { "llama.rope.scaling.original_context_length": u32(16) };
  expect(await scaling({ [type]: text("yarn"), [factor]: f32(4), ...original })).toEqual({
    rope_type: "yarn",
    factor: 4,
    original_max_position_embeddings: 16,
  });
  const baked = await openWith({ tensors: [...smallTensors(), tensor("rope_freqs.weight", "F32", [64])] });
  expect(baked.tensors.get("rope_freqs.weight")?.shape).toEqual([64]);
});

test("metadata of every type", async () => {
  const checkpoint = await withKeys({
    "tokenizer.u8": { type: "u8", value: 200 },
    "tokenizer.i8": { type: "i8", value: -100 },
    "tokenizer.u16": { type: "u16", value: 60000 },
    "tokenizer.i16": { type: "i16", value: -30000 },
    "tokenizer.u32": u32(4e9),
    "tokenizer.i32": { type: "i32", value: -2e9 },
    "tokenizer.u64": { type: "u64", value: 2 ** 52 },
    "tokenizer.i64": { type: "i64", value: -(2 ** 52) },
    "tokenizer.f32": f32(0.5),
    "tokenizer.f64": { type: "f64", value: 0.1 },
    "tokenizer.bool": { type: "bool", value: true },
    "tokenizer.text": text("ß→🙂"),
    "tokenizer.floats": { type: "array", of: "f32", value: [f32(1), f32(-2)] },
    "tokenizer.nested": { type: "array", of: "array", value: [strings(["x"]), strings([])] },
  });
  const got = Object.fromEntries(
    ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bool", "text", "floats", "nested"].map(
      (key) => [key, checkpoint.gguf?.get(`tokenizer.${key}`)],
    ),
  );
  expect(got).toEqual({
    u8: 200,
    i8: -100,
    u16: 60000,
    i16: -30000,
    u32: 4e9,
    i32: -2e9,
    u64: 2 ** 52,
    i64: -(2 ** 52),
    f32: 0.5,
    f64: 0.1,
    bool: true,
    text: "ß→🙂",
    floats: [1, -2],
    nested: [["x"], []],
  });
});

test("a vocabulary longer than the chunks the header is read in", async () => {
  const tokens = Array.from({ length: 50_000 }, (_, i) => `token ${"x".repeat(i % 90)} ${i}`);
  const checkpoint = await withKeys({ "tokenizer.ggml.tokens": strings(tokens) });
  expect(checkpoint.gguf?.get("tokenizer.ggml.tokens")).toEqual(tokens);
  expect(await checkpoint.read("model.norm.weight")).toEqual(smallTensors().at(-1)!.data);
});

test("magic and version", async () => {
  const bytes = formats.smallGguf();
  await expectError(open(formats.encode("<!doctype html>")), ModelError, "tiny.gguf", "not a GGUF file");
  await expectError(open(formats.encode("GG")), ModelError, "ends early");
  await expectError(open(new Uint8Array(0)), ModelError, "ends early");
  await expectError(openWith({ version: 1 }), UnsupportedError, "version", "0x1");
  await expectError(openWith({ version: 4 }), UnsupportedError, "version", "0x4");
  await expectError(openWith({ version: 0x03000000 }), UnsupportedError, "big-endian");
  expect((await openWith({ version: 2 })).tensors.size).toBe(11);
  await expectError(open(bytes.slice(0, 300)), ModelError, "tiny.gguf");
});

const array = (of: Value["type"], count: number): Value => ({ type: "array", of, value: [], count });

test("counts and lengths are checked before anything is allocated", async () => {
  const huge = 2n ** 62n;
  await expectError(openWith({ counts: { tensors: huge } }), ModelError, "number at byte 8");
  await expectError(openWith({ counts: { tensors: 2 ** 40 } }), ModelError, "tensor count", String(2 ** 40));
  await expectError(openWith({ counts: { keys: 2 ** 40 } }), ModelError, "metadata count", String(2 ** 40));
  const bytes = formats.smallGguf();
  const at = 24; // length of the first key
  const longKey = bytes.slice();
  longKey.set(formats.number(2 ** 30, 8), at);
  await expectError(open(longKey), ModelError, "length of a metadata key", String(2 ** 30));
  for (const of of ["u8", "f64", "string", "array"] as const) {
    const opened = withKeys({ z: array(of, 2 ** 40) });
    await expectError(opened, ModelError, 'metadata "z": array length', String(2 ** 40));
  }
});

test("metadata types, keys, nesting, alignment", async () => {
  const nest = (depth: number): Value =>
    depth === 0 ? strings([]) : { type: "array", of: "array", value: [nest(depth - 1)] };
  expect((await withKeys({ deep: nest(3) })).tensors.size).toBe(11);
  await expectError(withKeys({ deep: nest(4) }), ModelError, '"deep"', "arrays inside arrays");
  await expectError(withKeys({ "general.alignment": u32(24) }), ModelError, "general.alignment", "got 24");
  await expectError(withKeys({ "general.alignment": u32(0) }), ModelError, "general.alignment", "got 0");
  await expectError(withKeys({ "general.alignment": text("x") }), ModelError, "general.alignment");
  const aligned = await openWith({ metadata: { ...smallMetadata(), "general.alignment": u32(256) }, alignment: 256 });
  expect(await aligned.read("model.norm.weight")).toEqual(smallTensors().at(-1)!.data);
  const bytes = formats.smallGguf();
  bytes[24 + 8 + "general.architecture".length] = 77;
  await expectError(open(bytes), ModelError, '"general.architecture"', "value type", "got 77");
});

test("tensors: dimensions, block size, offsets", async () => {
  const others = smallTensors().slice(1);
  const first = smallTensors()[0]!;
  const withFirst = (change: object) => openWith({ tensors: [{ ...first, ...change }, ...others] });
  await expectError(withFirst({ shape: [] }), ModelError, "token_embd.weight", "dimensions");
  await expectError(withFirst({ shape: [1, 1, 1, 1, 32] }), ModelError, "token_embd.weight", "got 5");
  await expectError(withFirst({ shape: [0, 32] }), ModelError, "token_embd.weight", "[0,32]");
  await expectError(withFirst({ shape: [2 ** 40, 2 ** 40] }), ModelError, "token_embd.weight", "impossible shape");
  await expectError(withFirst({ shape: [4, 31] }), ModelError, "token_embd.weight", "got 31", "multiple of 32");
  await expectError(withFirst({ shape: [2 ** 30, 256] }), ModelError, "token_embd.weight", "ends behind the file");
  await expectError(withFirst({ shape: [8, 256] }), ModelError, "blk.0.attn_norm.weight", "overlaps");
  await expectError(withFirst({ offset: 8 }), ModelError, "token_embd.weight", "unaligned", "got 8");
  await expectError(withFirst({ offset: 2 ** 30 }), ModelError, "token_embd.weight", "ends behind the file");
  await expectError(withFirst({ offset: 2080 }), ModelError, "overlaps");
  await expectError(openWith({ tensors: [first, ...others, first] }), ModelError, "appears twice");
  const whole = formats.smallGguf();
  await expectError(open(whole.slice(0, -1)), ModelError, "output_norm.weight", "ends behind the file");
});

test("types without a kernel are named", async () => {
  const [first, ...others] = smallTensors();
  await expectError(
    openWith({ tensors: [{ ...first!, typeId: 16 }, ...others] }),
    UnsupportedError,
    "token_embd.weight",
    "IQ2_XXS",
    "Q4_K",
  );
  await expectError(openWith({ tensors: [{ ...first!, typeId: 99 }, ...others] }), UnsupportedError, "type 99");
});

test("a tensor that is not needed may be of any type", async () => {
  const first = tensor("blk.0.attn_rot_embd", "F32", [256]);
  for (const typeId of [16, 26, 99]) {
    const { tensors } = await openWith({ tensors: [...smallTensors(), { ...first, typeId }] });
    expect(tensors.size).toBe(11);
  }
});

test("tensors that belong to no dense llama are refused", async () => {
  const withTensor = (name: string, type: GgmlType = "F32", shape = [256]) =>
    openWith({ tensors: [...smallTensors(), tensor(name, type, shape)] });
  await expectError(withTensor("blk.0.attn_sinks.weight"), UnsupportedError, "blk.0.attn_sinks.weight");
  await expectError(withTensor("blk.0.constructor.weight"), UnsupportedError, "blk.0.constructor.weight");
  await expectError(withTensor("toString"), UnsupportedError, "toString");
  await expectError(withTensor("blk.1.attn_norm.weight"), ModelError, "blk.1.attn_norm.weight", "below 1");
  expect((await withTensor("blk.0.attn_rot_embd")).tensors.size).toBe(11);
  await expectError(openWith({ tensors: smallTensors().slice(1) }), ModelError, "token_embd.weight");
  const odd = smallTensors().map((spec) =>
    spec.name === "blk.0.attn_q.weight" ? tensor(spec.name, "F32", [255, 256]) : spec,
  );
  await expectError(openWith({ tensors: odd }), ModelError, "blk.0.attn_q.weight", "got 255", "multiple of 4");
});

const without = (key: string) => {
  const metadata = smallMetadata();
  delete metadata[key];
  return openWith({ metadata });
};

const counts = (...values: number[]): Value => ({ type: "array", of: "u32", value: values.map(u32) });

test("metadata a config needs", async () => {
  for (const key of [
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
  ]) {
    await expectError(without(`llama.${key}`), ModelError, "tiny.gguf", `llama.${key}`);
    await expectError(withKeys({ [`llama.${key}`]: u32(0) }), ModelError, `llama.${key}`, "got 0");
    await expectError(withKeys({ [`llama.${key}`]: text("8") }), ModelError, `llama.${key}`, '"8"');
  }
  await expectError(withKeys({ "llama.rope.freq_base": f32(Number.NaN) }), ModelError, "rope.freq_base");
  expect((await withKeys({ "llama.attention.head_count_kv": counts(1, 1) })).config["num_key_value_heads"]).toBe(1);
  await expectError(withKeys({ "llama.attention.head_count_kv": counts(1, 2) }), UnsupportedError, "differs by layer");
  await expectError(withKeys({ "llama.expert_count": u32(8) }), UnsupportedError, "mixture of experts");
  await expectError(withKeys({ "split.count": u32(2) }), ModelError, "tiny.gguf", "one part of a split GGUF");
  await expectError(withKeys({ "llama.rope.dimension_count": u32(64) }), UnsupportedError, "64 of 128");
  const widths = { "llama.attention.key_length": u32(128), "llama.attention.value_length": u32(64) };
  await expectError(withKeys(widths), UnsupportedError, "differ in width");
  await expectError(withKeys({ "tokenizer.chat_template": u32(1) }), ModelError, "tokenizer.chat_template");
});

test("a GGUF in parts is one model, whichever part is named", async () => {
  const [first, ...others] = smallTensors();
  const part = (number: number, tensors: readonly GgufTensorSpec[]) => {
    const split = { "split.no": u32(number), "split.count": u32(2), "split.tensors.count": u32(11) };
    const metadata = number === 0 ? { ...smallMetadata(), ...split } : split;
    return formats.asFile(gguf({ metadata, tensors }), `tiny-0000${number + 1}-of-00002.gguf`);
  };
  const files = [part(1, others), part(0, [first!])];
  const checkpoint = await openCheckpoint(files);
  expect(checkpoint.name).toBe("tiny");
  expect(checkpoint.tensors.size).toBe(11);
  expect(await checkpoint.read("model.embed_tokens.weight")).toEqual(first!.data);
  expect(await checkpoint.read("model.norm.weight")).toEqual(others.at(-1)!.data);
  await expectError(openCheckpoint(files.slice(1)), ModelError, "got no tiny-00002-of-00002.gguf beside it");
  const renamed = new File([files[1]!], "tiny.gguf");
  await expectError(openCheckpoint([renamed]), ModelError, "got a name that does not say which of 2");
  const wrong = new File([formats.smallGguf()], "tiny-00002-of-00002.gguf");
  await expectError(openCheckpoint([wrong, files[1]!]), ModelError, "part of another model; got 1 parts, want 2");
});

test("a byte order mark in a token is part of it", async () => {
  const checkpoint = await withKeys({ "tokenizer.ggml.tokens": strings(["\ufeff", "b", "<s>", "</s>"]) });
  expect(checkpoint.gguf!.get("tokenizer.ggml.tokens")).toEqual(["\ufeff", "b", "<s>", "</s>"]);
});

test("a GGUF in parts: the address of one finds the others", async () => {
  const [first, ...others] = smallTensors();
  const split = { "split.count": u32(2) };
  const parts = [
    gguf({ metadata: split, tensors: others }),
    gguf({ metadata: { ...smallMetadata(), ...split }, tensors: [first!] }),
  ];
  const files = new Map(parts.map((bytes, i) => [`https://models.example/tiny/m-0000${2 - i}-of-00002.gguf`, bytes]));
  const { fetch } = serve(files);
  for (const address of files.keys()) {
    const checkpoint = await openCheckpoint(address, { fetch, retryMs: 1 });
    expect(checkpoint.tensors.size).toBe(11);
    expect(await checkpoint.read("model.norm.weight")).toEqual(others.at(-1)!.data);
  }
  const [, only] = files.keys();
  const lone = serve(new Map([[only!, files.get(only!)!]]));
  await expectError(
    openCheckpoint(only!, { fetch: lone.fetch, retryMs: 1 }),
    ModelError,
    "m-00002-of-00002.gguf beside it",
  );
});

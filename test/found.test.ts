// Files as people bring them: each test rebuilds one kind of oddity that was seen in the field, from a model whose numbers
// are known.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden, toSafetensors } from "./golden/checkpoint.ts";
import type { Checkpoint } from "./golden/checkpoint.ts";
import { letterOf, toFiles } from "./golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "./golden/serve.ts";
import { blockFormats } from "./kernels/gguf.ts";
import { ggmlTypes, gguf, strings, text, u32 } from "./io/formats.ts";
import type { GgmlType, GgufTensorSpec, Value } from "./io/formats.ts";
import { halfBits, halfOf } from "./kernels/matrix.ts";
import { random } from "./kernels/spec.ts";
import { createModel, forward, logSoftmax } from "./reference.ts";

type Files = Map<string, Uint8Array>;

/** Files by the name under which they are served; made when the page asks for them. */
const made = new Map<string, () => Files>();
const test = testWith((name) => made.get(name)?.() ?? new Map());

/** The files of a golden model after a change of its checkpoint. */
function changed(variant: string, change: (checkpoint: Checkpoint) => void): Files {
  const checkpoint = makeCheckpoint(variant);
  change(checkpoint);
  return toFiles(checkpoint, readGolden(variant).dtype);
}

const renamed = (variant: string, rename: (name: string) => string): Files =>
  changed(variant, (checkpoint) => {
    checkpoint.tensors = new Map([...checkpoint.tensors].map(([name, tensor]) => [rename(name), tensor]));
  });

/** model.safetensors with a tensor of integers behind the others. */
function withCounter(files: Files): Files {
  const file = files.get("model.safetensors")!;
  const view = new DataView(file.buffer, file.byteOffset);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start))) as Record<string, unknown>;
  const end = file.length - start;
  header["model.num_updates"] = { dtype: "I64", shape: [1], data_offsets: [end, end + 8] };
  const written = new TextEncoder().encode(JSON.stringify(header));
  const out = new Uint8Array(8 + written.length + end + 8);
  new DataView(out.buffer).setBigUint64(0, BigInt(written.length), true);
  out.set(written, 8);
  out.set(file.subarray(start), 8 + written.length);
  return files.set("model.safetensors", out);
}

/** Two shards whose index names a head that is in neither. */
function sharded(variant: string): Files {
  const checkpoint = makeCheckpoint(variant);
  const files = toFiles(checkpoint, readGolden(variant).dtype);
  const names = [...checkpoint.tensors.keys()];
  const half = Math.floor(names.length / 2);
  const shards = [names.slice(0, half), names.slice(half)];
  const map = new Map(shards.flatMap((shard, i) => shard.map((name) => [name, `model-${i}.safetensors`] as const)));
  map.set("lm_head.weight", "model-1.safetensors");
  files.delete("model.safetensors");
  for (const [i, shard] of shards.entries()) {
    const tensors = new Map(shard.map((name) => [name, checkpoint.tensors.get(name)!]));
    files.set(`model-${i}.safetensors`, toSafetensors(tensors, readGolden(variant).dtype));
  }
  const index = JSON.stringify({ weight_map: Object.fromEntries(map) });
  return files.set("model.safetensors.index.json", new TextEncoder().encode(index));
}

const config = (variant: string, fields: Record<string, unknown>): Files =>
  changed(variant, (checkpoint) => Object.assign(checkpoint.config, fields));

const ODD: readonly (readonly [what: string, variant: string, files: () => Files])[] = [
  ["a class name in another spelling", "llama", () => config("llama", { architectures: ["LLaMAForCausalLM"] })],
  ["a class name of its own", "qwen2", () => config("qwen2", { architectures: ["MyTunedModel"] })],
  ["no class name", "qwen3", () => config("qwen3", { architectures: null })],
  [
    "a head of its own under a flag that says there is none",
    "llama",
    () => config("llama", { tie_word_embeddings: true }),
  ],
  ["a tensor of integers that nobody needs", "llama", () => withCounter(changed("llama", () => {}))],
  ["an index that names a head which is nowhere", "llama-gqa-tied", () => sharded("llama-gqa-tied")],
  ["names without the model's prefix", "llama", () => renamed("llama", (name) => name.replace(/^model\./, ""))],
  ["names of a part of a larger model", "qwen2", () => renamed("qwen2", (name) => `language_model.${name}`)],
  ["names of a compiled model", "llama", () => renamed("llama", (name) => `_orig_mod.${name}`)],
  [
    "names inside the model's own",
    "qwen3",
    () => renamed("qwen3", (name) => name.replace(/^model\./, "model.language_model.")),
  ],
  [
    "scaling that begins where the trained length ends",
    "llama",
    () => config("llama", { rope_scaling: { type: "dynamic", factor: 2 } }),
  ],
];

for (const [what, variant, files] of ODD) {
  test(`${what}: the model's own tokens`, async ({ call }) => {
    const golden = readGolden(variant);
    made.set("odd", files);
    await call("open", "odd", source("odd"), { kv: "f32", context: 96 });
    const got = await call("answer", "odd", job(golden.prompt, golden.greedy.tokens.length));
    made.delete("odd");
    expect(got.tokens).toEqual(golden.greedy.tokens);
    expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
    await call("close", "odd");
  });
}

test("a checkpoint whose matrices are integers is refused with the reason", async ({ call }) => {
  made.set("packed", () => {
    const files = withCounter(
      changed("llama", ({ tensors }) => void tensors.delete("model.layers.0.mlp.up_proj.weight")),
    );
    return files;
  });
  await expect(call("open", "packed", source("packed"), { context: 64 })).rejects.toThrow(
    /ModelError: weights: tensor model.layers.0.mlp.up_proj.weight is missing.*model.num_updates in I64: use an unquantised/,
  );
  made.delete("packed");
});

// ---- GGUF ----

/** D 256, two layers, heads of 64 numbers, 24 letters: every matrix in another type of block. */
const [D, F, H, G, E, L, V] = [256, 256, 4, 2, 64, 2, 24];
const MATRICES: readonly (readonly [ggml: string, name: string, rows: number])[] = [
  ["attn_q", "self_attn.q_proj", H * E],
  ["attn_k", "self_attn.k_proj", G * E],
  ["attn_v", "self_attn.v_proj", G * E],
  ["attn_output", "self_attn.o_proj", D],
  ["ffn_gate", "mlp.gate_proj", F],
  ["ffn_up", "mlp.up_proj", F],
  ["ffn_down", "mlp.down_proj", D],
];
const TYPES: readonly GgmlType[] = [
  "Q5_0",
  "Q5_1",
  "Q5_K",
  "Q2_K",
  "Q3_K",
  "IQ4_NL",
  "IQ4_XS",
  "MXFP4",
  "Q6_K",
  "Q4_K",
];

/** A block's f16 fields such that its largest value is about 0.2: as large as weights are. */
function drawBlock(uniform: () => number, type: GgmlType): Uint8Array {
  const format = blockFormats.find(({ name }) => name === type)!;
  const bytes = Uint8Array.from({ length: format.bytes }, () => Math.floor(uniform() * 256));
  if (type === "MXFP4") bytes[0] = 122;
  const setHalves = (bits: number): void => {
    for (const at of format.halves) bytes.set([bits & 255, bits >> 8], at);
  };
  setHalves(halfBits(1));
  const { q, scale, minimum } = format.decode(bytes, 0);
  const largest = Math.max(...q.map((value, k) => Math.abs(scale[k >> 4]! * value + minimum[k >> 4]!)));
  setHalves(halfBits(0.2 / (largest || 1)));
  return bytes;
}

/** Random blocks of a matrix, and the numbers that they hold once scales and minima are f16. */
function drawMatrix(uniform: () => number, type: GgmlType, rows: number, depth: number) {
  const format = blockFormats.find(({ name }) => name === type)!;
  const blocks = Array.from({ length: (rows * depth) / format.values }, () => drawBlock(uniform, type));
  const half = (value: number): number => halfOf(halfBits(value));
  const data = blocks.flatMap((block) => {
    const { q, scale, minimum } = format.decode(block, 0);
    return q.map((value, k) => half(scale[k >> 4]!) * value + half(minimum[k >> 4]!));
  });
  const bytes = new Uint8Array(blocks.length * format.bytes);
  blocks.forEach((block, i) => bytes.set(block, i * format.bytes));
  return { bytes, data: Float32Array.from(data) };
}

/** Rows of q and k as a llama GGUF has them → as Hugging Face has them. */
function reordered(data: Float32Array, rows: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const within = row % E;
    const from = row - within + 2 * (within % (E / 2)) + Math.floor(within / (E / 2));
    out.set(data.subarray(from * D, (from + 1) * D), row * D);
  }
  return out;
}

interface Made {
  file: Uint8Array;
  tensors: Map<string, { shape: number[]; data: Float32Array }>;
}

const METADATA: Record<string, Value> = {
  "general.architecture": text("llama"),
  "llama.block_count": u32(L),
  "llama.context_length": u32(256),
  "llama.embedding_length": u32(D),
  "llama.feed_forward_length": u32(F),
  "llama.attention.head_count": u32(H),
  "llama.attention.head_count_kv": u32(G),
  "llama.attention.layer_norm_rms_epsilon": { type: "f32", value: 2 ** -17 },
  "tokenizer.ggml.model": text("gpt2"),
  "tokenizer.ggml.pre": text("gpt-2"),
  "tokenizer.ggml.tokens": strings([
    "<s>",
    "</s>",
    "<|im_end|>",
    ...Array.from({ length: V - 3 }, (_, i) => letterOf(i)),
  ]),
  "tokenizer.ggml.merges": strings([]),
  "tokenizer.ggml.token_type": {
    type: "array",
    of: "i32",
    value: Array.from({ length: V }, (_, i) => ({ type: "i32", value: i < 3 ? 3 : 1 })),
  },
  "tokenizer.ggml.bos_token_id": u32(0),
  "tokenizer.ggml.eos_token_id": u32(1),
};

/** A GGUF, and the same model as a checkpoint. `types` go round. */
function makeGguf(types: readonly GgmlType[], metadata: Record<string, Value> = {}): Made {
  const uniform = random(7);
  const tensors: Made["tensors"] = new Map();
  const specs: GgufTensorSpec[] = [];
  let turn = 0;
  const add = (
    ggml: string,
    name: string,
    shape: number[],
    data: Float32Array,
    bytes: Uint8Array,
    type: GgmlType,
  ): void => {
    tensors.set(name, { shape, data });
    specs.push({ name: ggml, shape, typeId: ggmlTypes[type][0], data: bytes });
  };
  const floats = (ggml: string, name: string, shape: number[], value: () => number): void => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, value);
    add(ggml, name, shape, data, new Uint8Array(data.buffer), "F32");
  };
  floats("token_embd.weight", "model.embed_tokens.weight", [V, D], () => 2 * uniform() - 1);
  floats("output_norm.weight", "model.norm.weight", [D], () => 0.75 + 0.5 * uniform());
  for (let layer = 0; layer < L; layer++) {
    for (const [ggml, name] of [
      ["attn_norm", "input_layernorm"],
      ["ffn_norm", "post_attention_layernorm"],
    ] as const)
      floats(`blk.${layer}.${ggml}.weight`, `model.layers.${layer}.${name}.weight`, [D], () => 0.75 + 0.5 * uniform());
    for (const [ggml, name, rows] of MATRICES) {
      const type = types[turn++ % types.length]!;
      const depth = ggml === "ffn_down" ? F : D;
      const { bytes, data } = drawMatrix(uniform, type, rows, depth);
      const usual = ggml === "attn_q" || ggml === "attn_k" ? reordered(data, rows) : data;
      add(`blk.${layer}.${ggml}.weight`, `model.layers.${layer}.${name}.weight`, [rows, depth], usual, bytes, type);
    }
  }
  return { file: gguf({ metadata: { ...METADATA, ...metadata }, tensors: specs }), tensors };
}

/** Log-probabilities of each token of a text given those before, in float64. */
function scoresOf(tensors: Made["tensors"], tokens: readonly number[]): number[] {
  const settings = {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_size: D,
    intermediate_size: F,
    num_hidden_layers: L,
  };
  const heads = { num_attention_heads: H, num_key_value_heads: G, head_dim: E, vocab_size: V, rms_norm_eps: 2 ** -17 };
  const model = createModel({ ...settings, ...heads, rope_theta: 10000, tie_word_embeddings: true }, tensors);
  const logits = forward(model, tokens);
  return tokens.slice(1).map((token, i) => logSoftmax(logits.subarray(i * V, (i + 1) * V))[token]!);
}

const TEXT = Array.from({ length: 40 }, (_, i) => 3 + ((i * i + 5 * i) % (V - 3)));

/** Ten roundings a layer of 2⁻²⁴·√256 of logits of about 30 (design as in `tolerance`), four times that. */
const GGUF_TOLERANCE = 4 * 10 * L * 2 ** -24 * 16 * 30;

test("a GGUF whose matrices are of ten types: log-probabilities of float64", async ({ call }) => {
  for (const [i, types] of [TYPES, TYPES.toReversed()].entries()) {
    const { file, tensors } = makeGguf(types);
    const name = `types-${i}`;
    made.set(name, () => new Map([["model.gguf", file]]));
    await call("open", "types", `${source(name)}model.gguf`, { kv: "f32", context: 64 });
    const got = await call("score", "types", TEXT);
    expect(worst(got.slice(1), scoresOf(tensors, TEXT))).toBeLessThan(GGUF_TOLERANCE);
    await call("close", "types");
    made.delete(name);
  }
});

test("a GGUF ends a turn at the control token that is known for it, and ids that no token has are as good as none", async ({
  call,
}) => {
  const minusOne: Value = { type: "u32", value: 0xffffffff };
  const { file } = makeGguf(["Q8_0"], {
    "tokenizer.ggml.unknown_token_id": minusOne,
    "tokenizer.ggml.padding_token_id": minusOne,
  });
  made.set("ends", () => new Map([["model.gguf", file]]));
  await call("open", "ends", `${source("ends")}model.gguf`, { kv: "f32", context: 64 });
  const prompt = { tokens: TEXT.slice(0, 9) };
  // Id 2, <|im_end|>, is made the likeliest token.
  const got = await call("answer", "ends", { prompt, options: { maxTokens: 5, logitBias: { 2: 1000 } } });
  expect(got).toMatchObject({ finish: "stop", text: "" });
  await call("close", "ends");
  made.delete("ends");
});

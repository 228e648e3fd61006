// Writers for tiny model files: what the readers are tested on.

export const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Little-endian number of `size` bytes. */
export function number(value: number | bigint, size: 1 | 2 | 4 | 8): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return bytes.slice(0, size);
}

function float(value: number, size: 4 | 8): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(size));
  if (size === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return new Uint8Array(view.buffer);
}

/** Recognisable contents: byte i of a tensor is (i · 7 + seed) mod 256. */
export function pattern(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = i * 7 + seed;
  return bytes;
}

export const asFile = (content: Uint8Array<ArrayBuffer> | string, name: string): File => new File([content], name);

export interface HeaderEntry {
  dtype: string;
  shape: unknown;
  data_offsets: unknown;
}

/** A safetensors file from a header (object, or text as it shall stand there) and its data. */
export function safetensors(header: Record<string, unknown> | string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = encode(typeof header === "string" ? header : JSON.stringify(header));
  return concat([number(text.length, 8), text, data]);
}

/** Tensors [4, 2] f32, [3] f16, [2] bf16, back to back. */
export const smallHeader = (): Record<string, HeaderEntry> => ({
  a: { dtype: "F32", shape: [4, 2], data_offsets: [0, 32] },
  b: { dtype: "F16", shape: [3], data_offsets: [32, 38] },
  c: { dtype: "BF16", shape: [2], data_offsets: [38, 42] },
});

export type Value =
  | { type: "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "u64" | "i64" | "f32" | "f64"; value: number }
  | { type: "bool"; value: boolean }
  | { type: "string"; value: string }
  | { type: "array"; of: Value["type"]; value: readonly Value[]; /** Instead of the true one. */ count?: number };

const typeIds: Record<Value["type"], number> = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
};

export const u32 = (value: number): Value => ({ type: "u32", value });
export const f32 = (value: number): Value => ({ type: "f32", value });
export const text = (value: string): Value => ({ type: "string", value });
export const strings = (values: readonly string[]): Value => ({ type: "array", of: "string", value: values.map(text) });

const ggufString = (value: string) => concat([number(encode(value).length, 8), encode(value)]);

function ggufValue(value: Value): Uint8Array {
  switch (value.type) {
    case "string":
      return ggufString(value.value);
    case "bool":
      return number(value.value ? 1 : 0, 1);
    case "f32":
      return float(value.value, 4);
    case "f64":
      return float(value.value, 8);
    case "array":
      return concat([
        number(typeIds[value.of], 4),
        number(value.count ?? value.value.length, 8),
        ...value.value.map(ggufValue),
      ]);
    default:
      return number(value.value, (Number(value.type.slice(1)) / 8) as 1 | 2 | 4 | 8);
  }
}

export interface GgufTensorSpec {
  name: string;
  /** Outermost first, as in Hugging Face. */
  shape: readonly number[];
  typeId: number;
  data: Uint8Array;
  /** Instead of the next aligned place. */
  offset?: number;
}

export interface GgufSpec {
  metadata: Record<string, Value>;
  tensors: readonly GgufTensorSpec[];
  version?: number;
  alignment?: number;
  /** Instead of the number of tensors and keys. */
  counts?: { tensors?: number | bigint; keys?: number | bigint };
}

export function gguf({ metadata, tensors, version = 3, alignment = 32, counts = {} }: GgufSpec) {
  const keys = Object.entries(metadata);
  const parts = [
    encode("GGUF"),
    number(version, 4),
    number(counts.tensors ?? tensors.length, 8),
    number(counts.keys ?? keys.length, 8),
  ];
  for (const [key, value] of keys)
    parts.push(ggufString(key), number(typeIds[value.type], 4), concat([ggufValue(value)]));
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    parts.push(ggufString(tensor.name), number(tensor.shape.length, 4));
    for (const size of tensor.shape.toReversed()) parts.push(number(size, 8));
    parts.push(number(tensor.typeId, 4), number(tensor.offset ?? offset, 8));
    const padded = new Uint8Array(Math.ceil(tensor.data.length / alignment) * alignment);
    padded.set(tensor.data);
    data.push(padded);
    offset += padded.length;
  }
  const header = concat(parts);
  const padding = new Uint8Array(Math.ceil(header.length / alignment) * alignment - header.length);
  return concat([header, padding, ...data]);
}

/** Metadata of a two-headed, one-layer model: D 256, 1 KV head of 128, F 512, V 4. */
export const smallMetadata = (architecture = "llama"): Record<string, Value> => ({
  "general.architecture": text(architecture),
  "general.name": text("Tiny"),
  [`${architecture}.block_count`]: u32(1),
  [`${architecture}.context_length`]: u32(64),
  [`${architecture}.embedding_length`]: u32(256),
  [`${architecture}.feed_forward_length`]: u32(512),
  [`${architecture}.attention.head_count`]: u32(2),
  [`${architecture}.attention.head_count_kv`]: u32(1),
  [`${architecture}.attention.layer_norm_rms_epsilon`]: f32(2 ** -17),
  [`${architecture}.rope.freq_base`]: f32(10000),
  "tokenizer.ggml.model": text("gpt2"),
  "tokenizer.ggml.tokens": strings(["a", "b", "<s>", "</s>"]),
  "tokenizer.ggml.bos_token_id": u32(2),
  "tokenizer.ggml.eos_token_id": u32(3),
});

/** Type id, elements and bytes of a block of every type with a kernel. */
export const ggmlTypes = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  BF16: [30, 1, 2],
  Q8_0: [8, 32, 34],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q2_K: [10, 256, 84],
  Q3_K: [11, 256, 110],
  Q4_K: [12, 256, 144],
  Q5_K: [13, 256, 176],
  Q6_K: [14, 256, 210],
  IQ4_NL: [20, 32, 18],
  IQ4_XS: [23, 256, 136],
  MXFP4: [39, 32, 17],
} as const;

export type GgmlType = keyof typeof ggmlTypes;

export function tensor(name: string, type: GgmlType, shape: readonly number[], seed = 1): GgufTensorSpec {
  const [typeId, elements, bytes] = ggmlTypes[type];
  const count = shape.reduce((product, size) => product * size, 1);
  return { name, shape, typeId, data: pattern((count / elements) * bytes, seed) };
}

/** A tensor of every type, in every place a layer has. */
export const smallTensors = (): GgufTensorSpec[] => [
  tensor("token_embd.weight", "Q8_0", [4, 256], 1),
  tensor("blk.0.attn_norm.weight", "F32", [256], 2),
  tensor("blk.0.attn_q.weight", "Q4_0", [256, 256], 3),
  tensor("blk.0.attn_k.weight", "Q4_1", [128, 256], 4),
  tensor("blk.0.attn_v.weight", "Q6_K", [128, 256], 5),
  tensor("blk.0.attn_output.weight", "Q4_K", [256, 256], 6),
  tensor("blk.0.ffn_norm.weight", "F32", [256], 7),
  tensor("blk.0.ffn_gate.weight", "F16", [512, 256], 8),
  tensor("blk.0.ffn_up.weight", "BF16", [512, 256], 9),
  tensor("blk.0.ffn_down.weight", "Q4_0", [256, 512], 10),
  tensor("output_norm.weight", "F32", [256], 11),
];

export const smallGguf = (): Uint8Array<ArrayBuffer> => gguf({ metadata: smallMetadata(), tensors: smallTensors() });

export const smallConfig = (): Record<string, unknown> => ({ architectures: ["LlamaForCausalLM"], hidden_size: 2 });

/** A whole directory with the tensors of smallHeader. */
export function smallFolder(): Map<string, Uint8Array<ArrayBuffer>> {
  return new Map([
    ["config.json", encode(JSON.stringify(smallConfig()))],
    ["generation_config.json", encode('{"eos_token_id": [3]}')],
    ["tokenizer.json", encode('{"model": {"type": "BPE"}}')],
    ["tokenizer_config.json", encode('{"chat_template": "{{ messages }}"}')],
    ["model.safetensors", safetensors(smallHeader(), pattern(42, 5))],
  ]);
}

/** The same tensors in two shards: a and b, then c. */
export function shardedFolder(): Map<string, Uint8Array<ArrayBuffer>> {
  const files = smallFolder();
  const { a, b } = smallHeader();
  const c = { dtype: "BF16", shape: [2], data_offsets: [0, 4] };
  files.delete("model.safetensors");
  files.set("model-1.safetensors", safetensors({ a, b }, pattern(38, 5)));
  files.set("model-2.safetensors", safetensors({ c }, pattern(42, 5).slice(38)));
  const weightMap = { c: "model-2.safetensors", a: "model-1.safetensors", b: "model-1.safetensors" };
  files.set("model.safetensors.index.json", encode(JSON.stringify({ metadata: {}, weight_map: weightMap })));
  return files;
}

export const asFiles = (folder: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): File[] =>
  [...folder].map(([name, bytes]) => asFile(bytes, name));

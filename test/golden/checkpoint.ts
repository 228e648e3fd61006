// Tiny seeded checkpoints in Hugging Face layout, the same to the bit as those make.py gave to transformers, so that
// no weights need to be stored; and a safetensors writer and reader for tests.
import { readFileSync } from "node:fs";
import { createModel, toHalf } from "../reference.ts";
import type { HubConfig, Tensor, Tensors } from "../reference.ts";

export type StoredType = "F32" | "F16" | "BF16";

/** One fixture `<variant>.json`: numbers made by Hugging Face transformers in float64. */
export interface Golden extends GoldenNumbers {
  version: number;
  variant: string;
  /** Versions of the programs that made the numbers. */
  made: string;
  seed: number;
  /** Weights are rounded to this type before anything is computed. */
  dtype: StoredType;
  /** config.json */
  config: HubConfig;
  /** [50] token ids. */
  prompt: number[];
  /** SwiftKV fixtures: the same prompt with `swiftkv: false`, the dense model whose weights the checkpoint keeps. */
  teacher?: GoldenNumbers;
}

/** What one model makes of the prompt. */
export interface GoldenNumbers {
  /** [V] logits after the last prompt token. */
  logits: number[];
  /** [50] natural log-probability of each prompt token given those before; the first is null. */
  logprobs: (number | null)[];
  /** [24] greedy tokens after the prompt, their log-probabilities, and best minus second-best logit (all ≥ 0.1). */
  greedy: { tokens: number[]; logprobs: number[]; margins: number[] };
  /** Largest difference of a logit when transformers computes in float32: the scale of honest rounding. */
  float32Gap: number;
}

export interface Checkpoint {
  config: Record<string, unknown>;
  tensors: Map<string, { shape: number[]; data: Float32Array }>;
}

export const GOLDEN_VERSION = 1;

export const VARIANTS = [
  "llama", // multi-head, untied
  "llama-gqa-tied",
  "llama-linear", // linear RoPE scaling
  "llama3", // llama3 RoPE scaling, rope_theta + rope_scaling
  "llama3-parameters", // the same numbers, spelt rope_parameters
  "llama-yarn", // stretched by part, its rotation longer than 1
  "llama-bias", // attention_bias (q, k, v, o) and mlp_bias
  "llama-f16",
  "llama-bf16",
  "llama-blocks", // every matrix has a multiple of 32 columns: can be quantised
  "mistral", // sliding window of 16 in every layer, head_dim ≠ D/H
  "qwen2", // q, k, v bias, tied
  "qwen2-window", // sliding window of 12 in layers 1 and 2 only
  "llama-head-20", // heads that are padded: width 20, 3 of queries for one of keys
  "qwen3-head-36", // the same with norms of heads, and biases
  "qwen3", // per-head norms of q and k, head_dim ≠ D/H, rope_parameters
] as const;

/** Families that have more than options of Llama. */
export const FAMILY_VARIANTS = [
  "gemma3", // four norms, GELU, two rotations, windows in five layers of six
  "gemma3-parameters", // the same model spelt as transformers 5 saves it
  "granite", // four multipliers
  "olmo2", // norms after blocks, one over all heads
  "smollm3", // every fourth layer turns nothing
  "phi3", // fused tensors, longrope of part of a head, padded, window
  "phi3-short", // longrope within the original context
  "ministral3", // yarn, queries that grow with their position
] as const;

/** Models in the layout of the released SwiftKV checkpoints: K layers of their own, G later layers per cache. */
export const SWIFTKV_VARIANTS = [
  "llama-swiftkv", // L 6, K 3, G 1
  "llama-swiftkv-g3", // L 5, K 2, G 3: divides L − K, not L; tied, llama3 RoPE scaling
  "llama-swiftkv-k0", // L 4, K 0, G 2; attention_bias; the field `swiftkv` is absent: assumed true
  "qwen2-swiftkv", // L 6, K 2, G 2; biases on every *_swiftkv projection
  "qwen2-swiftkv-window", // window of 12 from layer 3 on: layers 2 and 3 share a cache, only 3 has a window
  "qwen3-swiftkv", // L 4, K 3; q_norm and k_norm; head_dim ≠ D/H; key_value_group_size is absent: 1
] as const;

/** Reads a fixture. Throws where it is of another version than this code. */
export function readGolden(variant: string): Golden {
  const golden = JSON.parse(readFileSync(`test/golden/${variant}.json`, "utf8")) as Golden;
  if (golden.version !== GOLDEN_VERSION) {
    throw new Error(
      `golden: ${variant}.json; got version ${golden.version}, want ${GOLDEN_VERSION}. Run make.py again.`,
    );
  }
  return golden;
}

/** The checkpoint a fixture was computed from: config.json and weights already rounded to the fixture's dtype. */
export function makeCheckpoint(variant: string): Checkpoint {
  const { config, seed, dtype } = readGolden(variant);
  return { config: { ...config }, tensors: makeTensors(config, seed, dtype) };
}

/** Seeded weights for any config the reference knows (SwiftKV included), rounded to `dtype` and widened again. */
export function makeTensors(config: HubConfig, seed: number, dtype: StoredType = "F32"): Checkpoint["tensors"] {
  const tensors: Checkpoint["tensors"] = new Map();
  for (const [name, shape] of listTensors(config)) tensors.set(name, { shape, data: fill(seed, name, shape, dtype) });
  return tensors;
}

/** Norms lie around 1, biases within ±0.5, matrices [out, in] within ±3/√in. */
export function fill(seed: number, name: string, shape: number[], dtype: StoredType): Float32Array {
  const next = stream(`${seed}/${name}`);
  const scale = 3 / Math.sqrt(shape.at(-1)!);
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  const round = { F32: Math.fround, F16: toHalf, BF16: toBfloat }[dtype];
  for (let i = 0; i < data.length; i++) {
    const noise = next();
    const value = name.includes("norm") ? 1 + 0.25 * noise : name.endsWith(".bias") ? 0.5 * noise : scale * noise;
    data[i] = round(Math.fround(value));
  }
  return data;
}

/** x ← 1664525·x + 1013904223 mod 2³², begun at the 32-bit FNV-1a hash of `name`; each x becomes 2x/2³² − 1. */
export function stream(name: string): () => number {
  let x = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) x = Math.imul(x ^ byte, 0x01000193) >>> 0;
  return () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return (2 * x) / 2 ** 32 - 1;
  };
}

/** Norms of a layer, where a family has others than Llama. */
const NORMS: Readonly<Record<string, readonly string[]>> = {
  llama: ["input_layernorm", "post_attention_layernorm"],
  olmo2: ["post_attention_layernorm", "post_feedforward_layernorm"],
  gemma3_text: [
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
  ],
};

/** Weights of the norms of queries and keys. */
const HEAD_NORMS: Readonly<Record<string, (q: number, k: number, E: number) => [q: number, k: number]>> = {
  qwen3: (_q, _k, E) => [E, E],
  gemma3_text: (_q, _k, E) => [E, E],
  olmo2: (q, k) => [q, k],
};

/** Tensor names and shapes as a Hugging Face checkpoint of this config has them. */
function listTensors(config: HubConfig): [name: string, shape: number[]][] {
  const { L, D, H, G, E, V, ownLayers, groupSize } = createModel(config, new Map()).shape;
  const F = Number(config.intermediate_size);
  const family = String(config.model_type).replace("_swiftkv", "");
  const isFused = family === "phi3";
  const qkvBias = config.attention_bias === true || family === "qwen2";
  const list: [string, number[]][] = [["model.embed_tokens.weight", [V, D]]];
  const linear = (name: string, out: number, into: number, bias: boolean): void => {
    list.push([`${name}.weight`, [out, into]]);
    if (bias) list.push([`${name}.bias`, [out]]);
  };
  for (let layer = 0; layer < L; layer++) {
    const at = `model.layers.${layer}`;
    for (const norm of NORMS[family] ?? NORMS.llama!) list.push([`${at}.${norm}.weight`, [D]]);
    if (isFused) linear(`${at}.self_attn.qkv_proj`, (H + 2 * G) * E, D, false);
    for (const suffix of isFused ? [] : layer < ownLayers ? [""] : ["", "_swiftkv"]) {
      linear(`${at}.self_attn.q_proj${suffix}`, H * E, D, qkvBias);
      if (suffix !== "" && (layer - ownLayers) % groupSize !== 0) continue;
      linear(`${at}.self_attn.k_proj${suffix}`, G * E, D, qkvBias);
      linear(`${at}.self_attn.v_proj${suffix}`, G * E, D, qkvBias);
    }
    linear(`${at}.self_attn.o_proj`, D, H * E, config.attention_bias === true);
    const widths = HEAD_NORMS[family]?.(H * E, G * E, E);
    if (widths)
      list.push([`${at}.self_attn.q_norm.weight`, [widths[0]]], [`${at}.self_attn.k_norm.weight`, [widths[1]]]);
    if (isFused) linear(`${at}.mlp.gate_up_proj`, 2 * F, D, false);
    for (const part of isFused ? [] : ["gate", "up"]) linear(`${at}.mlp.${part}_proj`, F, D, config.mlp_bias === true);
    linear(`${at}.mlp.down_proj`, D, F, config.mlp_bias === true);
  }
  if (ownLayers < L) list.push(["model.norm_swiftkv.weight", [D]]);
  list.push(["model.norm.weight", [D]]);
  if (config.tie_word_embeddings !== true) list.push(["lm_head.weight", [V, D]]);
  return list;
}

// ---- safetensors: u64 header length, JSON header, tensor bytes, all little-endian -----------------------------------

const BYTES = { F32: 4, F16: 2, BF16: 2 } as const;

/** A safetensors file; values beyond `dtype` are rounded to nearest, ties to even. */
export function toSafetensors(
  tensors: Tensors,
  dtype: StoredType,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const [name, { shape, data }] of tensors) {
    const begin = end;
    end += data.length * BYTES[dtype];
    header[name] = { dtype, shape, data_offsets: [begin, end] };
  }
  const text = JSON.stringify(header);
  const head = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const file = new Uint8Array(8 + head.length + end);
  const view = new DataView(file.buffer);
  view.setBigUint64(0, BigInt(head.length), true);
  file.set(head, 8);
  let at = 8 + head.length;
  for (const { data } of tensors.values()) {
    for (const value of data) {
      if (dtype === "F32") view.setFloat32(at, value, true);
      else view.setUint16(at, dtype === "F16" ? halfBits(value) : bfloatBits(value), true);
      at += BYTES[dtype];
    }
  }
  return file;
}

/** Reads F32, F16 and BF16 tensors of a safetensors file, widened to f32. A test tool: trusts the file. */
export function readSafetensors(file: Uint8Array): Map<string, Tensor> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start))) as Record<
    string,
    { dtype: StoredType; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets } = entry;
    const size = BYTES[dtype];
    const data = new Float32Array((data_offsets[1] - data_offsets[0]) / size);
    for (let i = 0; i < data.length; i++) {
      const at = start + data_offsets[0] + i * size;
      if (dtype === "F32") data[i] = view.getFloat32(at, true);
      else
        data[i] = dtype === "F16" ? fromHalfBits(view.getUint16(at, true)) : fromBfloatBits(view.getUint16(at, true));
    }
    tensors.set(name, { shape, data });
  }
  return tensors;
}

/** Bits of the nearest half: sign 1, exponent 5 (bias 15), fraction 10. */
export function halfBits(value: number): number {
  const half = Math.abs(toHalf(value));
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (Number.isNaN(half)) return 0x7e00;
  if (half === Infinity) return sign | 0x7c00;
  if (half < 2 ** -14) return sign | (half * 2 ** 24);
  const exponent = Math.floor(Math.log2(half));
  return sign | ((exponent + 15) << 10) | ((half / 2 ** exponent - 1) * 1024);
}

export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const WORD = new DataView(new ArrayBuffer(4));

/** Upper half of the f32, rounded to nearest, ties to even (no NaN). */
export function bfloatBits(value: number): number {
  WORD.setFloat32(0, value);
  const bits = WORD.getUint32(0);
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

export function fromBfloatBits(bits: number): number {
  WORD.setUint32(0, bits << 16);
  return WORD.getFloat32(0);
}

const toBfloat = (value: number): number => fromBfloatBits(bfloatBits(value));

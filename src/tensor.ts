// Tensors of a checkpoint, as src/io describes them and src/model loads them.

export type TensorType =
  | "F32"
  | "F16"
  | "BF16"
  | "Q8_0"
  | "Q5_0"
  | "Q5_1"
  | "Q4_0"
  | "Q4_1"
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K"
  | "IQ4_NL"
  | "IQ4_XS"
  | "MXFP4";

export interface TensorInfo {
  /** Hugging Face name, e.g. model.layers.0.self_attn.q_proj.weight. */
  name: string;
  /** [out, in], row-major, as in Hugging Face; or [length]. */
  shape: readonly number[];
  type: TensorType;
  /**
   * Above 0: rows are permuted for interleaved RoPE (attn_q and attn_k of a llama GGUF); the number of heads whose rows
   * must be un-permuted while loading.
   */
  interleavedHeads: number;
}

/** Elements and bytes of one block; blocks run along the last dimension. */
export const TENSOR_BLOCKS: Readonly<Record<TensorType, { elements: number; bytes: number }>> = {
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  Q8_0: { elements: 32, bytes: 34 },
  Q5_0: { elements: 32, bytes: 22 },
  Q5_1: { elements: 32, bytes: 24 },
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q2_K: { elements: 256, bytes: 84 },
  Q3_K: { elements: 256, bytes: 110 },
  Q4_K: { elements: 256, bytes: 144 },
  Q5_K: { elements: 256, bytes: 176 },
  Q6_K: { elements: 256, bytes: 210 },
  IQ4_NL: { elements: 32, bytes: 18 },
  IQ4_XS: { elements: 256, bytes: 136 },
  MXFP4: { elements: 32, bytes: 17 },
};

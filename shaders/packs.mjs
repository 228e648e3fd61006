// Which kernels' texts are loaded together. The pack `main` is part of the engine's first file; the others are chunks of their
// own, fetched where the first of their kernels is compiled.

const ROOMS = {
  cpu: "cpu", // adapters that run shaders on a CPU
  kv: "kv", // cache systems
  train: "students", // calibrating, converting and training
  peak: "peak", // measureAdapter
  vision: "vision", // models that read pictures
};

const KERNELS = {
  attn_decode_vec: "gpu", // the first candidates on a GPU
  gemv_deep: "gpu",
  qkv_deep: "gpu",
  gemm_packed: "tiles", // prompts on GPUs
  qkv_packed: "tiles",
  attn_prefill_tile: "tiles",
  gemm_tile: "tiles",
  gemm_int8: "int8", // prompts with int8Products
  quantise_rows: "int8",
  gemm_matrix: "matrix", // prompts with matrixProducts
  half_rows: "matrix",
  gemm_regs: "spare", // candidates that are measured, or a CPU adapter without subgroups
  attn_decode_sg: "spare",
  unpack: "spare",
  qkv_split: "spare", // heads with norms, pages of 8 and 4 bits
  place_heads: "spare", // the same, and a family whose norm covers all heads
  gather: "spare", // SwiftKV
  trim: "spare", // logits of several rows
  pack_block: "blocks", // weights of GGUF files
  logit_adjust: "sampling", // penalties, biases, constraints
  logit_count: "sampling",
  sample_filter: "sampling", // top-k, top-p, min-p
  top_logits: "sampling", // the likeliest tokens
  fold: "students",
  transpose: "students",
  square_sums: "students",
};

export const packOf = (room, kernel) => KERNELS[kernel] ?? ROOMS[room] ?? "main";

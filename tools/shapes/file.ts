// A GGUF file with random weights in a model's shape: its header is written, its tensors are made as they are read, so that 2 GB
// of them need neither a disk nor a network. The same seed gives the same bytes.
import type { TensorType } from "../../src/tensor.ts";
import { TENSOR_BLOCKS } from "../../src/tensor.ts";
import { ggufHeader, type HeaderTensor, type HeaderValue } from "./header.ts";
import { repeating } from "./random.ts";
import type { ModelShape } from "./shapes.ts";

/** Long enough for every length that is measured, whatever the published model was trained for. */
const CONTEXT = 131072;

/** A file whose bytes are made when they are asked for. */
class MadeFile extends File {
  readonly #bytes: number;
  readonly #read: (from: number, to: number) => Uint8Array<ArrayBuffer>;

  constructor(name: string, bytes: number, read: (from: number, to: number) => Uint8Array<ArrayBuffer>) {
    super([], name);
    this.#bytes = bytes;
    this.#read = read;
  }

  override get size(): number {
    return this.#bytes;
  }

  override slice(from = 0, to = this.#bytes): Blob {
    return new Blob([this.#read(from, Math.min(to, this.#bytes))]);
  }
}

/** Matrices have 4 bits (Q4_0), the embedding, which is also the head, 8 (Q8_0), as 4-bit files of small models have it. */
export function randomModel(shape: ModelShape, seed = 1): File {
  const { bytes: header, dataStart, places } = ggufHeader(metadataOf(shape), tensorsOf(shape));
  const last = places.at(-1)!;
  const read = (from: number, to: number): Uint8Array<ArrayBuffer> => {
    const out = new Uint8Array(Math.max(0, to - from));
    if (from < header.length) out.set(header.subarray(from, to));
    for (const [i, { offset, bytes, tensor }] of places.entries()) {
      const start = dataStart + offset;
      const [begin, end] = [Math.max(from, start), Math.min(to, start + bytes)];
      if (begin < end) repeating(tensor, seed + i).fill(out.subarray(begin - from, end - from), begin - start);
    }
    return out;
  };
  return new MadeFile(`${shape.name}-random.gguf`, dataStart + last.offset + last.bytes, read);
}

function metadataOf({ architecture: prefix, ...shape }: ModelShape): Record<string, HeaderValue> {
  return {
    "general.architecture": prefix,
    [`${prefix}.embedding_length`]: shape.hiddenSize,
    [`${prefix}.feed_forward_length`]: shape.intermediateSize,
    [`${prefix}.block_count`]: shape.layers,
    [`${prefix}.attention.head_count`]: shape.heads,
    [`${prefix}.attention.head_count_kv`]: shape.kvHeads,
    [`${prefix}.attention.key_length`]: shape.headWidth,
    [`${prefix}.attention.value_length`]: shape.headWidth,
    [`${prefix}.context_length`]: CONTEXT,
    [`${prefix}.rope.freq_base`]: shape.ropeBase,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": Array.from({ length: shape.vocabulary }, (_, id) => `t${id}`),
    "tokenizer.ggml.merges": [],
  };
}

function tensorsOf(shape: ModelShape): HeaderTensor[] {
  const { hiddenSize: D, intermediateSize: F, vocabulary: V } = shape;
  const layers = Array.from({ length: shape.layers }, (_, layer) => layerOf(shape, `blk.${layer}`)).flat();
  return [tensor("token_embd.weight", "Q8_0", [V, D]), ...layers, tensor("output_norm.weight", "F32", [D])];

  function layerOf({ architecture, heads, kvHeads, headWidth }: ModelShape, prefix: string): HeaderTensor[] {
    const [queries, keys] = [heads * headWidth, kvHeads * headWidth];
    const matrix = (name: string, rows: number, depth: number) =>
      tensor(`${prefix}.${name}.weight`, "Q4_0", [rows, depth]);
    const vector = (name: string, length: number) => tensor(`${prefix}.${name}`, "F32", [length]);
    const biases =
      architecture === "qwen2"
        ? ([
            ["q", queries],
            ["k", keys],
            ["v", keys],
          ] as const)
        : [];
    const norms = architecture === "qwen3" ? ["q", "k"] : [];
    return [
      vector("attn_norm.weight", D),
      matrix("attn_q", queries, D),
      matrix("attn_k", keys, D),
      matrix("attn_v", keys, D),
      ...biases.map(([name, length]) => vector(`attn_${name}.bias`, length)),
      ...norms.map((name) => vector(`attn_${name}_norm.weight`, headWidth)),
      matrix("attn_output", D, queries),
      vector("ffn_norm.weight", D),
      matrix("ffn_gate", F, D),
      matrix("ffn_up", F, D),
      matrix("ffn_down", D, F),
    ];
  }
}

function tensor(name: string, type: TensorType, shape: readonly number[]): HeaderTensor {
  const { elements, bytes } = TENSOR_BLOCKS[type];
  return { name, type, shape, bytes: (shape.reduce((product, size) => product * size, 1) / elements) * bytes };
}

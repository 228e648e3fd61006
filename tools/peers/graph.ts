// A Llama as transformers.js reads it: the fused operators of ONNX Runtime that the published 4-bit exports have (MatMulNBits,
// GroupQueryAttention with rotation, SkipSimplifiedLayerNormalization), and logits of the last rows alone.
import type { Checkpoint } from "../../src/io/checkpoint.ts";
import { toFloats } from "../../src/model/weights/loader.ts";
import type { ModelShape } from "../shapes/shapes.ts";
import type { Attribute, Graph, Initializer, Node, ValueInfo } from "./onnx.ts";
import { BLOCK, dequantised, integers, type Quantised, quantised, vector } from "./weights.ts";

const EPSILON = { float: 1e-5 };
/** Positions of the rotation table. */
const POSITIONS = 2048;

/** Collects nodes and constants; an operator's output has its name. */
class Builder {
  readonly nodes: Node[] = [];
  readonly initializers: Initializer[] = [];
  readonly #checkpoint: Checkpoint;

  constructor(checkpoint: Checkpoint) {
    this.#checkpoint = checkpoint;
  }

  add(name: string, op: string, inputs: readonly string[], attributes: Record<string, Attribute> = {}): string {
    return this.all([name], op, inputs, attributes);
  }

  /** Of several outputs; gives the first. */
  all(
    outputs: readonly string[],
    op: string,
    inputs: readonly string[],
    attributes: Record<string, Attribute>,
  ): string {
    const domain = MICROSOFT.has(op) ? "com.microsoft" : "";
    this.nodes.push({ op, domain, inputs, outputs, attributes });
    return outputs[0]!;
  }

  constant(initializer: Initializer): string {
    this.initializers.push(initializer);
    return initializer.name;
  }

  async tensor(name: string): Promise<Quantised> {
    return quantised(name, this.#checkpoint.tensors.get(name)!, await this.#checkpoint.read(name));
  }

  async norm(name: string): Promise<string> {
    const { type } = this.#checkpoint.tensors.get(name)!;
    return this.constant(vector(name, toFloats(type, await this.#checkpoint.read(name))));
  }

  async matmul(name: string, input: string): Promise<string> {
    return this.product(name, input, await this.tensor(`${name}.weight`));
  }

  product(name: string, input: string, { bits, values, scales }: Quantised): string {
    const [columns = 0, blocks = 0] = values.shape;
    const inputs = [input, this.constant(values), this.constant(scales)];
    return this.add(name, "MatMulNBits", inputs, { K: blocks * BLOCK, N: columns, bits, block_size: BLOCK });
  }
}

const MICROSOFT = new Set(["MatMulNBits", "GroupQueryAttention", "SkipSimplifiedLayerNormalization"]);

export async function graphOf(checkpoint: Checkpoint, shape: ModelShape): Promise<Graph> {
  const builder = new Builder(checkpoint);
  const table = await builder.tensor("model.embed_tokens.weight");
  const info = checkpoint.tensors.get("model.embed_tokens.weight")!;
  const embedding = builder.constant(dequantised("embedding", info, table));
  const lengths = lengthsOf(builder);
  addRotation(builder, shape);
  let stream = builder.add("embedded", "Gather", [embedding, "input_ids"]);
  let block: string | null = null; // what the block before added to the stream
  for (let layer = 0; layer < shape.layers; layer++)
    [stream, block] = await addLayer(builder, shape, { layer, stream, block, lengths });
  const [normed] = await addNorm(builder, "model.norm.weight", { stream, block });
  builder.product("logits", lastRows(builder, normed), table);
  return { nodes: builder.nodes, initializers: builder.initializers, ...signature(shape) };
}

/** Tokens in the cache and in all, as GroupQueryAttention wants them. */
function lengthsOf(builder: Builder): [seqlens: string, total: string] {
  const axis = builder.constant(integers("axis1", [1], [1]));
  const one = builder.constant(integers("one", [], [1]));
  const sum = builder.add("mask_sum", "ReduceSum", ["attention_mask", axis], { keepdims: 0 });
  const seqlens = builder.add("seqlens64", "Sub", [sum, one]);
  const shape = builder.add("mask_shape", "Shape", ["attention_mask"]);
  const total = builder.add("total64", "Gather", [shape, one]);
  const cast = (name: string, from: string) => builder.add(name, "Cast", [from], { to: 6 });
  return [cast("seqlens", seqlens), cast("total", total)];
}

/** [positions, E/2] cosines and sines. */
function addRotation(builder: Builder, { headWidth, ropeBase }: ModelShape): void {
  const half = headWidth / 2;
  const angle = (i: number) => Math.floor(i / half) * ropeBase ** (-(i % half) / half);
  for (const name of ["cos", "sin"] as const) {
    const values = Float32Array.from({ length: POSITIONS * half }, (_, i) => Math[name](angle(i)));
    builder.constant({ ...vector(name, values), shape: [POSITIONS, half] });
  }
}

interface Place {
  layer: number;
  stream: string;
  block: string | null;
  lengths: readonly [string, string];
}

/** Gives the stream with all but the last block, and that. */
async function addLayer(
  builder: Builder,
  { heads, kvHeads }: ModelShape,
  { layer, stream, block, lengths }: Place,
): Promise<[string, string]> {
  const prefix = `model.layers.${layer}`;
  const [normed, before] = await addNorm(builder, `${prefix}.input_layernorm.weight`, { stream, block });
  const project = (name: string) => builder.matmul(`${prefix}.self_attn.${name}_proj`, normed);
  const [q, k, v] = [await project("q"), await project("k"), await project("v")];
  const past = [`past_key_values.${layer}.key`, `past_key_values.${layer}.value`];
  const outputs = [`${prefix}.attended`, `present.${layer}.key`, `present.${layer}.value`];
  // Rows of a llama GGUF are permuted for interleaved rotation.
  const rotation = { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1, rotary_interleaved: 1 };
  builder.all(outputs, "GroupQueryAttention", [q, k, v, ...past, ...lengths, "cos", "sin"], rotation);
  const attended = await builder.matmul(`${prefix}.self_attn.o_proj`, outputs[0]!);
  const norm = `${prefix}.post_attention_layernorm.weight`;
  const [inner, after] = await addNorm(builder, norm, { stream: before, block: attended });
  const gate = await builder.matmul(`${prefix}.mlp.gate_proj`, inner);
  const up = await builder.matmul(`${prefix}.mlp.up_proj`, inner);
  const gated = builder.add(`${prefix}.gated`, "Mul", [gate, builder.add(`${prefix}.sigmoid`, "Sigmoid", [gate])]);
  const activated = builder.add(`${prefix}.activated`, "Mul", [gated, up]);
  return [after, await builder.matmul(`${prefix}.mlp.down_proj`, activated)];
}

/** The normalised stream, and the stream itself with the block added. */
async function addNorm(
  builder: Builder,
  name: string,
  { stream, block }: { stream: string; block: string | null },
): Promise<[normed: string, stream: string]> {
  const weight = await builder.norm(name);
  const output = `${name}.normed`;
  if (block === null) {
    const attributes = { axis: -1, epsilon: EPSILON, stash_type: 1 };
    return [builder.add(output, "SimplifiedLayerNormalization", [stream, weight], attributes), stream];
  }
  const sum = `${name}.stream`;
  const inputs = [stream, block, weight];
  return [builder.all([output, "", "", sum], "SkipSimplifiedLayerNormalization", inputs, { epsilon: EPSILON }), sum];
}

/** [B, num_logits_to_keep, D]: transformers.js asks for one where a graph has this input. */
function lastRows(builder: Builder, normed: string): string {
  const zero = builder.constant(integers("axis0", [1], [0]));
  const end = builder.constant(integers("end", [1], [Number.MAX_SAFE_INTEGER]));
  const count = builder.add("kept", "Unsqueeze", ["num_logits_to_keep", zero]);
  return builder.add("last", "Slice", [normed, builder.add("from", "Neg", [count]), end, "axis1"]);
}

function signature({ layers, kvHeads, headWidth, vocabulary }: ModelShape): Pick<Graph, "inputs" | "outputs"> {
  const caches = (prefix: string, length: string): ValueInfo[] =>
    Array.from({ length: layers }, (_, layer) => ["key", "value"].map((kind) => `${prefix}.${layer}.${kind}`))
      .flat()
      .map((name) => ({ name, type: "float", shape: ["batch_size", kvHeads, length, headWidth] }));
  return {
    inputs: [
      { name: "input_ids", type: "int64", shape: ["batch_size", "sequence_length"] },
      { name: "attention_mask", type: "int64", shape: ["batch_size", "total_sequence_length"] },
      { name: "num_logits_to_keep", type: "int64", shape: [] },
      ...caches("past_key_values", "past_sequence_length"),
    ],
    outputs: [
      { name: "logits", type: "float", shape: ["batch_size", "kept", vocabulary] },
      ...caches("present", "total_sequence_length"),
    ],
  };
}

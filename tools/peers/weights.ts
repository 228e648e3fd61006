// Tensors of a random model in the form that ONNX Runtime's MatMulNBits takes: the same numbers, in another order.
import { toFloats } from "../../src/model/weights/loader.ts";
import type { TensorInfo } from "../../src/tensor.ts";
import type { Initializer } from "./onnx.ts";

/** Values that share a scale. */
export const BLOCK = 32;

/** Integers of a block of GGUF as unsigned ones, and the integer that stands for 0. */
const FORMATS = {
  /** Byte i has value i in its low half and value i + 16 in the high one; it wants 2i and 2i + 1. */
  Q4_0: { bits: 4, bytes: 16, unsigned: (block: Uint8Array, out: Uint8Array) => pairs(block, out) },
  /** Signed bytes: it counts from 128. */
  Q8_0: {
    bits: 8,
    bytes: 32,
    unsigned: (block: Uint8Array, out: Uint8Array) => block.forEach((q, i) => (out[i] = q ^ 128)),
  },
} as const;

function pairs(block: Uint8Array, out: Uint8Array): void {
  const value = (i: number): number => (i < 16 ? block[i]! & 15 : block[i - 16]! >> 4);
  for (let i = 0; i < 16; i++) out[i] = value(2 * i) | (value(2 * i + 1) << 4);
}

export interface Quantised {
  bits: number;
  /** [N, K/32, bytes] and [N, K/32] */
  values: Initializer;
  scales: Initializer;
}

export function quantised(name: string, { type, shape }: TensorInfo, raw: Uint8Array<ArrayBuffer>): Quantised {
  const { bits, bytes, unsigned } = FORMATS[type as keyof typeof FORMATS];
  const [rows, depth] = shape as [number, number];
  const blocks = (rows * depth) / BLOCK;
  const values = new Uint8Array(blocks * bytes);
  const halves = new Uint8Array(blocks * 2);
  for (let block = 0; block < blocks; block++) {
    const at = block * (2 + bytes);
    halves.set(raw.subarray(at, at + 2), block * 2);
    unsigned(raw.subarray(at + 2, at + 2 + bytes), values.subarray(block * bytes, (block + 1) * bytes));
  }
  const scales = toFloats("F16", halves);
  const perRow = depth / BLOCK;
  return {
    bits,
    values: { name: `${name}.q`, type: "uint8", shape: [rows, perRow, bytes], bytes: values },
    scales: { name: `${name}.scales`, type: "float", shape: [rows * perRow], bytes: new Uint8Array(scales.buffer) },
  };
}

/** The same as f32, for a table that is looked up: [N, K]. */
export function dequantised(name: string, { shape }: TensorInfo, { bits, values, scales }: Quantised): Initializer {
  if (bits !== 8) throw new Error(`peers: ${name}; got ${bits} bits, want 8, as random models have their embedding.`);
  const factors = new Float32Array(scales.bytes.buffer);
  const out = Float32Array.from(values.bytes, (q, i) => (q - 128) * factors[Math.floor(i / BLOCK)]!);
  return { name, type: "float", shape, bytes: new Uint8Array(out.buffer) };
}

export const vector = (name: string, values: Float32Array<ArrayBuffer>): Initializer => ({
  name,
  type: "float",
  shape: [values.length],
  bytes: new Uint8Array(values.buffer),
});

export const integers = (name: string, shape: readonly number[], values: readonly number[]): Initializer => ({
  name,
  type: "int64",
  shape,
  bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});

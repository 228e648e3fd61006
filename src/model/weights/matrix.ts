// A weight matrix on the GPU, in the form that kernels read, and the dispatch that writes it from a checkpoint's bytes.
import { alignUp, ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { families } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import { TENSOR_BLOCKS, type TensorType } from "../../tensor.ts";

/** Element types of checkpoint files, in the order of the SOURCE overrides of pack_float and pack_block. */
const FLOAT_TYPES = ["F32", "F16", "BF16"] as const;
const BLOCK_TYPES = [
  "Q4_0",
  "Q4_1",
  "Q8_0",
  "Q4_K",
  "Q6_K",
  "Q5_0",
  "Q5_1",
  "Q5_K",
  "Q2_K",
  "Q3_K",
  "IQ4_NL",
  "IQ4_XS",
  "MXFP4",
] as const;
/** Blocks that four bits hold: 16 integers, a scale for 32 values. Others need eight. */
const FOUR_BITS: ReadonlySet<TensorType> = new Set(["Q4_0", "Q4_1", "Q4_K"]);
/** Blocks in which every 16 values have a scale of their own. */
const SIXTEENS: ReadonlySet<TensorType> = new Set(["Q6_K", "Q2_K", "Q3_K"]);

/** W [N, K] as words of consecutive k, four of an output side by side: words[j / 4][n][j % 4]. docs/kernels.md, "Weights". */
export interface Matrix {
  name: string;
  bits: 4 | 8 | 16 | 32;
  /** Values that share a scale and a minimum. */
  group: 16 | 32;
  /** N */
  columns: number;
  /** K */
  depth: number;
  /** N rounded up to 16. */
  stride: number;
  words: GPUBuffer;
  /** f16 pairs (scale, minimum); 16 bytes of nothing for 16 and 32 bits. */
  scales: GPUBuffer;
}

/** Vector in f32: a norm weight, a bias. */
export type Vector = GPUBuffer;

const COLUMN_ALIGN = 16;

/** Bits that hold a type's values without loss. */
export function bitsOf(type: TensorType): 4 | 8 | 16 | 32 {
  if (isFloat(type)) return type === "F32" ? 32 : 16;
  return FOUR_BITS.has(type) ? 4 : 8;
}

/** Values that share a scale in a type's blocks, as far as the target's form can tell. */
export const groupOf = (type: TensorType): 16 | 32 => (SIXTEENS.has(type) ? 16 : 32);

/** Bytes of `values` consecutive values. */
export function rawBytes(type: TensorType, values: number): number {
  const { elements, bytes } = TENSOR_BLOCKS[type];
  return (values / elements) * bytes;
}

export const isFloat = (type: TensorType): boolean => FLOAT_TYPES.includes(type as never);

type PackParams = {
  rows: number;
  depth: number;
  stride: number;
  columnOffset: number;
  columnMode: number;
  headRows: number;
  headColumns: number;
  turned: number;
  interleaved: number;
  firstRow: number;
};

/** Buffers for a matrix of this form. */
export function emptyMatrix(
  gpu: Gpu,
  name: string,
  { bits, group, columns, depth }: Pick<Matrix, "bits" | "group" | "columns" | "depth">,
): Matrix {
  const stride = alignUp(columns, COLUMN_ALIGN);
  const words = gpu.buffer(`${name} words`, (alignUp(depth, 128 / bits) * bits * stride) / 8, "weights");
  const scales = bits <= 8 ? gpu.buffer(`${name} scales`, (depth / group) * stride * 4, "weights") : gpu.unused;
  return { name, bits, group, columns, depth, stride, words, scales };
}

/** The dispatch that writes rows [rows, depth] in `raw` as columns of `matrix`, from `columnOffset` on. */
const packPlain =
  (type: "F32" | "F16") =>
  ({ depth, stride, ...matrix }: Matrix, raw: GPUBuffer, rows: number, columnOffset: number): AnyDispatch<object> => {
    const place = { columnOffset, columnMode: 0, headRows: 0, headColumns: 0, turned: 0, interleaved: 0, firstRow: 0 };
    return packer(type, { depth, stride, ...matrix }, raw, { rows, depth, stride, ...place });
  };
export const packRows = packPlain("F32");
export const packHalves = packPlain("F16");

/** The dispatch that writes `raw` rows into `matrix`. */
export function packer(type: TensorType, matrix: Matrix, raw: GPUBuffer, params: PackParams): AnyDispatch<object> {
  const kernel = families.pack[isFloat(type) ? "pack_float" : "pack_block"];
  const SOURCE = (isFloat(type) ? FLOAT_TYPES : BLOCK_TYPES).indexOf(type as never);
  const narrower = matrix.bits < bitsOf(type) || (matrix.bits <= 8 && matrix.group > groupOf(type));
  const fresh = isFloat(type) ? {} : { FRESH: Number(narrower) };
  const constants = { SOURCE, BITS: matrix.bits, GROUP: matrix.group, WG: 64, ...fresh };
  return dispatch({
    kernel,
    constants,
    label: `pack ${matrix.name}`,
    buffers: { raw, words: matrix.words, scales: matrix.scales },
    params: () => params,
    grid: () => [ceilDiv(params.rows, 64), ceilDiv(params.depth, matrix.group), 1],
    bytes: () => rawBytes(type, params.rows * params.depth) + (params.rows * params.depth * matrix.bits) / 8,
    flops: () => 0,
  });
}

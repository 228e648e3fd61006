// A weight matrix on the GPU, in the form that kernels read, and the dispatch that writes it from a checkpoint's bytes.
import { alignUp, assert, ceilDiv } from "../../errors.ts";
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

/**
 * Columns of a matrix from `first` on, as words of consecutive k, four of an output side by side: words[j / 4][n][j % 4].
 * docs/kernels.md, "Weights".
 */
export interface Piece {
  first: number;
  /** Its columns rounded up to 16. */
  stride: number;
  words: GPUBuffer;
  /** f16 pairs (scale, minimum); 16 bytes of nothing for 16 and 32 bits. */
  scales: GPUBuffer;
}

/** W [N, K] in one piece, or in several where the adapter cannot bind it at once. */
export interface Matrix {
  name: string;
  bits: 4 | 8 | 16 | 32;
  /** Values that share a scale and a minimum. */
  group: 16 | 32;
  /** N */
  columns: number;
  /** K */
  depth: number;
  /** In order. */
  pieces: readonly Piece[];
}

/** A piece and where it ends. */
export interface PieceRange extends Piece {
  columns: number;
}

export const piecesOf = ({ pieces, columns }: Pick<Matrix, "pieces" | "columns">): PieceRange[] =>
  pieces.map((piece, i) => ({ ...piece, columns: (pieces[i + 1]?.first ?? columns) - piece.first }));

/** Ranges of at most `most` columns, none of which lies in two pieces. */
export const rangesOf = (
  matrix: Pick<Matrix, "pieces" | "columns">,
  most: number,
): { first: number; columns: number }[] =>
  piecesOf(matrix).flatMap((piece) =>
    Array.from({ length: ceilDiv(piece.columns, most) }, (_, i) => ({
      first: piece.first + i * most,
      columns: Math.min(most, piece.columns - i * most),
    })),
  );

/** The piece that a column lies in. */
export const pieceAt = ({ pieces }: Pick<Matrix, "pieces">, column: number): Piece =>
  pieces.findLast(({ first }) => first <= column)!;

/** Of a matrix that is never split. */
export function wholeOf({ pieces, name }: Matrix): Piece {
  assert(pieces.length === 1, `${name} is bound as a whole; got ${pieces.length} pieces`);
  return pieces[0]!;
}

/** Vector in f32: a norm weight, a bias. */
export type Vector = GPUBuffer;

const COLUMN_ALIGN = 16;
/** Outputs of a piece, of a gated pair too, begin on a multiple of 256 bytes, where a binding may. */
const PIECE_ALIGN = 128;

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
  columnOffset: number;
  columnMode: number;
  headRows: number;
  headColumns: number;
  turned: number;
  interleaved: number;
  firstRow: number;
};

type Form = Pick<Matrix, "bits" | "group" | "columns" | "depth">;

/** Of a column's words. */
const columnBytes = ({ depth, bits }: Pick<Form, "depth" | "bits">): number => (alignUp(depth, 128 / bits) * bits) / 8;

/** Buffers for a matrix of this form. `splits`: in several pieces where a buffer cannot be large enough for it. */
export function emptyMatrix(gpu: Gpu, name: string, form: Form, { splits = false } = {}): Matrix {
  const { columns } = form;
  const each = splits ? pieceColumns(form, gpu.mostBytes) : columns;
  const firsts = Array.from({ length: ceilDiv(columns, each) }, (_, i) => i * each);
  const pieces = firsts.map((first) =>
    emptyPiece(gpu, name, form, { first, columns: Math.min(each, columns - first) }),
  );
  return { ...form, name, pieces };
}

/** Columns of each piece, of as few as there can be, of equal size. */
function pieceColumns(form: Form, mostBytes: number): number {
  const most = Math.floor(mostBytes / columnBytes(form));
  if (most >= alignUp(form.columns, COLUMN_ALIGN)) return form.columns;
  const count = ceilDiv(form.columns, Math.max(PIECE_ALIGN, Math.floor(most / PIECE_ALIGN) * PIECE_ALIGN));
  return alignUp(ceilDiv(form.columns, count), PIECE_ALIGN);
}

function emptyPiece(
  gpu: Gpu,
  name: string,
  { bits, group, depth }: Form,
  { first, columns }: { first: number; columns: number },
): Piece {
  const stride = alignUp(columns, COLUMN_ALIGN);
  const label = first > 0 ? `${name} from ${first}` : name;
  const words = gpu.buffer(`${label} words`, columnBytes({ bits, depth }) * stride, "weights");
  const scales = bits <= 8 ? gpu.buffer(`${label} scales`, (depth / group) * stride * 4, "weights") : gpu.unused;
  return { first, stride, words, scales };
}

/** The dispatch that writes rows [rows, depth] in `raw` as columns of `matrix`, from `columnOffset` on. */
const packPlain =
  (type: "F32" | "F16") =>
  (matrix: Matrix, raw: GPUBuffer, rows: number, columnOffset: number): AnyDispatch<object> => {
    const { depth } = matrix;
    const place = { columnOffset, columnMode: 0, headRows: 0, headColumns: 0, turned: 0, interleaved: 0, firstRow: 0 };
    return packer(type, matrix, wholeOf(matrix), { raw, params: { rows, depth, ...place } });
  };
export const packRows = packPlain("F32");
export const packHalves = packPlain("F16");

/** The dispatch that writes `raw` rows into a piece of `matrix`, in which all of them lie. */
export function packer(
  type: TensorType,
  matrix: Matrix,
  { first, stride, words, scales }: Piece,
  { raw, params: { columnOffset, ...params } }: { raw: GPUBuffer; params: PackParams },
): AnyDispatch<object> {
  const kernel = families.pack[isFloat(type) ? "pack_float" : "pack_block"];
  const SOURCE = (isFloat(type) ? FLOAT_TYPES : BLOCK_TYPES).indexOf(type as never);
  const narrower = matrix.bits < bitsOf(type) || (matrix.bits <= 8 && matrix.group > groupOf(type));
  const fresh = isFloat(type) ? {} : { FRESH: Number(narrower) };
  const constants = { SOURCE, BITS: matrix.bits, GROUP: matrix.group, WG: 64, ...fresh };
  return dispatch({
    kernel,
    constants,
    label: `pack ${matrix.name}`,
    buffers: { raw, words, scales },
    // a tensor may begin before its piece: then the offset wraps, as the sum of it and a row does in the kernel
    params: () => ({ ...params, stride, columnOffset: (columnOffset - first) >>> 0 }),
    grid: () => [ceilDiv(params.rows, 64), ceilDiv(params.depth, matrix.group), 1],
    bytes: () => rawBytes(type, params.rows * params.depth) + (params.rows * params.depth * matrix.bits) / 8,
    flops: () => 0,
  });
}

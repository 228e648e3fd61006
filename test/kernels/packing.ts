// Where the packing kernels put the rows of a tensor: shared by the pack_* cases.
import { alignUp, ceilDiv } from "../../src/errors.ts";
import { wordAt } from "./matrix.ts";
import { pick, type Verdict } from "./spec.ts";

export interface Target {
  params: {
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
  /** Target column of each row of the upload. */
  columns: number[];
}

/** Heads as a file has them and as a matrix does: HF row e of a head lies at `channels[e]` of `headColumns`. */
function randomHeads(uniform: () => number) {
  const headRows = pick(uniform, [0, 0, 2, 4, 8, 20, 64]);
  const interleaved = headRows > 0 ? pick(uniform, [0, 1]) : 0;
  const headColumns = headRows + (headRows > 0 ? pick(uniform, [0, 0, 2, 4]) : 0);
  const turned = interleaved ? headRows : 2 * Math.floor((uniform() * (headRows + 2)) / 2);
  const fixed = headRows - turned;
  const channels = Array.from({ length: headRows }, (_, e) => {
    const [part, at, from] = e < turned ? [turned / 2, e, 0] : [Math.floor(fixed / 2), e - turned, turned / 2];
    return from + (at < part ? at : headColumns / 2 + at - part);
  });
  return { headRows, headColumns, turned, interleaved, channels };
}

/** A slice of a tensor of K = `depth`, somewhere in a wider matrix. */
export function randomTarget(uniform: () => number, depth: number, tiny = false): Target {
  const { channels, ...heads } = randomHeads(uniform);
  const { headRows, headColumns, interleaved } = heads;
  const total = headRows > 0 ? headRows * pick(uniform, [1, 2]) : tiny ? 4 : pick(uniform, [4, 8, 60, 100]);
  const width = headRows > 0 ? (total / headRows) * headColumns : total;
  const firstRow = Math.floor(uniform() * total);
  const rows = 1 + Math.floor(uniform() * (total - firstRow));
  const columnMode = width % 4 === 0 ? pick(uniform, [0, 1, 2]) : 0;
  const columnOffset = pick(uniform, [0, 5, 16]);
  const stride = alignUp(columnOffset + width * 2 + 3, 16);
  /** Of a row of the file. */
  const columnOf = (row: number): number => {
    if (headRows === 0) return row;
    const inHead = row % headRows;
    // Hugging Face row (j, i) of a head, j < 2, is stored at (i, j).
    const e = interleaved ? (inHead % 2) * (headRows / 2) + Math.floor(inHead / 2) : inHead;
    return Math.floor(row / headRows) * headColumns + channels[e]!;
  };
  const columns = Array.from({ length: rows }, (_, r) => {
    const n = columnOf(firstRow + r);
    return columnOffset + [n, Math.floor(n / 4) * 8 + (n % 4), Math.floor(n / 4) * 8 + (n % 4) + 4][columnMode]!;
  });
  return { params: { rows, depth, stride, columnOffset, columnMode, ...heads, firstRow }, columns };
}

/** Buffers that the kernel must leave as they are outside of `columns`. */
export function emptyMatrix({ params: { depth, stride } }: Target, bits: number, group: number) {
  const words = new Uint32Array(ceilDiv(depth, 128 / bits) * stride * 4).fill(0x01020304);
  const scales = new Uint32Array(bits <= 8 ? (depth / group) * stride : 4).fill(0x05060708);
  return { words, scales };
}

/** Puts value `k` (an unsigned integer below 2^bits) of a column in its place; the field must be zero. */
export function place(
  words: Uint32Array,
  bits: number,
  at: { k: number; column: number; stride: number },
  value: number,
): void {
  const perWord = 32 / bits;
  const index = wordAt(Math.floor(at.k / perWord), at.column, at.stride);
  words[index] = (words[index]! | (value << (bits * (at.k % perWord)))) >>> 0;
}

/** The word with positive zeros: WGSL leaves the sign of minimum + scale·q = 0 open. */
function positiveZeros(word: number, bits: number): number {
  if (bits <= 8) return word;
  if (bits === 32) return word === 0x80000000 ? 0 : word;
  const half = (value: number): number => (value === 0x8000 ? 0 : value);
  return ((half(word >>> 16) << 16) | half(word & 0xffff)) >>> 0;
}

/** Wants these words, zeros of either sign. */
export const wantWords =
  (bits: number, want: Uint32Array): Verdict =>
  (words) => {
    const wrong = want.findIndex((word, i) => positiveZeros(words[i]!, bits) !== positiveZeros(word, bits));
    return wrong < 0 ? null : `word ${wrong} is ${words[wrong]}, want ${want[wrong]}`;
  };

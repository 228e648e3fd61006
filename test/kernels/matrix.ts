// Random weight matrices in the form that the kernels read, with their values in float64.
import { ceilDiv } from "../../src/errors.ts";

export interface Matrix {
  /** [⌈K·BITS/128⌉, stride, 4] */
  words: Uint32Array;
  /** [K/GROUP, stride] f16 pairs (scale, minimum); one word where BITS is 16 or 32. */
  scales: Uint32Array;
  /** [N, K] */
  values: Float64Array;
  /** Columns, with those of the padding. */
  stride: number;
}

export interface MatrixShape {
  bits: number;
  group: number;
  /** N */
  columns: number;
  /** K */
  depth: number;
}

const scratch = new DataView(new ArrayBuffer(4));

/** Bits of an f32. */
export function floatBits(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

/** The f32 of 32 bits. */
export function floatOf(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

/** The value of an f16. */
export function halfOf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}

/** Bits of the f16 nearest to `value` (ties to even); |value| ≤ 65504. */
export function halfBits(value: number): number {
  const size = Math.abs(value);
  const exponent = Math.max(size === 0 ? -14 : Math.floor(Math.log2(size)), -14);
  const scaled = size * 2 ** (10 - exponent); // [1024, 2048), below it subnormal
  const floor = Math.floor(scaled);
  const up = scaled - floor > 0.5 || (scaled - floor === 0.5 && floor % 2 === 1) ? 1 : 0;
  const bits = floor + up < 1024 ? floor + up : ((exponent + 14) << 10) + floor + up;
  return (value < 0 || Object.is(value, -0) ? 0x8000 : 0) | bits;
}

/** A finite f16 of either sign with 2⁻⁷ ≤ size < 2, or one in eight subnormal. */
function randomHalf(uniform: () => number): number {
  const exponent = uniform() < 1 / 8 ? 0 : 8 + Math.floor(uniform() * 8);
  return (Math.floor(uniform() * 2) << 15) | (exponent << 10) | Math.floor(uniform() * 1024);
}

/** Columns beyond N are NaN in f32 and in the scales: whoever lets them leak shows it. */
export function randomMatrix(uniform: () => number, { bits, group, columns, depth }: MatrixShape): Matrix {
  const stride = ceilDiv(columns, 16) * 16;
  const perWord = 32 / bits;
  const words = new Uint32Array(ceilDiv(depth, 4 * perWord) * stride * 4).fill(0x7fc0dead);
  const scales = new Uint32Array(bits <= 8 ? (depth / group) * stride : 1).fill(0x7e007e00);
  const values = new Float64Array(columns * depth);
  for (let n = 0; n < columns; n++) {
    for (let g = 0; g < scales.length / stride - 1 / 2; g++) {
      scales[g * stride + n] = (randomHalf(uniform) & 0x7fff) | (randomHalf(uniform) << 16);
    }
    for (let j = 0; j < 4 * ceilDiv(depth, 4 * perWord); j++) {
      const word = randomWord(uniform, bits, depth - j * perWord);
      words[wordAt(j, n, stride)] = word;
      for (let i = 0; i < perWord && j * perWord + i < depth; i++) {
        const k = j * perWord + i;
        const pair = bits <= 8 ? scales[Math.floor(k / group) * stride + n]! : 0;
        values[n * depth + k] = valueOf(word, i, bits, pair);
      }
    }
  }
  return { words, scales, values, stride };
}

/** Values that may share a scale: four words of nibbles are a group of 32. */
export const groupsOf = (bits: number): number[] => (bits === 4 ? [32] : [16, 32]);

/** Values per step that a narrow kernel may take: at least four words of them, at most a group that shares a scale. */
export const unitsOf = (bits: number, group: number): number[] =>
  [4, 8, 16, 32].filter((unit) => (bits > 8 || unit <= group) && unit * bits >= 128);

/** Where word `row` of a column lies. */
export const wordAt = (row: number, column: number, stride: number): number =>
  (Math.floor(row / 4) * stride + column) * 4 + (row % 4);

/** A word whose values beyond `count` are zero. */
function randomWord(uniform: () => number, bits: number, count: number): number {
  if (count <= 0) return 0;
  if (bits === 32) return floatBits(2 * uniform() - 1);
  if (bits === 16) return (randomHalf(uniform) | (count > 1 ? randomHalf(uniform) << 16 : 0)) >>> 0;
  return Math.floor(uniform() * 2 ** 32);
}

/** Value `i` of a word; `pair` = (scale, minimum) of its group. */
export function valueOf(word: number, i: number, bits: number, pair: number): number {
  if (bits === 32) return floatOf(word);
  if (bits === 16) return halfOf((word >>> (16 * i)) & 0xffff);
  return halfOf(pair & 0xffff) * ((word >>> (bits * i)) & (2 ** bits - 1)) + halfOf(pair >>> 16);
}

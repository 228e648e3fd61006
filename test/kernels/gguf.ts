// GGUF blocks in float64: what each byte means, walked in the order in which the format stores the values.
import { halfOf } from "./matrix.ts";

export interface BlockFormat {
  name: string;
  /** Values and bytes of one block. */
  values: number;
  bytes: number;
  /** Byte offsets of the f16 fields. */
  halves: readonly number[];
  decode(bytes: Uint8Array, at: number): Block;
}

/** value k = scale[⌊k/16⌋]·q[k] + minimum[⌊k/16⌋] */
export interface Block {
  q: number[];
  scale: number[];
  minimum: number[];
}

const half = (bytes: Uint8Array, at: number): number => halfOf(bytes[at]! | (bytes[at + 1]! << 8));

function nibbles32(bytes: Uint8Array, at: number): number[] {
  const q = Array.from(bytes.subarray(at, at + 16));
  return [...q.map((byte) => byte & 15), ...q.map((byte) => byte >> 4)];
}

function uniformBlock(q: number[], scale: number, minimum: number): Block {
  return { q, scale: [scale, scale], minimum: [minimum, minimum] };
}

function decodeQ4K(bytes: Uint8Array, at: number): Block {
  const [d, dmin] = [half(bytes, at), half(bytes, at + 2)];
  const s = bytes.subarray(at + 4, at + 16);
  const block: Block = { q: [], scale: [], minimum: [] };
  for (let j = 0; j < 8; j++) {
    const low = j < 4;
    const scale = low ? s[j]! % 64 : (s[j + 4]! % 16) + 16 * Math.floor(s[j - 4]! / 64);
    const minimum = low ? s[j + 4]! % 64 : Math.floor(s[j + 4]! / 16) + 16 * Math.floor(s[j]! / 64);
    const bytes32 = Array.from(bytes.subarray(at + 16 + 32 * (j >> 1)).subarray(0, 32));
    block.q.push(...bytes32.map((byte) => (j % 2 === 0 ? byte % 16 : Math.floor(byte / 16))));
    block.scale.push(d * scale, d * scale);
    block.minimum.push(-dmin * minimum, -dmin * minimum);
  }
  return block;
}

function decodeQ6K(bytes: Uint8Array, at: number): Block {
  const d = half(bytes, at + 208);
  const q: number[] = Array.from({ length: 256 }, () => 0);
  for (const part of [0, 1]) {
    const [low, high] = [at + 64 * part, at + 128 + 32 * part];
    for (let l = 0; l < 32; l++) {
      const [a, b, h] = [bytes[low + l]!, bytes[low + 32 + l]!, bytes[high + l]!];
      q[128 * part + l] = (a % 16) + 16 * (h % 4);
      q[128 * part + 32 + l] = (b % 16) + 16 * (Math.floor(h / 4) % 4);
      q[128 * part + 64 + l] = Math.floor(a / 16) + 16 * (Math.floor(h / 16) % 4);
      q[128 * part + 96 + l] = Math.floor(b / 16) + 16 * Math.floor(h / 64);
    }
  }
  const scale = Array.from(new Int8Array(bytes.buffer, bytes.byteOffset + at + 192, 16), (sub) => d * sub);
  return { q, scale, minimum: scale.map((value) => -32 * value) };
}

/** The fifth bit of 32 values: bit k of four bytes. */
const fifth = (bytes: Uint8Array, at: number): number[] =>
  Array.from({ length: 32 }, (_, k) => 16 * (Math.floor(bytes[at + (k >> 3)]! / 2 ** (k % 8)) % 2));

const sum = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => value + b[i]!);

function decodeQ5K(bytes: Uint8Array, at: number): Block {
  // As Q4_K, whose 128 bytes of halves lie 32 bytes further on.
  const four = new Uint8Array(144);
  four.set(bytes.subarray(at, at + 16));
  four.set(bytes.subarray(at + 48, at + 176), 16);
  const block = decodeQ4K(four, 0);
  for (let j = 0; j < 8; j++)
    for (let l = 0; l < 32; l++) block.q[32 * j + l]! += 16 * (Math.floor(bytes[at + 16 + l]! / 2 ** j) % 2);
  return block;
}

/** 256 values of two bits in 64 bytes. */
function pairs(bytes: Uint8Array, at: number): number[] {
  const q: number[] = [];
  for (const part of [0, 1])
    for (let j = 0; j < 4; j++)
      for (let l = 0; l < 32; l++) q.push(Math.floor(bytes[at + 32 * part + l]! / 4 ** j) % 4);
  return q;
}

function decodeQ2K(bytes: Uint8Array, at: number): Block {
  const [d, dmin] = [half(bytes, at + 80), half(bytes, at + 82)];
  const both = Array.from(bytes.subarray(at, at + 16));
  return {
    q: pairs(bytes, at + 16),
    scale: both.map((byte) => d * (byte % 16)),
    minimum: both.map((byte) => -dmin * Math.floor(byte / 16)),
  };
}

function decodeQ3K(bytes: Uint8Array, at: number): Block {
  const s = bytes.subarray(at + 96, at + 108);
  const scale: number[] = [];
  for (let j = 0; j < 16; j++) {
    const low = j < 8 ? s[j]! % 16 : Math.floor(s[j - 8]! / 16);
    const high = Math.floor(s[8 + (j % 4)]! / 4 ** Math.floor(j / 4)) % 4;
    scale.push(half(bytes, at + 108) * (low + 16 * high - 32));
  }
  const high = Array.from({ length: 256 }, (_, k) => 4 * (Math.floor(bytes[at + (k % 32)]! / 2 ** (k >> 5)) % 2));
  return { q: sum(pairs(bytes, at + 32), high), scale, minimum: scale.map((value) => -4 * value) };
}

const CURVE = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
const curved = (nibbles: readonly number[]): number[] => nibbles.map((nibble) => CURVE[nibble]! + 128);

function decodeIQ4XS(bytes: Uint8Array, at: number): Block {
  const upper = bytes[at + 2]! + 256 * bytes[at + 3]!;
  const block: Block = { q: [], scale: [], minimum: [] };
  for (let j = 0; j < 8; j++) {
    const pair = bytes[at + 4 + (j >> 1)]!;
    const low = j % 2 === 0 ? pair % 16 : Math.floor(pair / 16);
    const scale = half(bytes, at) * (low + 16 * (Math.floor(upper / 4 ** j) % 4) - 32);
    block.q.push(...curved(nibbles32(bytes, at + 8 + 16 * j)));
    block.scale.push(scale, scale);
    block.minimum.push(-128 * scale, -128 * scale);
  }
  return block;
}

const SIZES = [0, 1, 2, 3, 4, 6, 8, 12];

function decodeMXFP4(bytes: Uint8Array, at: number): Block {
  const q = nibbles32(bytes, at + 1).map((code) => 12 + (code < 8 ? 1 : -1) * SIZES[code % 8]!);
  const scale = 2 ** (bytes[at]! - 128);
  return uniformBlock(q, scale, -12 * scale);
}

/** In the order of the override SOURCE of pack_block. */
export const blockFormats: readonly BlockFormat[] = [
  {
    name: "Q4_0",
    values: 32,
    bytes: 18,
    halves: [0],
    decode: (bytes, at) => uniformBlock(nibbles32(bytes, at + 2), half(bytes, at), -8 * half(bytes, at)),
  },
  {
    name: "Q4_1",
    values: 32,
    bytes: 20,
    halves: [0, 2],
    decode: (bytes, at) => uniformBlock(nibbles32(bytes, at + 4), half(bytes, at), half(bytes, at + 2)),
  },
  {
    name: "Q8_0",
    values: 32,
    bytes: 34,
    halves: [0],
    decode(bytes, at) {
      const signed = Array.from(new Int8Array(bytes.buffer, bytes.byteOffset + at + 2, 32));
      const q = signed.map((value) => value + 128);
      return uniformBlock(q, half(bytes, at), -128 * half(bytes, at));
    },
  },
  { name: "Q4_K", values: 256, bytes: 144, halves: [0, 2], decode: decodeQ4K },
  { name: "Q6_K", values: 256, bytes: 210, halves: [208], decode: decodeQ6K },
  {
    name: "Q5_0",
    values: 32,
    bytes: 22,
    halves: [0],
    decode: (bytes, at) =>
      uniformBlock(sum(nibbles32(bytes, at + 6), fifth(bytes, at + 2)), half(bytes, at), -16 * half(bytes, at)),
  },
  {
    name: "Q5_1",
    values: 32,
    bytes: 24,
    halves: [0, 2],
    decode: (bytes, at) =>
      uniformBlock(sum(nibbles32(bytes, at + 8), fifth(bytes, at + 4)), half(bytes, at), half(bytes, at + 2)),
  },
  { name: "Q5_K", values: 256, bytes: 176, halves: [0, 2], decode: decodeQ5K },
  { name: "Q2_K", values: 256, bytes: 84, halves: [80, 82], decode: decodeQ2K },
  { name: "Q3_K", values: 256, bytes: 110, halves: [108], decode: decodeQ3K },
  {
    name: "IQ4_NL",
    values: 32,
    bytes: 18,
    halves: [0],
    decode: (bytes, at) => uniformBlock(curved(nibbles32(bytes, at + 2)), half(bytes, at), -128 * half(bytes, at)),
  },
  { name: "IQ4_XS", values: 256, bytes: 136, halves: [0], decode: decodeIQ4XS },
  { name: "MXFP4", values: 32, bytes: 17, halves: [], decode: decodeMXFP4 },
];

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
];

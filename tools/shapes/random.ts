// Random contents of tensors: a stretch of random blocks for each type and depth, which a tensor repeats from a place of its own.
import { randomWords } from "../../demo/shared/random.ts";
import { TENSOR_BLOCKS } from "../../src/tensor.ts";
import type { HeaderTensor } from "./header.ts";

/** Blocks of a stretch: 1 to 2 MB, which is quick to make. A prime, so that no row is like one of the 65,520 after it. */
const BLOCKS = 65521;

/** Standard deviation of a block's integers, evenly distributed: of 4 bits and of 8. */
const DEVIATIONS = { Q4_0: 4.6, Q8_0: 74 } as const;

const stretches = new Map<string, Uint8Array<ArrayBuffer>>();

/** Contents of a tensor. Products of it keep the size of their input: its values have a variance of 1 / depth. */
export function repeating({ type, shape, name }: HeaderTensor, seed: number) {
  const depth = shape.at(-1)!;
  const stretch = type === "F32" ? vector(name.endsWith("bias") ? 0 : 1) : blocks(type as "Q4_0" | "Q8_0", depth);
  const first = type === "F32" ? 0 : (Math.imul(seed, 7919) >>> 0) % BLOCKS;
  return { fill: (out: Uint8Array, at: number) => fill(out, stretch, at + first * TENSOR_BLOCKS[type].bytes) };
}

/** Made once for each key. */
function once(key: string, make: () => Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const made = stretches.get(key) ?? make();
  stretches.set(key, made);
  return made;
}

/** Norms of 1, biases of 0. */
const vector = (value: number) => once(String(value), () => new Uint8Array(new Float32Array(1024).fill(value).buffer));

const blocks = (type: keyof typeof DEVIATIONS, depth: number) =>
  once(`${type} ${depth}`, () => randomBlocks(type, depth));

/** The scale of a block is a power of two, an f16; its integers are random. */
function randomBlocks(type: keyof typeof DEVIATIONS, depth: number): Uint8Array<ArrayBuffer> {
  const { bytes } = TENSOR_BLOCKS[type];
  const words = new Uint32Array(Math.ceil((BLOCKS * bytes) / 4));
  const next = randomWords(depth);
  for (let i = 0; i < words.length; i++) words[i] = next();
  const out = new Uint8Array(words.buffer, 0, BLOCKS * bytes);
  const exponent = Math.round(Math.log2(1 / (DEVIATIONS[type] * Math.sqrt(depth))));
  const half = Math.max(1, 15 + exponent) << 10;
  for (let at = 0; at < out.length; at += bytes) out.set([half & 255, half >> 8], at);
  return out;
}

/** `out` from byte `at` of the endless repetition of `stretch` on. */
function fill(out: Uint8Array, stretch: Uint8Array, at: number): void {
  for (let done = 0; done < out.length;) {
    const from = (at + done) % stretch.length;
    const piece = stretch.subarray(from, from + out.length - done);
    out.set(piece, done);
    done += piece.length;
  }
}

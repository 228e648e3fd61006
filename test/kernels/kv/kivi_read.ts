// attn_decode over pages of KIVI: its reader of these pages against float64.
import { attn_decode } from "../../../src/gpu/kernels.gen.ts";
import { withSnippet } from "../../../src/gpu/text.ts";
import { kiviFormat } from "../../../src/kv/systems/kivi/format.ts";
import type { Cache } from "../attn_case.ts";
import { type KiviShape, readCode, readPair, wordsOfPage } from "../kivi_page.ts";
import { halfBits } from "../matrix.ts";
import { type KernelSpec, pick, random, spec } from "../spec.ts";
import { readCase } from "./read_case.ts";

/** Words of a page of f32, the reference's. */
const f32Words = (E: number): number => 64 * E;
const NAN = 0x7fc00000;

/** Fills a page with random codes and pairs; `floats` gets what they stand for, as a page of f32. */
function drawPage(uniform: () => number, shape: KiviShape, words: Uint32Array, floats: Float32Array): void {
  const { E } = shape;
  const { keyPairs, values, valuePairs, end } = wordsOfPage(shape);
  for (let i = 0; i < end; i++) words[i] = Math.floor(uniform() * 2 ** 32);
  /** Numbers from −1 to 1. */
  const pair = (bits: number) =>
    (halfBits(uniform() / (2 ** bits - 1)) | (halfBits(-pick(uniform, [0, uniform()])) << 16)) >>> 0;
  for (let i = keyPairs; i < values; i++) words[i] = pair(shape.K_BITS);
  for (let i = valuePairs; i < end; i++) words[i] = pair(shape.V_BITS);
  const value = (kind: "k" | "v", slot: number, e: number) => {
    const { scale, minimum } = readPair(shape, words, 0, kind, slot, e);
    return minimum + scale * readCode(shape, words, 0, kind, slot, e);
  };
  for (let slot = 0; slot < 32; slot++) {
    for (let e = 0; e < E; e++) {
      floats[(Math.floor(slot / 8) * E + e) * 8 + (slot % 8)] = value("k", slot, e);
      floats[(32 + slot) * E + e] = value("v", slot, e);
    }
  }
}

/** Every written page of a cache of f32 as a page of KIVI in its place. */
function encoded(uniform: () => number, shape: KiviShape, { kv }: Cache): Uint32Array {
  const words = new Uint32Array(kv.length).fill(0x7fff7fff);
  for (let at = 0; at < kv.length; at += f32Words(shape.E)) {
    const page = kv.subarray(at, at + f32Words(shape.E));
    if (page.every((word) => word === NAN)) continue;
    drawPage(uniform, shape, words.subarray(at), new Float32Array(page.buffer, page.byteOffset, page.length));
  }
  return words;
}

function make(seed: number, shape: KiviShape, heads: readonly [number, number], tiny: boolean) {
  const uniform = random(5000 + seed);
  return readCase(seed, { E: shape.E, heads, tiny }, (cache) => encoded(uniform, shape, cache));
}

function readerSpec(kbits: number, vbits: number, E: number, heads: readonly [number, number]): KernelSpec {
  const shape: KiviShape = { E, K_BITS: kbits, V_BITS: vbits, BLOCK: 1 };
  const text = kiviFormat({ kbits, vbits, rotate: false }).reader(E);
  const kernel = { ...withSnippet(attn_decode, "format", text), name: `attn_decode kivi ${kbits}/${vbits}` };
  return spec({
    kernel,
    cases: 40,
    make: (seed) => make(seed, shape, heads, false),
    race: () => make(4, shape, heads, true),
    mutants: [
      ["keys of another slot", "* 32u + slot];", "* 32u + slot / 2u];"],
      ["one scale for four channels", "vec4f(a.x, b.x, c.x, d.x)", "vec4f(a.x)"],
      ["the first group's pairs", "+ w * WORD_VALUES / ", "+ 0u * WORD_VALUES / "],
      ["values in another order", "unpack2x16float(kv[page + ", "unpack2x16float(kv[page + 1u + "],
    ],
  });
}

export const kiviReaders: readonly KernelSpec[] = [
  readerSpec(2, 2, 64, [6, 2]),
  readerSpec(4, 4, 80, [3, 3]),
  readerSpec(8, 4, 96, [4, 1]),
];

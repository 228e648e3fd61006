// attn_decode over pages of ThinK: its reader of these pages against float64 without the channels that went.
import { attn_decode } from "../../../src/gpu/kernels.gen.ts";
import { withSnippet } from "../../../src/gpu/text.ts";
import { WRITTEN_FORMATS } from "../../../src/kv/format.ts";
import { thinkFormat } from "../../../src/kv/systems/think/format.ts";
import { type Cache, get, pageWords, put } from "../attn_case.ts";
import { type KernelSpec, random, spec } from "../spec.ts";
import { drawChannels, narrowed, type ThinkShape } from "../think_page.ts";
import { readCase } from "./read_case.ts";

const NAN = 0x7fc00000;

/** Every page of a cache of f32 as a page of ThinK in its place; the cache keeps what that one stands for. */
function encoded(uniform: () => number, shape: ThinkShape, { kv }: Cache): Uint32Array {
  const { E } = shape;
  const f32 = { E, KV_BITS: 32 };
  const words = new Uint32Array(kv.length).fill(0x7fff7fff);
  for (let at = 0; at < kv.length; at += pageWords(f32)) {
    const page = { shape: f32, kv };
    if (kv.subarray(at, at + pageWords(f32)).every((word) => word === NAN)) continue;
    const channels = drawChannels(uniform, shape);
    const written = { shape, kv: new Uint32Array(pageWords(shape)) };
    for (const kind of ["k", "v"] as const) {
      for (let slot = 0; slot < 32; slot++) {
        const values = Array.from({ length: E }, (_, e) => get(page, at, kind, slot, e));
        if (values.some(Number.isNaN)) continue;
        put(written, 0, kind, slot, values);
        const stays = (e: number) => kind === "v" || channels.includes(e);
        put(page, at, kind, slot, values.map((_, e) => (stays(e) ? get(written, 0, kind, slot, e) : 0))); // prettier-ignore
      }
    }
    words.set(narrowed(shape, written.kv, channels), at);
  }
  return words;
}

function make(seed: number, shape: ThinkShape, heads: readonly [number, number], tiny: boolean) {
  const uniform = random(6000 + seed);
  return readCase(seed, { E: shape.E, heads, tiny }, (cache) => encoded(uniform, shape, cache));
}

function readerSpec(
  bits: "f32" | "f16" | "int8" | "int4",
  E: number,
  KEYS: number,
  heads: readonly [number, number],
): KernelSpec {
  // prettier-ignore
  const shape: ThinkShape = { E, KEYS, KV_BITS: WRITTEN_FORMATS[bits].bits };
  const format = thinkFormat(WRITTEN_FORMATS[bits], () => KEYS);
  const kernel = { ...withSnippet(attn_decode, "format", format.reader(E)), name: `attn_decode think ${bits}` };
  return spec({
    kernel,
    cases: 40,
    make: (seed) => make(seed, shape, heads, false),
    race: () => make(4, shape, heads, true),
    mutants: [
      ["channels of another word", "u + e4]) >>", "u]) >>"],
      ["the first channels", "q[at + c.x / 4u][c.x % 4u]", "q[at + e4].x"],
      ["keys of another slot", "+ slot % 8u;", "+ slot % 4u;"],
    ],
  });
}

export const thinkReaders: readonly KernelSpec[] = [
  readerSpec("f16", 64, 40, [6, 2]),
  readerSpec("f32", 24, 16, [3, 3]),
  readerSpec("int8", 32, 20, [4, 1]),
  readerSpec("int4", 80, 52, [2, 1]),
];

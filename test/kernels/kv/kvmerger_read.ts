// attn_decode over private pages of KVMerger: written pages whose slots' scores rise, against float64.
import { attn_decode } from "../../../src/gpu/kernels.gen.ts";
import { withSnippet } from "../../../src/gpu/text.ts";
import { WRITTEN_FORMATS } from "../../../src/kv/format.ts";
import { mergedFormat } from "../../../src/kv/systems/kvmerger/format.ts";
import { type Cache, get, pageWords, type PageShape, put } from "../attn_case.ts";
import { type KernelSpec, random, spec } from "../spec.ts";
import { movedTable, readCase } from "./read_case.ts";

/** For every page of a cache of f32 a merged one, and where it lies; the cache keeps what that one stands for. */
function merged(uniform: () => number, shape: PageShape, cache: Cache) {
  const f32 = { shape: { E: shape.E, KV_BITS: 32 }, kv: cache.kv };
  const pages = cache.kv.length / pageWords(f32.shape);
  const words = pageWords(shape) + 32;
  const kv = new Uint32Array(pages * words).fill(0x7fff7fff);
  const biases = new Float32Array(kv.buffer);
  const places = new Map<number, number>();
  for (let i = 0; i < pages; i++) {
    const [from, to] = [i * pageWords(f32.shape), i * words];
    places.set(from, to);
    for (let slot = 0; slot < 32; slot++) {
      if (Number.isNaN(get(f32, from, "k", slot, 0))) continue;
      biases[to + pageWords(shape) + slot] = Math.log(1 + Math.floor(uniform() * 40));
      for (const kind of ["k", "v"] as const) {
        put(
          { shape, kv },
          to,
          kind,
          slot,
          Array.from({ length: shape.E }, (_, e) => get(f32, from, kind, slot, e)),
        );
        put(
          f32,
          from,
          kind,
          slot,
          Array.from({ length: shape.E }, (_, e) => get({ shape, kv }, to, kind, slot, e)),
        );
      }
    }
  }
  cache.bias = (page, slot) => biases[places.get(page)! + pageWords(shape) + slot]!;
  return { kv, places };
}

function make(seed: number, shape: PageShape, heads: readonly [number, number], tiny: boolean) {
  const uniform = random(8000 + seed);
  let table = new Uint32Array();
  const base = readCase(seed, { E: shape.E, heads, tiny }, (cache) => {
    const { kv, places } = merged(uniform, shape, cache);
    table = movedTable(cache, places);
    return kv;
  });
  return { ...base, buffers: { ...base.buffers, table } };
}

function readerSpec(bits: "f32" | "f16" | "int8" | "int4", E: number, heads: readonly [number, number]): KernelSpec {
  const written = WRITTEN_FORMATS[bits];
  const shape = { E, KV_BITS: written.bits };
  const kernel = { ...withSnippet(attn_decode, "format", mergedFormat(written).reader(E)), name: `attn_decode kvmerger ${bits}` }; // prettier-ignore
  return spec({
    kernel,
    cases: 40,
    make: (seed) => make(seed, shape, heads, false),
    race: () => make(4, shape, heads, true),
    mutants: [
      ["no rise", "return product + bitcast<f32>", "return product + 0.0 * bitcast<f32>"],
      ["the rise of the first slot", /(page \+ \d+u) \+ slot\]\); \}/, "$1]); }"],
      ["keys of another slot", "+ slot % 8u;", "+ slot % 4u;"],
    ],
  });
}

export const kvmergerReaders: readonly KernelSpec[] = [
  readerSpec("f16", 64, [6, 2]),
  readerSpec("f32", 24, [3, 3]),
  readerSpec("int8", 32, [4, 1]),
  readerSpec("int4", 80, [2, 1]),
];

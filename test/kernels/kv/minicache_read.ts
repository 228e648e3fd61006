// attn_decode over joint pages of MiniCache: its reader of these pages, as the first layer and as the second, against float64.
import { attn_decode } from "../../../src/gpu/kernels.gen.ts";
import { withSnippet } from "../../../src/gpu/text.ts";
import { WRITTEN_FORMATS } from "../../../src/kv/format.ts";
import { jointFormat } from "../../../src/kv/systems/minicache/format.ts";
import { type Cache, get, halfBits, pageWords, put } from "../attn_case.ts";
import { exactSlotsAt, type JointShape, KINDS, partsOfJoint, readHead, rowOf, scaleAt, wordsOfRow } from "../joint_page.ts"; // prettier-ignore
import { type KernelSpec, random, spec } from "../spec.ts";
import { movedTable, readCase } from "./read_case.ts";

/** A NaN in every format, as a number, a magnitude and a pair. */
const NOTHING = 0x7fff7fff;

const floatBits = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;
const halves = (low: number, high: number): number => (halfBits(low) | (halfBits(high) << 16)) >>> 0;

/** A page with drawn rows, scales and exact slots; rows of slots that nobody wrote are NaN. */
function drawPage(uniform: () => number, shape: JointShape, written: (slot: number) => boolean): Uint32Array {
  const { KV_BITS, EXACT } = shape;
  const page = new Uint32Array(partsOfJoint(shape).end).fill(NOTHING);
  const small = () => 2 * uniform() - 1;
  const word = { 32: () => floatBits(small()), 16: () => halves(small(), small()) }[KV_BITS as 16 | 32] ?? (() => Math.floor(uniform() * 2 ** 32)); // prettier-ignore
  const size = () => 0.2 + 2 * uniform();
  /** The upper halves of (scale, minimum). */
  const pair = () => ((floatBits(-size()) & 0xffff0000) | (floatBits((2 * size()) / 2 ** KV_BITS) >>> 16)) >>> 0;
  const scale = { 32: () => floatBits(size()), 16: () => halves(size(), size()) }[KV_BITS as 16 | 32] ?? pair;
  for (const kind of KINDS) {
    let exact = 0;
    for (let left = EXACT; left > 0;) {
      const slot = Math.floor(uniform() * 32);
      if ((exact >>> slot) & 1) continue;
      exact |= 1 << slot;
      left--;
    }
    page[exactSlotsAt(shape, kind)] = exact >>> 0;
    for (let slot = 0; slot < 32; slot++) {
      if (!written(slot)) continue;
      for (const twin of [0, 1]) {
        for (const at of wordsOfRow(shape, kind, rowOf(shape, page, twin, kind, slot))) page[at] = word();
        page[scaleAt(shape, twin, kind, slot)] = scale();
      }
    }
  }
  return page;
}

/** For every page of a cache of f32 a joint one, of which one layer's heads are left in the cache; and where it lies for that layer. */
function joined(uniform: () => number, shape: JointShape, { kv }: Cache) {
  const { E } = shape;
  const f32 = { shape: { E, KV_BITS: 32 }, kv };
  const pages = kv.length / pageWords(f32.shape);
  const { end } = partsOfJoint(shape);
  const words = new Uint32Array(pages * end).fill(NOTHING);
  const places = new Map<number, number>();
  for (let i = 0; i < pages; i++) {
    const [from, to, twin] = [i * pageWords(f32.shape), i * end, Math.floor(uniform() * 2)];
    places.set(from, to + twin);
    const page = drawPage(uniform, shape, (slot) => !Number.isNaN(get(f32, from, "k", slot, 0)));
    words.set(page, to);
    for (const kind of KINDS) {
      for (let slot = 0; slot < 32; slot++) {
        if (Number.isNaN(get(f32, from, kind, slot, 0))) continue;
        put(f32, from, kind, slot, readHead(shape, page, twin, kind, slot).values);
      }
    }
  }
  return { words, places };
}

function make(seed: number, shape: JointShape, heads: readonly [number, number], tiny: boolean) {
  const uniform = random(7000 + seed);
  let table = new Uint32Array();
  const base = readCase(seed, { E: shape.E, heads, tiny }, (cache) => {
    const { words, places } = joined(uniform, shape, cache);
    table = movedTable(cache, places);
    return words;
  });
  return { ...base, buffers: { ...base.buffers, table } };
}

function readerSpec(
  bits: "f32" | "f16" | "int8" | "int4",
  E: number,
  EXACT: number,
  heads: readonly [number, number],
): KernelSpec {
  const written = WRITTEN_FORMATS[bits];
  const shape = { E, KV_BITS: written.bits, EXACT };
  const format = jointFormat(written, { exact: EXACT, toward: 0.6 });
  const kernel = { ...withSnippet(attn_decode, "format", format.reader(E)), name: `attn_decode minicache ${bits}` };
  return spec({
    kernel,
    cases: 40,
    make: (seed) => make(seed, shape, heads, false),
    race: () => make(4, shape, heads, true),
    mutants: [
      ["rows of the first layer", "if (page % 4u == 0u)", "if (page % 4u < 2u)"],
      ["scales of the first layer", /page % 4u \* \d+u \+ slot/g, "slot"],
      ["the first exact row", "countOneBits(exact & ((1u << slot) - 1u))", "0u"],
    ],
  });
}

export const minicacheReaders: readonly KernelSpec[] = [
  readerSpec("f16", 64, 2, [6, 2]),
  readerSpec("f32", 24, 5, [3, 3]),
  readerSpec("int8", 32, 3, [4, 1]),
  readerSpec("int4", 80, 2, [2, 1]),
];

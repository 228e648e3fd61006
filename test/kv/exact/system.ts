// A system for tests that keeps older pages in a second format without losing anything: whatever goes wrong with sealing,
// sharing or selecting then shows as another token, and no reference has to know when a page is sealed. With `turned=1` its
// keys and values lie in another basis.
import type { KernelSource } from "../../../src/gpu/kernel.ts";
import type { SealedFormat } from "../../../src/kv/format.ts";
import { hadamard, hadamardBlock } from "../../../src/kv/hadamard.ts";
import { defineSystem } from "../../../src/kv/parse.ts";

/** Words of a page: keys [32][E], values [32][E]. */
const reader = (width: number): string => `// exact pages: keys and values slot by slot
const KEY_WIDTH = ${width}u;
const VALUE_WORDS = ${width}u;
const PAIRS = 1u;
const WORD_VALUES = 1u;
const NOTES = 0u;

fn key_query(at: u32, page: u32, e4: u32) -> vec4f { return q[at + e4]; }
fn key_score(product: f32, page: u32, slot: u32) -> f32 { return product; }
fn key_opening(page: u32, slot: u32) -> vec2f { return vec2f(); }

fn key(page: u32, e4: u32, slot: u32, opening: vec2f) -> vec4f {
  let at = page + slot * KEY_WIDTH + 4u * e4;
  return bitcast<vec4f>(vec4u(kv[at], kv[at + 1u], kv[at + 2u], kv[at + 3u]));
}

fn value_note(page: u32, slot: u32) -> u32 { return 0u; }
fn value_word(page: u32, slot: u32, w: u32) -> u32 { return kv[page + 32u * KEY_WIDTH + slot * VALUE_WORDS + w]; }
fn value_opening(page: u32, slot: u32, w: u32, note: u32) -> vec2f { return vec2f(); }
fn value_pair(word: u32, i: u32, opening: vec2f) -> vec2f { return vec2f(bitcast<f32>(word), 0.0); }`;

const code = `// exact_seal — pages of f32 as exact pages, in blocks of BLOCK channels times the Walsh–Hadamard matrix
override E: u32 = 8;
override BLOCK: u32 = 1;
struct Params { first: u32 }
@group(0) @binding(0) var<storage, read> moves: array<vec2u>;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> destination: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;
@compute @workgroup_size(32)
fn exact_seal(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) slot: u32) {
  let pages = moves[params.first + wg.x];
  let key = pages.x + slot / 8u * (E * 8u) + slot % 8u;
  let value = pages.x + 32u * E + slot * E;
  for (var e = 0u; e < E; e++) {
    var sums = vec2f();
    for (var i = 0u; i < BLOCK; i++) {
      let sign = select(1.0, -1.0, countOneBits(i & e) % 2u == 1u);
      let other = e / BLOCK * BLOCK + i;
      sums += sign * vec2f(bitcast<f32>(source[key + 8u * other]), bitcast<f32>(source[value + other]));
    }
    sums *= inverseSqrt(f32(BLOCK));
    destination[pages.y + slot * E + e] = bitcast<u32>(sums.x);
    destination[pages.y + (32u + slot) * E + e] = bitcast<u32>(sums.y);
  }
}
`;

const seal = {
  name: "exact_seal",
  bindings: {
    moves: { binding: 0, type: "read-only-storage" },
    source: { binding: 1, type: "read-only-storage" },
    destination: { binding: 2, type: "storage" },
  },
  params: { binding: 3, size: 4, fields: { first: { offset: 0, type: "u32" } } },
  overrides: { E: 8, BLOCK: 1 },
  tiles: {},
  features: [],
  code,
} as const satisfies KernelSource;

const format = (turned: boolean): SealedFormat => ({
  name: "exact",
  words: (width) => 64 * width,
  reader,
  seal,
  sealConstants: (width) => ({ E: width, BLOCK: turned ? hadamardBlock(width) : 1 }),
  ...(turned ? { basis: hadamard } : {}),
});

defineSystem({
  name: "exact",
  options: { recent: { least: 0, most: 4096, default: 16 }, turned: { least: 0, most: 1, default: 0 } },
  create: ({ recent, turned }) => ({
    name: "exact",
    sealed: () => ({ format: format(turned === 1), recent: recent! }),
  }),
});

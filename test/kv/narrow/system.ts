// A system for tests that keeps older pages in a second format: half of a key's channels, and for each slot a number that
// is added to its score. Keys and values differ in width; all is f32, so that nothing is lost but what is left out.
import type { KernelSource } from "../../../src/gpu/kernel.ts";
import type { SealedFormat } from "../../../src/kv/format.ts";
import { defineSystem } from "../../../src/kv/parse.ts";

/** Words of a page: keys [32][E/2], values [32][E], biases [32]. */
const reader = (width: number): string => `// narrow pages: keys of every other channel, values, a bias for each slot
const KEY_WIDTH = ${width / 2}u;
const VALUE_WORDS = ${width}u;
const PAIRS = 1u;
const WORD_VALUES = 1u;
const NOTES = 0u;

// Channel i of a key is channel 2i + i % 2 of a query.
fn channel(at: u32, i: u32) -> f32 {
  let c = 2u * i + i % 2u;
  return q[at + c / 4u][c % 4u];
}

fn key_query(at: u32, page: u32, e4: u32) -> vec4f {
  let i = 4u * e4;
  return vec4f(channel(at, i), channel(at, i + 1u), channel(at, i + 2u), channel(at, i + 3u));
}

fn key_score(product: f32, page: u32, slot: u32) -> f32 {
  return product + bitcast<f32>(kv[page + 32u * (KEY_WIDTH + VALUE_WORDS) + slot]);
}

fn key_opening(page: u32, slot: u32) -> vec2f { return vec2f(); }

fn key(page: u32, e4: u32, slot: u32, opening: vec2f) -> vec4f {
  let at = page + slot * KEY_WIDTH + 4u * e4;
  return bitcast<vec4f>(vec4u(kv[at], kv[at + 1u], kv[at + 2u], kv[at + 3u]));
}

fn value_note(page: u32, slot: u32) -> u32 { return 0u; }
fn value_word(page: u32, slot: u32, w: u32) -> u32 { return kv[page + 32u * KEY_WIDTH + slot * VALUE_WORDS + w]; }
fn value_opening(page: u32, slot: u32, w: u32, note: u32) -> vec2f { return vec2f(); }
fn value_pair(word: u32, i: u32, opening: vec2f) -> vec2f { return vec2f(bitcast<f32>(word), 0.0); }`;

const code = `// narrow_seal — pages of f32 as narrow pages
override E: u32 = 8;
struct Params { first: u32 }
@group(0) @binding(0) var<storage, read> moves: array<vec2u>;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> destination: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;
@compute @workgroup_size(32)
fn narrow_seal(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) slot: u32) {
  let pages = moves[params.first + wg.x];
  let key = pages.x + slot / 8u * (E * 8u) + slot % 8u;
  for (var i = 0u; i < E / 2u; i++) { destination[pages.y + slot * (E / 2u) + i] = source[key + 8u * (2u * i + i % 2u)]; }
  for (var e = 0u; e < E; e++) { destination[pages.y + 16u * E + slot * E + e] = source[pages.x + 32u * E + slot * E + e]; }
  destination[pages.y + 48u * E + slot] = bitcast<u32>(f32(slot % 5u) * -0.125);
}
`;

const seal = {
  name: "narrow_seal",
  bindings: {
    moves: { binding: 0, type: "read-only-storage" },
    source: { binding: 1, type: "read-only-storage" },
    destination: { binding: 2, type: "storage" },
  },
  params: { binding: 3, size: 4, fields: { first: { offset: 0, type: "u32" } } },
  overrides: { E: 8 },
  tiles: {},
  features: [],
  code,
} as const satisfies KernelSource;

const narrow: SealedFormat = {
  name: "narrow",
  words: (width) => 32 * ((3 * width) / 2 + 1),
  reader,
  seal,
  sealConstants: (width) => ({ E: width }),
};

defineSystem({
  name: "narrow",
  options: { recent: { least: 0, most: 4096, default: 16 } },
  create: ({ recent }) => ({ name: "narrow", sealed: () => ({ format: narrow, recent: recent! }) }),
});

// lib/format_slot.wgsl — pages of f32 or f16 (KV_BITS 32, 16), or of units with a scale and a minimum for each slot (8, 4)
// needs     kv: array<u32>, q: array<vec4f>, E, KV_BITS
// uses      lib/page.wgsl lib/stored_key.wgsl lib/units.wgsl lib/opened.wgsl
//
// A page format is what attn_decode reads pages through; withSnippet (src/gpu/specialise.ts) puts another one in its place,
// which declares the same names. `page` is the first word of a page, `slot` 0 … 31, `w` a word of the slot's V.

override KEY_WIDTH: u32 = E;                    // channels of a stored key, a multiple of 4
override VALUE_WORDS: u32 = E * KV_BITS / 32u;  // words of a slot's V
const PAIRS = max(1u, 16u / KV_BITS);           // pairs of values in a word of V
const WORD_VALUES = 32u / KV_BITS;              // values in a word of V; 1: the second of its pair is 0
const NOTES = select(0u, 1u, KV_BITS <= 8u);    // 1: a word of each slot waits in workgroup memory from its K to its V

// (scale, minimum) of a slot's K, once for all its channels.
fn key_opening(page: u32, slot: u32) -> vec2f {
  if (KV_BITS > 8u) { return vec2f(); }
  return opened(kv[pair_at(page, slot, false)]);
}

// Channels of the query beginning at q[at] that keys 4·e4 … 4·e4+3 are multiplied with.
fn key_query(at: u32, page: u32, e4: u32) -> vec4f { return q[at + e4]; }

// The score of a slot, of its scaled product.
fn key_score(product: f32, page: u32, slot: u32) -> f32 { return product; }

// Keys 4·e4 .. 4·e4+3 of a slot.
fn key(page: u32, e4: u32, slot: u32, opening: vec2f) -> vec4f {
  let stored = stored_key(page, e4, slot);
  if (KV_BITS > 8u) { return stored; }
  return opening.y + opening.x * stored;
}

// The word kept in workgroup memory (NOTES), read by the thread that has the slot's key.
fn value_note(page: u32, slot: u32) -> u32 { return kv[pair_at(page, slot, true)]; }

fn value_word(page: u32, slot: u32, w: u32) -> u32 { return kv[slot_at(page, slot, true) + w]; }

// (scale, minimum) of a word of V; `note` is the word kept in workgroup memory.
fn value_opening(page: u32, slot: u32, w: u32, note: u32) -> vec2f { return opened(note); }

// Pair i of the values in a word of V.
fn value_pair(word: u32, i: u32, opening: vec2f) -> vec2f {
  if (KV_BITS <= 8u) { return opening.y + opening.x * units(word >> (2u * KV_BITS * i), 0u).xy; }
  if (KV_BITS == 16u) { return unpack2x16float(word); }
  return vec2f(bitcast<f32>(word), 0.0);
}

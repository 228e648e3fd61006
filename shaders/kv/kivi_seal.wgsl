// kivi_seal — pages of a written format as KIVI pages: keys in groups by channel, values in groups by token
//
//   moves        [*]  vec2u  read    first words of a page in `source` and in `destination`
//   owners       [*]  u32    read    the list that each move's page belongs to
//   choices      [*]  u32    read    [lists, KEYS/4] its channels, ascending, four to a word; KEYS = E: nothing
//   source       [*]  u32    read
//   destination  [*]  u32    write
//
// dispatch  (moves, 1, 1): one workgroup per page, a thread per channel
// cost      bytes 8·E·KV_BITS + 4·E·(K_BITS + V_BITS + 1 + 32/GROUP), flops 64·E·(6 + log₂ BLOCK): latency bound, once per page
// why       A channel of keys needs all 32 slots before its first code, so keys are read twice, eight slots at a time, which
//           fits into workgroup memory also for wide heads. Scale and minimum are rounded to f16 first and the codes made with the
//           rounded ones, so that a reader finds the nearest code. A KIVI page is (docs/kv.md)
//             K codes   [⌈KEYS·K_BITS/32⌉][32]  word w of a slot holds its channels 32/K_BITS·w …, lowest bits first
//             K pairs   [KEYS]                  (scale, minimum) of a channel as f16, the scale in the low half
//             V codes   [32][E·V_BITS/32]
//             V pairs   [32][E/GROUP]
//             channels  [KEYS/4]                where keys have not all of them
//           With BLOCK > 1 keys and values are turned by the Walsh–Hadamard matrix before.
// uses      lib/hadamard.wgsl lib/source_number.wgsl lib/codes.wgsl lib/chosen.wgsl

override WG: u32 = 64;       // threads: E
override E: u32 = 64;        // head width, a multiple of 8, of 16 for 2 bits
override KEYS: u32 = 64;     // channels of a key that stay: E, or a multiple of 4 below it, then BLOCK is 1
override BLOCK: u32 = 1;     // channels that are mixed, a power of two that divides E; 1: none
override K_BITS: u32 = 2;    // of a key's code: 2, 4 or 8
override V_BITS: u32 = 2;
override GROUP: u32 = 32;    // channels of a value that share a pair; divides E and is whole words of codes
override KV_BITS: u32 = 16;  // of a number in `source`: 32, 16, 8, 4

struct Params { first: u32 }  // move of workgroup 0

@group(0) @binding(0) var<storage, read> moves: array<vec2u>;
@group(0) @binding(1) var<storage, read> owners: array<u32>;
@group(0) @binding(2) var<storage, read> choices: array<u32>;
@group(0) @binding(3) var<storage, read> source: array<u32>;
@group(0) @binding(4) var<storage, read_write> destination: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

const SLOTS = 8u;                          // handled together
override NUMBERS: u32 = 8u * E;
override K_WORDS: u32 = (KEYS * K_BITS + 31u) / 32u;  // of a slot's codes
override V_WORDS: u32 = E * V_BITS / 32u;
override GROUPS: u32 = E / GROUP;

var<workgroup> turned: array<f32, NUMBERS>;  // [SLOTS, E]

fn load_slots(page: u32, slot0: u32, isValue: bool, local: u32) {
  for (var i = local; i < NUMBERS; i += WG) { turned[i] = source_number(page, slot0 + i / E, i % E, isValue); }
}

// Channel i of those that stay.
fn channel(owner: u32, i: u32) -> u32 { return select(chosen(owner, i), i, KEYS == E); }

// A word of key codes of the slot at turned[at], from channel `first` of those that stay on.
fn key_word(at: u32, owner: u32, first: u32) -> u32 {
  var word = 0u;
  for (var i = 0u; i < 32u / K_BITS && first + i < KEYS; i++) {
    word |= u32(turned[at + channel(owner, first + i)]) << (i * K_BITS);
  }
  return word;
}

// A word of the codes from turned[at] on.
fn code_word(at: u32, bits: u32) -> u32 {
  var word = 0u;
  for (var i = 0u; i < 32u / bits; i++) { word |= u32(turned[at + i]) << (i * bits); }
  return word;
}

@compute @workgroup_size(WG)
fn kivi_seal(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let pages = moves[params.first + wg.x];
  let owner = owners[params.first + wg.x];
  let scale = hadamard_scale();

  // Keys: the range over all slots of a channel that stays.
  var e = 0u;
  if (local < KEYS) { e = channel(owner, local); }
  var least = 3e38;
  var most = -3e38;
  for (var slot0 = 0u; slot0 < 32u; slot0 += SLOTS) {
    load_slots(pages.x, slot0, false, local);
    workgroupBarrier();
    for (var apart = 1u; apart < BLOCK; apart *= 2u) {
      hadamard_stage(apart, NUMBERS, local);
      workgroupBarrier();
    }
    for (var slot = 0u; slot < SLOTS; slot++) {
      least = min(least, turned[slot * E + e] * scale);
      most = max(most, turned[slot * E + e] * scale);
    }
    workgroupBarrier();
  }
  let pair = code_pair(least, most, K_BITS);
  if (local < KEYS) { destination[pages.y + 32u * K_WORDS + local] = pair; }

  // Keys: codes.
  for (var slot0 = 0u; slot0 < 32u; slot0 += SLOTS) {
    load_slots(pages.x, slot0, false, local);
    workgroupBarrier();
    for (var apart = 1u; apart < BLOCK; apart *= 2u) {
      hadamard_stage(apart, NUMBERS, local);
      workgroupBarrier();
    }
    for (var slot = 0u; slot < SLOTS && local < KEYS; slot++) {
      turned[slot * E + e] = code(turned[slot * E + e] * scale, pair, K_BITS);
    }
    workgroupBarrier();
    for (var i = local; i < SLOTS * K_WORDS; i += WG) {
      let word = key_word(i / K_WORDS * E, owner, i % K_WORDS * (32u / K_BITS));
      destination[pages.y + i % K_WORDS * 32u + slot0 + i / K_WORDS] = word;
    }
    workgroupBarrier();
  }

  // Values: a thread per group.
  let codes = pages.y + 32u * K_WORDS + KEYS;
  let wordsOfGroup = GROUP * V_BITS / 32u;
  for (var slot0 = 0u; slot0 < 32u; slot0 += SLOTS) {
    load_slots(pages.x, slot0, true, local);
    workgroupBarrier();
    for (var apart = 1u; apart < BLOCK; apart *= 2u) {
      hadamard_stage(apart, NUMBERS, local);
      workgroupBarrier();
    }
    for (var group = local; group < SLOTS * GROUPS; group += WG) {
      let first = group * GROUP;
      var low = 3e38;
      var high = -3e38;
      for (var i = first; i < first + GROUP; i++) {
        low = min(low, turned[i] * scale);
        high = max(high, turned[i] * scale);
      }
      let own = code_pair(low, high, V_BITS);
      destination[codes + 32u * V_WORDS + slot0 * GROUPS + group] = own;
      for (var i = first; i < first + GROUP; i++) { turned[i] = code(turned[i] * scale, own, V_BITS); }
      for (var w = 0u; w < wordsOfGroup; w++) {
        let word = code_word(first + w * (32u / V_BITS), V_BITS);
        destination[codes + slot0 * V_WORDS + group * wordsOfGroup + w] = word;
      }
    }
    workgroupBarrier();
  }
  if (KEYS < E && local < KEYS / 4u) {
    destination[codes + 32u * (V_WORDS + GROUPS) + local] = choices[owner * (KEYS / 4u) + local];
  }
}

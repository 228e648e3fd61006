// think_seal — pages of a written format with some of the channels of their keys
//
//   moves        [*]          vec2u  read   first words of a page in `source` and in `destination`
//   owners       [*]          u32    read   the list that each move's page belongs to
//   choices      [*, KEYS/4]  u32    read   its channels, ascending, four to a word
//   source       [*]          u32    read
//   destination  [*]          u32    write
//
// dispatch  (moves, 1, 1): one workgroup per page, threads along its words
// cost      bytes 4·KV_BITS·(3·KEYS + 2·E): memory bound, once per page
// why       Numbers stay as they are: f32, f16, or units, with their scales and minima. The channels go with the page, so it
//           can be read by itself. A page is
//             K         [4][⌈KEYS·KV_BITS/32⌉][8]  as in a written page, KEYS channels wide
//             V, pairs                           as in a written page
//             channels  [KEYS/4]
// uses      lib/narrow_word.wgsl

override WG: u32 = 64;       // threads per workgroup
override E: u32 = 64;        // head width, a multiple of 8
override KEYS: u32 = 40;     // channels of a key that stay, a multiple of 4
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4

struct Params { first: u32 }  // move of workgroup 0

@group(0) @binding(0) var<storage, read> moves: array<vec2u>;
@group(0) @binding(1) var<storage, read> owners: array<u32>;
@group(0) @binding(2) var<storage, read> choices: array<u32>;
@group(0) @binding(3) var<storage, read> source: array<u32>;
@group(0) @binding(4) var<storage, read_write> destination: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

override WORDS: u32 = (KEYS * KV_BITS + 31u) / 32u;  // of a slot's key
override REST: u32 = E * KV_BITS + select(0u, 64u, KV_BITS <= 8u);

@compute @workgroup_size(WG)
fn think_seal(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let pages = moves[params.first + wg.x];
  let owner = owners[params.first + wg.x];
  for (var i = local; i < 32u * WORDS; i += WG) {
    let slot = i / (8u * WORDS) * 8u + i % 8u;
    let key = pages.x + slot / 8u * (E * KV_BITS / 4u) + slot % 8u;
    destination[pages.y + i] = narrow_word(key, owner, i / 8u % WORDS);
  }
  for (var i = local; i < REST; i += WG) {
    destination[pages.y + 32u * WORDS + i] = source[pages.x + E * KV_BITS + i];
  }
  for (var i = local; i < KEYS / 4u; i += WG) {
    destination[pages.y + 32u * WORDS + REST + i] = choices[owner * (KEYS / 4u) + i];
  }
}

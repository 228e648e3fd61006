// compact — copies the keys and values of tokens that stay, in order, to private pages
//
//   table        [*, listLength, columns]  vec4u  read
//   keep         [columns, keepStride]     u32    read   what comes to each slot: 32·(index in the list) + slot there, or STAYS
//   source       [*]                       u32    read
//   destination  [*]                       u32    write
//
// dispatch  (G, 32, most pages kept): one workgroup per KV head and kept token; threads take words
// cost      bytes 4·kept·E·KV_BITS/8: latency bound, once per prompt
// why       Words are copied as they are, rotation included. Their destination is in the lists of another
//           row of the table, which take the place of these once the step is over. A token in another arena than
//           `source` is another dispatch's.
// uses      lib/list.wgsl lib/page.wgsl

override E: u32 = 64;        // head width, a multiple of 8
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4; 8 and 4 have a pair per slot

struct Params {
  listLength: u32,   // table entries of a list: its head, then pages
  columns: u32,      // lists of a sequence
  column: u32,       // the list of KV head 0
  row: u32,          // row of the table that tokens are read through
  preparedRow: u32,  // row of the table that says where they go
  arena: u32,        // number of the buffer bound as `source`
  keepStride: u32,
}

@group(0) @binding(0) var<storage, read> table: array<vec4u>;
@group(0) @binding(1) var<storage, read> keep: array<u32>;
@group(0) @binding(2) var<storage, read> source: array<u32>;
@group(0) @binding(3) var<storage, read_write> destination: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

const WG = 32u;
const STAYS = 0xffffffffu;  // the slot holds what it is to hold
override WORDS: u32 = E * KV_BITS / 32u;  // of a slot's K or V

@compute @workgroup_size(32)
fn compact(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let column = params.column + wg.x;
  let list = params.row * params.listLength * params.columns + column;
  let prepared = params.preparedRow * params.listLength * params.columns + column;
  if (wg.z >= table[prepared].x) { return; }
  let slot = wg.y;
  let page = table[prepared + (1u + wg.z) * params.columns];
  if (((page.y >> slot) & 1u) == 0u) { return; }
  let kept = keep[column * params.keepStride + 32u * wg.z + slot];
  if (kept == STAYS) { return; }
  let origin = listed_entry(list, table[list], kept / 32u);
  if (origin.z != params.arena) { return; }
  for (var w = local; w < WORDS; w += WG) {
    destination[slot_at(page.x, slot, false) + 8u * w] = source[slot_at(origin.x, kept % 32u, false) + 8u * w];
    destination[slot_at(page.x, slot, true) + w] = source[slot_at(origin.x, kept % 32u, true) + w];
  }
  if (KV_BITS <= 8u && local < 2u) {
    destination[pair_at(page.x, slot, local == 1u)] = source[pair_at(origin.x, kept % 32u, local == 1u)];
  }
}

// think_keep — as compact, into private pages whose keys have some of their channels
//
//   table        [*, listLength, columns]  vec4u  read
//   keep         [columns, keepStride]     u32    read   slots that stay of each list, ascending: 32·(index in the list) + slot
//   choices      [*, KEYS/4]               u32    read   channels of each list, ascending, four to a word
//   source       [*]                       u32    read
//   destination  [*]                       u32    write
//
// dispatch  (G, 32, most pages kept): one workgroup per KV head and kept token; threads take words
// cost      bytes 2·kept·KV_BITS·(2·KEYS + E)/8: latency bound, once per prompt
// why       Numbers stay as they are. think_seal draws the page. A token in another arena than `source` is another
//           dispatch's.
// uses      lib/list.wgsl lib/page.wgsl lib/narrow_word.wgsl

override E: u32 = 64;        // head width, a multiple of 8
override KEYS: u32 = 40;     // channels of a key that stay, a multiple of 4
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
@group(0) @binding(2) var<storage, read> choices: array<u32>;
@group(0) @binding(3) var<storage, read> source: array<u32>;
@group(0) @binding(4) var<storage, read_write> destination: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

const WG = 32u;
override WORDS: u32 = (KEYS * KV_BITS + 31u) / 32u;  // of a slot's key
override VALUE_WORDS: u32 = E * KV_BITS / 32u;

@compute @workgroup_size(32)
fn think_keep(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let column = params.column + wg.x;
  let list = params.row * params.listLength * params.columns + column;
  let prepared = params.preparedRow * params.listLength * params.columns + column;
  if (wg.z >= table[prepared].x) { return; }
  let slot = wg.y;
  let page = table[prepared + (1u + wg.z) * params.columns];
  let values = page.x + 32u * WORDS;
  let own = params.row * params.columns + column;
  if (slot == 0u) {
    let at = values + 32u * VALUE_WORDS + select(0u, 64u, KV_BITS <= 8u);
    for (var i = local; i < KEYS / 4u; i += WG) { destination[at + i] = choices[own * (KEYS / 4u) + i]; }
  }
  if (((page.y >> slot) & 1u) == 0u) { return; }
  let kept = keep[column * params.keepStride + 32u * wg.z + slot];
  let origin = listed_entry(list, table[list], kept / 32u);
  if (origin.z != params.arena) { return; }
  let key = slot_at(origin.x, kept % 32u, false);
  for (var w = local; w < WORDS; w += WG) {
    destination[page.x + slot / 8u * 8u * WORDS + slot % 8u + 8u * w] = narrow_word(key, own, w);
  }
  for (var w = local; w < VALUE_WORDS; w += WG) {
    destination[values + slot * VALUE_WORDS + w] = source[slot_at(origin.x, kept % 32u, true) + w];
  }
  if (KV_BITS <= 8u && local < 2u) {
    destination[values + 32u * VALUE_WORDS + 32u * local + slot] = source[pair_at(origin.x, kept % 32u, local == 1u)];
  }
}

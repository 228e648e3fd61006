// shadow_reads — counts[s, g, 1 + n] += weight for each chunk n in the places of KV head g of sequence s; counts[s, g, 0] += weight
//
//   rows      [T]                       vec4u  read
//   table     [*, listLength, columns]  vec4u  read
//   resident  [*, G, SELECTED]          u32    read        the chunk in each place, by sequence
//   counts    [*, G, stride]            u32    read_write
//
// dispatch  (G, M, 1): one workgroup per KV head and row
// cost      bytes 12·M·G·SELECTED: latency bound, only where counts are wanted
// why       A list has a chunk in one place at most and counts of its own, so no two threads write to one of them.

override WG: u32 = 64;         // threads
override G: u32 = 3;           // KV heads
override SELECTED: u32 = 128;  // places

struct Params {
  firstRow: u32,
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  stride: u32,      // counts of a list
  weight: u32,      // layers that read what is in the places now
}

@group(0) @binding(0) var<storage, read> rows: array<vec4u>;
@group(0) @binding(1) var<storage, read> table: array<vec4u>;
@group(0) @binding(2) var<storage, read> resident: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn shadow_reads(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let sequence = rows[params.firstRow + wg.y].z;
  let head = table[sequence * params.listLength * params.columns + params.column + wg.x];
  if (head.x == 0u) { return; }
  let list = sequence * G + wg.x;
  if (local == 0u) { counts[list * params.stride] += params.weight; }
  for (var i = local; i < SELECTED; i += WG) {
    counts[list * params.stride + 1u + resident[list * SELECTED + i]] += params.weight;
  }
}

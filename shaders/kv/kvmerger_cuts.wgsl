// kvmerger_cuts — cuts[l, s] = how much key s of a list differs from the key before it: −cosine, or 2 where they must not be merged
//
//   table   [*, listLength, columns]  vec4u  read
//   source  [*]                       u32    read
//   alone   [G, aloneStride]          u32    read   slots of each list that are never merged, ascending
//   cuts    [G, stride]               f32    write
//
// dispatch  (G, pages, 1): one workgroup per KV head and page, a thread per slot
// cost      bytes 2·G·S·E·KV_BITS/8, flops 6·G·S·E: memory bound, once per store and prompt
// why       Sets of tokens are runs between cuts, so which B sets are best is which B slots begin one: those with the
//           largest of these numbers. A page in another buffer than `source` is another dispatch's; sets end where the
//           buffer changes, since one dispatch merges each.
// uses      lib/list.wgsl lib/source_number.wgsl

override E: u32 = 64;        // head width, a multiple of 8
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4

struct Params {
  listLength: u32,   // table entries of a list: its head, then pages
  columns: u32,      // lists of a sequence
  column: u32,       // the list of KV head 0
  row: u32,          // row of the table that the pages are listed in
  arena: u32,        // number of the buffer bound as `source`
  sinks: u32,        // first slots that are never merged
  alone: u32,        // slots in each list of `alone`
  aloneStride: u32,
  stride: u32,
}

@group(0) @binding(0) var<storage, read> table: array<vec4u>;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read> alone: array<u32>;
@group(0) @binding(3) var<storage, read_write> cuts: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const NEVER = 2.0;  // more than any cosine

// Whether slot or the one before it is never merged with another.
fn is_alone(group: u32, slot: u32) -> bool {
  if (slot <= params.sinks) { return true; }
  // The first slot of the list that is not before these two.
  var low = 0u;
  var high = params.alone;
  for (var i = 0u; i < 32u && low < high; i++) {
    let middle = (low + high) / 2u;
    if (alone[group * params.aloneStride + middle] + 1u < slot) { low = middle + 1u; } else { high = middle; }
  }
  return low < params.alone && alone[group * params.aloneStride + low] <= slot;
}

@compute @workgroup_size(32)
fn kvmerger_cuts(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let list = params.row * params.listLength * params.columns + params.column + wg.x;
  let head = table[list];
  let own = listed_entry(list, head, wg.y);
  if (own.z != params.arena) { return; }
  let slot = 32u * wg.y + local;
  let before = listed_entry(list, head, max(slot, 1u) / 32u - u32(local == 0u && wg.y > 0u));
  var cut = NEVER;
  if (!is_alone(wg.x, slot) && before.z == params.arena) {
    var sums = vec3f();  // of the products a·a, a·b, b·b
    for (var e = 0u; e < E; e++) {
      let a = source_number(before.x, (slot - 1u) % 32u, e, false);
      let b = source_number(own.x, local, e, false);
      sums += vec3f(a * a, a * b, b * b);
    }
    let size = sqrt(sums.x) * sqrt(sums.z);
    cut = -1.0;
    if (size > 0.0) { cut = -sums.y / size; }
  }
  cuts[wg.x * params.stride + slot] = cut;
}

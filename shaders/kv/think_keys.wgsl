// think_keys — sums[g, entry + split, e] = Σ over the keys of a split of a prompt's pages of k²
//
//   table  [*, listLength, columns]  vec4u  read
//   kv     [*]                       u32    read
//   sums   [G, entries, E]           f32    write
//
// dispatch  (G, splits, 1): one workgroup per KV head and split of its list
// cost      bytes G·S·E·KV_BITS/8, flops 2·G·S·E: memory bound, once per store and prompt
// why       Eight threads read the eight slots that lie together in a page, the others the next channels by four. Pages of
//           another arena than `kv` are another dispatch's; slots that hold no token of the prompt may hold NaN.
// uses      lib/list.wgsl lib/page_key.wgsl

override WG: u32 = 64;       // threads: 8 along slots, the others along channels
override E: u32 = 64;        // head width, a multiple of 8
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4

struct Params {
  listLength: u32,     // table entries of a list: its head, then pages
  columns: u32,        // lists of a sequence
  column: u32,         // the list of KV head 0
  row: u32,            // row of the table that the pages are listed in
  arena: u32,          // number of the buffer bound as `kv`
  pages: u32,          // of the sequence, those that the list has lost included
  tokens: u32,         // positions from here on are not of the prompt
  pagesPerSplit: u32,
  entries: u32,        // sums of a KV head
  entry: u32,          // the first one written here
}

@group(0) @binding(0) var<storage, read> table: array<vec4u>;
@group(0) @binding(1) var<storage, read> kv: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const SLOTS = 8u;  // that lie together

var<workgroup> parts: array<vec4f, WG>;  // [channels by four, SLOTS]

@compute @workgroup_size(WG)
fn think_keys(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let list = params.row * params.listLength * params.columns + params.column + wg.x;
  let head = table[list];
  let listed = params.pages + head.x - head.y;
  let firstPage = wg.y * params.pagesPerSplit;
  let endPage = min(firstPage + params.pagesPerSplit, listed);
  for (var first4 = 0u; first4 < E / 4u; first4 += WG / SLOTS) {
    let e4 = first4 + local / SLOTS;
    var sum = vec4f();
    for (var i = firstPage; i < endPage && e4 < E / 4u; i++) {
      let entry = listed_entry(list, head, i);
      if (entry.z != params.arena) { continue; }
      for (var slot = local % SLOTS; slot < 32u; slot += SLOTS) {
        if (((entry.y >> slot) & 1u) == 0u || entry.w + slot >= params.tokens) { continue; }
        let x = page_key(entry.x, e4, slot);
        sum += x * x;
      }
    }
    parts[local] = sum;
    workgroupBarrier();
    if (local % SLOTS == 0u && e4 < E / 4u) {
      for (var i = 1u; i < SLOTS; i++) { sum += parts[local + i]; }
      let at = (wg.x * params.entries + params.entry + wg.y) * E + 4u * e4;
      for (var i = 0u; i < 4u; i++) { sums[at + i] = sum[i]; }
    }
    workgroupBarrier();
  }
}

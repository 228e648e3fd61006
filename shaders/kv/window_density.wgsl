// window_density — counts[g, page] = how many weights of a prompt's last queries are at least e^LOG of their query's largest
//
//   q       [T, H, E]                 f32    read
//   rows    [T]                       vec4u  read
//   table   [*, listLength, columns]  vec4u  read
//   kv      [*]                       vec4u  read
//   sums    [G, queries, entries]     vec2f  read   from window_sums: (largest, sum) of each split
//   counts  [*, stride]               u32    write
//
// dispatch  (G, pages, 1): one workgroup per KV head and page
// cost      bytes G·pages·32·E·KV_BITS/8, flops 64·queries·G·pages·E: compute bound, once per prompt
// why       A weight is exp(score − largest)/sum, so the comparison needs no sum: score ≥ largest + log. What is counted is
//           told to the CPU, which shares out how many tokens each layer keeps. Pages of another arena than `kv` are another
//           dispatch's.
// uses      lib/list.wgsl lib/seen.wgsl lib/window_scores.wgsl

override WG: u32 = 48;       // threads: 4 along the slots of the page, the others along queries; at least 8
override E: u32 = 64;        // head width, a multiple of 8
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4
override H: u32 = 9;         // query heads
override R: u32 = 3;         // query heads of a KV head
const QUERIES: u32 = 8;      // queries of a thread

struct Params {
  firstRow: u32,    // the first of the rows
  queries: u32,     // of a KV head: rows · R
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  row: u32,         // row of the table that the pages are listed in
  arena: u32,       // number of the buffer bound as `kv`
  pages: u32,       // of the sequence, those that the list has lost included
  entries: u32,     // sums of a query
  first: u32,       // row of `counts` of KV head 0
  stride: u32,
  window: u32,      // keys a query sees, itself included; 0: all
  scale: f32,       // 1/√E
  log: f32,         // of the share of the largest weight
}

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> kv: array<vec4u>;
@group(0) @binding(4) var<storage, read> sums: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> counts: array<u32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> least: array<f32, WG / 4u * QUERIES>;  // score that counts, of the queries of a turn
var<workgroup> parts: array<u32, WG>;

// How many of four slots that are seen have such a score.
fn four_counted(scores: vec4f, threshold: f32, bits: u32) -> u32 {
  let counted = select(vec4u(), vec4u(1u), (scores >= vec4f(threshold)) & four_seen(bits));
  return counted.x + counted.y + counted.z + counted.w;
}

@compute @workgroup_size(WG)
fn window_density(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let list = params.row * params.listLength * params.columns + params.column + wg.x;
  let head = table[list];
  let entry = listed_entry(list, head, wg.y);
  let isOurs = entry.z == params.arena && wg.y < params.pages + head.x - head.y;
  let octet = local % 4u;
  var count = 0u;
  for (var done = 0u; done < params.queries; done += WG / 4u * QUERIES) {
    workgroupBarrier();
    for (var i = local; i < WG / 4u * QUERIES; i += WG) {
      let at = (wg.x * params.queries + min(done + i, params.queries - 1u)) * params.entries;
      var top = sums[at].x;
      for (var part = 1u; part < params.entries; part++) { top = max(top, sums[at + part].x); }
      least[i] = select(3e38, top + params.log, done + i < params.queries);
    }
    workgroupBarrier();
    if (isOurs) {
      var query: array<u32, QUERIES>;
      var position: array<u32, QUERIES>;
      for (var j = 0u; j < QUERIES; j++) {
        let i = min(done + local / 4u * QUERIES + j, params.queries - 1u);
        query[j] = ((params.firstRow + i / R) * H + wg.x * R + i % R) * E / 4u;
        position[j] = rows[params.firstRow + i / R].x;
      }
      let products = window_scores(entry.x, octet, query);
      for (var j = 0u; j < QUERIES; j++) {
        let bits = seen(entry, position[j]) >> (8u * octet);
        let threshold = least[local / 4u * QUERIES + j];
        count += four_counted(products[2u * j], threshold, bits) + four_counted(products[2u * j + 1u], threshold, bits >> 4u);
      }
    }
  }

  parts[local] = count;
  workgroupBarrier();
  if (local != 0u || !isOurs) { return; }
  for (var i = 1u; i < WG; i++) { count += parts[i]; }
  counts[(params.first + wg.x) * params.stride + wg.y] = count;
}

// window_score — scores[g, s] = (1/R)·Σ over the queries of KV head g of the weight that each gives to slot s;
// MOST: the largest of these weights
//
//   q       [T, H, E]                 f32    read
//   rows    [T]                       vec4u  read
//   table   [*, listLength, columns]  vec4u  read
//   kv      [*]                       vec4u  read
//   sums    [G, queries, entries]     vec2f  read   from window_sums: (largest, sum) of each split
//   scores  [*, stride]               f32    write  slot 32·i + s is slot s of entry i of the list
//
// dispatch  (G, pages, 1): one workgroup per KV head and page that counts
// cost      bytes G·pages·32·E·KV_BITS/8, flops 64·queries·G·pages·E: compute bound, once per prompt
// why       Weights are softmax weights over all keys that a query sees. The queries come in turns of 2·WG; the
//           threads of the same slots add up at the end. Pages of another arena than `kv` are another dispatch's.
//           joins: the scores of several layers that read one store, or of several steps, make one.
// uses      lib/list.wgsl lib/counted.wgsl lib/seen.wgsl lib/joined.wgsl lib/window_scores.wgsl

override WG: u32 = 48;       // threads: 4 along the slots of the page, the others along queries; at least 8
override E: u32 = 64;        // head width, a multiple of 8
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4
override H: u32 = 9;         // query heads
override R: u32 = 3;         // query heads of a KV head
override MOST: bool = false; // the largest weight instead of the mean over query heads of the sum over rows
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
  first: u32,       // row of `scores` of KV head 0
  stride: u32,
  gapAt: u32,       // pages that count before the first that are left out
  gap: u32,         // how many those are
  endAt: u32,       // likewise, for a second time
  endGap: u32,
  window: u32,      // keys a query sees, itself included; 0: all
  joins: u32,       // pages whose scores join what `scores` holds
  scale: f32,       // 1/√E
}

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> kv: array<vec4u>;
@group(0) @binding(4) var<storage, read> sums: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> scores: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> norms: array<vec2f, WG / 4u * QUERIES>;  // (largest, 1 / sum) of the queries of a turn
var<workgroup> parts: array<vec4f, 2u * WG>;            // [threads along queries, 8 times four slots]

// Of two sets of queries.
fn both(a: vec4f, b: vec4f) -> vec4f {
  if (MOST) { return max(a, b); }
  return a + b;
}

@compute @workgroup_size(WG)
fn window_score(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let list = params.row * params.listLength * params.columns + params.column + wg.x;
  let head = table[list];
  let page = counted(wg.y);
  let entry = listed_entry(list, head, page);
  let isOurs = entry.z == params.arena && page < params.pages + head.x - head.y;
  let octet = local % 4u;
  var low = vec4f();
  var high = vec4f();
  for (var done = 0u; done < params.queries; done += WG / 4u * QUERIES) {
    workgroupBarrier();
    for (var i = local; i < WG / 4u * QUERIES; i += WG) {
      let at = (wg.x * params.queries + min(done + i, params.queries - 1u)) * params.entries;
      var whole = sums[at];
      for (var part = 1u; part < params.entries; part++) { whole = joined(whole, sums[at + part]); }
      norms[i] = vec2f(whole.x, select(0.0, 1.0 / whole.y, params.queries > done + i));
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
        let norm = norms[local / 4u * QUERIES + j];
        low = both(low, select(vec4f(), exp(products[2u * j] - norm.x) * norm.y, four_seen(bits)));
        high = both(high, select(vec4f(), exp(products[2u * j + 1u] - norm.x) * norm.y, four_seen(bits >> 4u)));
      }
    }
  }

  parts[local / 4u * 8u + 2u * octet] = low;
  parts[local / 4u * 8u + 2u * octet + 1u] = high;
  workgroupBarrier();
  if (local >= 8u || !isOurs) { return; }
  var total = parts[local];
  for (var i = 1u; i < WG / 4u; i++) { total = both(total, parts[8u * i + local]); }
  if (!MOST) { total /= f32(R); }
  let at = (params.first + wg.x) * params.stride + 32u * page + 4u * local;
  if (page < params.joins) {
    total = both(total, vec4f(scores[at], scores[at + 1u], scores[at + 2u], scores[at + 3u]));
  }
  for (var i = 0u; i < 4u; i++) { scores[at + i] = total[i]; }
}

// window_sums — the largest score of each query of a prompt's last rows, and Σexp(score − largest), over a split of the keys
//
//   q      [T, H, E]                 f32    read
//   rows   [T]                       vec4u  read
//   table  [*, listLength, columns]  vec4u  read
//   kv     [*]                       vec4u  read
//   sums   [G, queries, entries]     vec2f  write  (largest, sum); query i of a KV head is head i % R of row i / R
//
// dispatch  (G, splits, ⌈queries / (2·WG)⌉): one workgroup per KV head, split of its list and 2·WG queries
// cost      bytes G·S·E·KV_BITS/8, flops 2·queries·G·S·E: compute bound, once per prompt
// why       The softmax of window_score divides by what all keys add up to, so they are read twice; keeping the
//           scores instead would take 4·queries·S bytes per KV head. Pages of another arena than `kv` are another
//           dispatch's.
// uses      lib/list.wgsl lib/counted.wgsl lib/seen.wgsl lib/joined.wgsl lib/window_scores.wgsl

override WG: u32 = 48;       // threads: 4 along the slots of a page, the others along queries
override E: u32 = 64;        // head width, a multiple of 8
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4
override H: u32 = 9;         // query heads
override R: u32 = 3;         // query heads of a KV head
const QUERIES: u32 = 8;      // queries of a thread

struct Params {
  firstRow: u32,       // the first of the rows
  queries: u32,        // of a KV head: rows · R
  listLength: u32,     // table entries of a list: its head, then pages
  columns: u32,        // lists of a sequence
  column: u32,         // the list of KV head 0
  row: u32,            // row of the table that the pages are listed in
  arena: u32,          // number of the buffer bound as `kv`
  pages: u32,          // of the sequence, those that the list has lost included
  pagesPerSplit: u32,
  entries: u32,        // sums of a query
  entry: u32,          // the first one written here
  gapAt: u32,          // pages that count before the first that are left out
  gap: u32,            // how many those are
  endAt: u32,          // likewise, for a second time
  endGap: u32,
  window: u32,         // keys a query sees, itself included; 0: all
  scale: f32,          // 1/√E
}

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> kv: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> sums: array<vec2f>;
@group(0) @binding(5) var<uniform> params: Params;

const UNSEEN = -3e38;

var<workgroup> parts: array<vec2f, WG * QUERIES>;  // [queries, 4]

// What is known of a query, joined with its scores of four slots.
fn join_four(known: vec2f, scores: vec4f, bits: u32) -> vec2f {
  let visible = four_seen(bits);
  let four = select(vec4f(UNSEEN), scores, visible);
  let top = max(max(max(four.x, four.y), max(four.z, four.w)), known.x);
  let weights = select(vec4f(), exp(four - top), visible);
  return vec2f(top, known.y * exp(known.x - top) + weights.x + weights.y + weights.z + weights.w);
}

@compute @workgroup_size(WG)
fn window_sums(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let list = params.row * params.listLength * params.columns + params.column + wg.x;
  let head = table[list];
  let listed = params.pages + head.x - head.y;
  let octet = local % 4u;
  let first = wg.z * (WG / 4u * QUERIES);
  var query: array<u32, QUERIES>;
  var position: array<u32, QUERIES>;
  var known: array<vec2f, QUERIES>;
  for (var j = 0u; j < QUERIES; j++) {
    let i = min(first + local / 4u * QUERIES + j, params.queries - 1u);
    query[j] = ((params.firstRow + i / R) * H + wg.x * R + i % R) * E / 4u;
    position[j] = rows[params.firstRow + i / R].x;
    known[j] = vec2f(UNSEEN, 0.0);
  }

  let firstPage = wg.y * params.pagesPerSplit;
  for (var i = firstPage; i < firstPage + params.pagesPerSplit; i++) {
    let page = counted(i);
    if (page >= listed) { break; }
    let entry = listed_entry(list, head, page);
    if (entry.z != params.arena) { continue; }
    let scores = window_scores(entry.x, octet, query);
    for (var j = 0u; j < QUERIES; j++) {
      let bits = seen(entry, position[j]) >> (8u * octet);
      known[j] = join_four(join_four(known[j], scores[2u * j], bits), scores[2u * j + 1u], bits >> 4u);
    }
  }

  for (var j = 0u; j < QUERIES; j++) { parts[(local / 4u * QUERIES + j) * 4u + octet] = known[j]; }
  workgroupBarrier();
  for (var i = local; i < min(WG / 4u * QUERIES, params.queries - first); i += WG) {
    let whole = joined(joined(parts[4u * i], parts[4u * i + 1u]), joined(parts[4u * i + 2u], parts[4u * i + 3u]));
    sums[(wg.x * params.queries + first + i) * params.entries + params.entry + wg.y] = whole;
  }
}

// place_heads — heads of a finished product (+ bias), normalised one by one or all together, rotated, to q or into cache pages
//
//   x        [T, heads, E]     f32    read        query heads, key heads, value heads
//   vectors  [*]               f32    read        weights of the norm of queries, then of keys
//   rows     [*]               vec4u  read        row records, then the page table
//   rope     [positions, E/2]  vec2f  read
//   q        [T, queries, E]   f32    read_write
//   kv       [*]               u32    read_write
//
// dispatch  (heads, T, 1): one workgroup per head of one row
// cost      bytes 4·T·heads·E, of a norm over all heads 4·T·(queries² + ownerHeads²)·E: latency bound
// why       What needs a whole head, or all of them, follows a plain product, whose workgroups are many and know a few
//           columns each. A norm over all heads: every head adds up all squares of its kind, a few KiB from a cache, and no
//           pass between.
// uses      lib/head.wgsl lib/page_writer.wgsl lib/row_sum.wgsl

override E: u32 = 64;        // head width, a multiple of 8
override KV_BITS: u32 = 16;  // bits of a cached number: 32, 16, 8 or 4
override BIAS: u32 = 0;      // 1: add bias
override NORM: u32 = 2;      // RMS norm of queries and keys: 0 none, 1 of each head, 2 of all heads of a kind together
override WG: u32 = 64;       // threads per workgroup, a power of two
override LANES: u32 = WG;

struct Params {
  rowAt: u32,        // record of row 0
  heads: u32,        // heads of x
  queries: u32,      // query heads of x
  ownerHeads: u32,   // key heads of an owner, and as many value heads
  firstHead: u32,    // head of x that workgroup 0 takes
  column: u32,       // the list of the first owner's first head
  columns: u32,      // lists of a sequence
  listLength: u32,   // table entries of a list: its head, then pages
  tableAt: u32,      // first entry of the page table in `rows`
  arena: u32,        // number of the buffer bound as kv
  biasAt: u32,       // in floats of `vectors`: [heads, E]
  queryNormAt: u32,  // [E], or [queries, E] of a norm over all heads
  keyNormAt: u32,    // [owners, E], or [owners, ownerHeads, E]
  width: u32,        // channels that a head's squares are divided by: without padding, which is 0
  eps: f32,
  queryTurns: u32,   // position in `rope` that position 0 of a query has: above 0 where queries have turns of their own
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> vectors: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<vec4u>;
@group(0) @binding(3) var<storage, read> rope: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> kv: array<u32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> partial: array<f32, WG>;
var<workgroup> finished: array<f32, E>;

// What page_writer.wgsl reads.
fn head_value(i: u32) -> f32 { return finished[i]; }

// Number i of the row of x that begins at `line`, bias included.
fn made(line: u32, i: u32) -> f32 {
  if (BIAS == 1u) { return x[line + i] + vectors[params.biasAt + i]; }
  return x[line + i];
}

// Factor of the norm over `count` heads, of which `first` is the first one.
fn norm_factor(line: u32, first: u32, count: u32, lane: u32) -> f32 {
  var squares = 0.0;
  for (var i = lane; i < count * E; i += WG) {
    let value = made(line, first * E + i);
    squares += value * value;
  }
  return inverseSqrt(row_sum(lane, squares) / f32(count * params.width) + params.eps);
}

@compute @workgroup_size(WG)
fn place_heads(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let m = params.firstHead + wg.x;
  let head = head_of(m);
  let isQuery = head.kind == QUERY;
  let isValue = head.kind == VALUE;
  let row = rows[params.rowAt + wg.y];
  let line = wg.y * params.heads * E;
  // Heads that are normalised together: of a norm of each head this one alone, with its owner's weights.
  let group = select(params.ownerHeads, params.queries, isQuery);
  let first = select(select(params.queries + 2u * head.owner * params.ownerHeads, 0u, isQuery), m, NORM == 1u);
  let count = select(group, 1u, NORM == 1u);
  let weightAt = select(params.keyNormAt + head.owner * count * E, params.queryNormAt, isQuery) + (m - first) * E;
  var factor = 1.0;
  if (NORM > 0u) { factor = norm_factor(line, first, count, lane); }
  for (var e = lane; e < E / 2u; e += WG) {
    var pair = vec2f(made(line, m * E + e), made(line, m * E + E / 2u + e));
    if (!isValue) {
      if (NORM > 0u) { pair *= factor * vec2f(vectors[weightAt + e], vectors[weightAt + E / 2u + e]); }
      let turn = rope[(row.x + select(0u, params.queryTurns, isQuery)) * (E / 2u) + e];
      pair = vec2f(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
    }
    finished[e] = pair.x;
    finished[E / 2u + e] = pair.y;
  }
  workgroupBarrier();
  let to = (wg.y * params.queries + m) * E;
  for (var e = lane; e < select(0u, E, isQuery); e += WG) { q[to + e] = finished[e]; }
  let entry = entry_of(row, head.column);
  let away = isQuery || entry.z != params.arena;
  write_page(0u, entry.x, row.y % 32u, isValue, select(E * KV_BITS / 32u, 0u, away), lane);
}

// qkv_regs — heads of rmsnorm(x)·b (+ bias), queries and keys normalised (HEAD_NORM) and rotated, to q or into cache pages
//
//   x        [T, D]              f32    read
//   b        [D, stride]         vec4f  read   weights times gamma, K-major, from column bHead·E of the matrix
//   vectors  [*]                 vec4f  read   bias and head norms, by offsets in floats
//   rows     [*]                 vec4u  read   records of the rows from rowAt, page table from tableAt
//   rope     [positions, E/2]    vec2f  read
//   q        [T, queries, E]     vec4f  read_write
//   kv       [*]                 u32    read_write
//
// dispatch  (X, ceil(T / 16), 1): one workgroup of 4 threads per 16 rows, for heads x, x + X, …; any X serves
// cost      flops 2·T·heads·E·D, bytes 4·(T·D·heads·E/16 + D·heads·E·T/16 + T·heads·E): compute bound
// why       gemm_regs_sg for whole heads, 16 columns at a time. The sums go to workgroup memory, and there a lane finishes a
//           row alone: norm, rotation and scale need no other lane, and four rows side by side are what SwiftShader computes
//           at once. gamma is in b and the rows' norm comes once per workgroup: the more heads it takes, the less it costs;
//           X·T/16 near 64 keeps 16 cores busy. Sums that no row of this arena needs have zero terms, since a branch would
//           not skip (docs/kernels.md, CPU tricks).
// uses      lib/quad_multiply.wgsl lib/head.wgsl lib/page.wgsl lib/affine_pair.wgsl lib/opened.wgsl lib/pack_half.wgsl lib/turn.wgsl

enable subgroups;

override E: u32 = 64;         // head width, a multiple of 8
override KV_BITS: u32 = 32;   // of a cached number: 32, 16 (f16), 8 or 4 (minimum + scale·unit, pair per slot and head)
override BIAS: u32 = 0;       // 1: add bias
override HEAD_NORM: u32 = 0;  // 1: queries and keys are RMS-normalised per head

struct Params {
  rows: u32,         // T
  rowAt: u32,        // record of row 0 in `rows`: (position, cacheIndex, slot, token)
  depth: u32,        // D, a multiple of 4
  stride: u32,       // columns of b, a multiple of 4
  firstHead: u32,    // first head of the dispatch
  heads: u32,        // heads of the dispatch
  bHead: u32,        // head in column 0 of b
  queries: u32,      // query heads of the matrix
  ownerHeads: u32,   // key heads of an owner, and as many value heads
  column: u32,       // the list of the first owner's first head
  columns: u32,      // lists of a sequence
  listLength: u32,   // table entries of a list: its head, then pages
  tableAt: u32,      // first table entry in `rows`: (word offset, mask, arena, base)
  arena: u32,        // number of the buffer bound as kv
  biasAt: u32,       // [all heads·E]
  queryNormAt: u32,  // [E]
  keyNormAt: u32,    // [owners, E]
  eps: f32,          // of the norm before the product
  headEps: f32,      // of the norms of heads
  queryTurns: u32,   // position in `rope` that position 0 of a query has: above 0 where queries have turns of their own
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> vectors: array<vec4f>;
@group(0) @binding(3) var<storage, read> rows: array<vec4u>;
@group(0) @binding(4) var<storage, read> rope: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> kv: array<u32>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> tile: array<vec4f, E * 4>;  // the head of 16 rows
var<workgroup> factors: array<f32, 16>;    // of the rows' norm

// Factor of the norm of a row of x.
fn row_factor(row: u32) -> f32 {
  let at = begin(row, 0u);
  var squares = 0.0;
  for (var k = 0u; k < params.depth; k += 4u) {
    let values = vec4f(x[at + k], x[at + k + 1u], x[at + k + 2u], x[at + k + 3u]);
    squares += dot(values, values);
  }
  return inverseSqrt(squares / f32(params.depth) + params.eps);
}

// Puts 16 rows from `row` on of the head that begins at vec4 column `first` of b and `bias` of the vectors into `tile`;
// `depth` inputs matter.
fn project(row: u32, first: u32, bias: u32, depth: u32, lane: u32) {
  let stride = params.stride / 4u;
  // Arrays stay in registers while their indices are constants, hence "unrolled".
  var at = array<u32, 16>();
  for (var r = 0u; r < 16u; r++) { at[r] = begin(row + r, lane); }  // unrolled
  for (var group = 0u; group < E / 4u; group += 4u) {
    let inHead = group + lane;
    let v = min(inHead, E / 4u - 1u);
    let column = first + v;
    var sum = array<vec4f, 16>();
    for (var k = 0u; k < depth; k += 4u) {
      let b0 = b[(k + lane) * stride + column];
      let b1 = b[(k + (lane ^ 1u)) * stride + column];
      let b2 = b[(k + (lane ^ 2u)) * stride + column];
      let b3 = b[(k + (lane ^ 3u)) * stride + column];
      for (var r = 0u; r < 16u; r++) { sum[r] = multiply(sum[r], x[at[r] + k], b0, b1, b2, b3); }  // unrolled
    }
    // A copy, with a variable index: to memory only now, so that the 16 stores compile as one.
    var sums = sum;
    var added = vec4f();
    if (BIAS == 1u) { added = vectors[bias + v]; }
    for (var i = 0u; i < 16u; i++) {
      if (inHead < E / 4u) { tile[i * (E / 4u) + v] = sums[i] * factors[i] + added; }
    }
  }
}

// Factor of the head's own RMS norm.
fn norm_factor(at: u32) -> f32 {
  var total = 0.0;
  for (var v = 0u; v < E / 4u; v++) {
    let value = tile[at + v];
    total += dot(value, value);
  }
  return inverseSqrt(total / f32(E) + params.headEps);
}

// Normalises the head at tile[at …], with weights from vec4 `weight` on, and rotates it.
fn turn(at: u32, weight: u32, position: u32) {
  var factor = 1.0;
  if (HEAD_NORM == 1u) { factor = norm_factor(at); }
  for (var v = 0u; v < E / 8u; v++) {
    let by = turn_of(position * (E / 2u) + 4u * v);
    var low = tile[at + v];
    var high = tile[at + v + E / 8u];
    if (HEAD_NORM == 1u) {
      low *= factor * vectors[weight + v];
      high *= factor * vectors[weight + v + E / 8u];
    }
    tile[at + v] = low * by.cosine - high * by.sine;
    tile[at + v + E / 8u] = high * by.cosine + low * by.sine;
  }
}

// The pair of the head.
fn head_pair(at: u32) -> u32 {
  var least = tile[at];
  var most = least;
  for (var v = 1u; v < E / 4u; v++) {
    let value = tile[at + v];
    least = min(least, value);
    most = max(most, value);
  }
  return affine_pair(min(min(least.x, least.y), min(least.z, least.w)), max(max(most.x, most.y), max(most.z, most.w)));
}

// The units of four values, KV_BITS each, lowest first. Joined as floats, which is exact and needs no shifts.
fn pack_units(values: vec4f, minimum: f32, inverse: f32) -> u32 {
  let unit = round(clamp((values - minimum) * inverse, vec4f(), vec4f(top())));
  if (KV_BITS == 4u) { return u32(i32(dot(unit, vec4f(1.0, 16.0, 256.0, 4096.0)))); }  // signed converts faster
  return u32(i32(unit.x + 256.0 * unit.y)) | (u32(i32(unit.z + 256.0 * unit.w)) << 16u);
}

// Writes the head to words `first` + w·apart; none of it where `count`, in vec4s, is 0.
fn write_words(at: u32, first: u32, apart: u32, affine: vec2f, count: u32) {
  let inverse = 1.0 / select(affine.x, 1.0, affine.x == 0.0);
  if (KV_BITS == 4u) {
    for (var v = 0u; v < count; v += 2u) {
      kv[first + v / 2u * apart] = pack_units(tile[at + v], affine.y, inverse) | (pack_units(tile[at + v + 1u], affine.y, inverse) << 16u);
    }
  } else if (KV_BITS == 8u) {
    for (var v = 0u; v < count; v++) { kv[first + v * apart] = pack_units(tile[at + v], affine.y, inverse); }
  } else if (KV_BITS == 16u) {
    for (var v = 0u; v < count; v++) {
      let value = tile[at + v];
      kv[first + 2u * v * apart] = pack_half(value.xy);
      kv[first + (2u * v + 1u) * apart] = pack_half(value.zw);
    }
  } else {
    for (var v = 0u; v < count; v++) {
      let value = bitcast<vec4u>(tile[at + v]);
      kv[first + 4u * v * apart] = value.x;
      kv[first + (4u * v + 1u) * apart] = value.y;
      kv[first + (4u * v + 2u) * apart] = value.z;
      kv[first + (4u * v + 3u) * apart] = value.w;
    }
  }
}

// Writes the head to the words of a slot, and its pair; none of it where `count` is 0.
fn write_page(at: u32, first: u32, apart: u32, pairAt: u32, count: u32) {
  var pair = 0u;
  if (KV_BITS <= 8u) { pair = head_pair(at); }
  write_words(at, first, apart, opened(pair), count);
  if (KV_BITS <= 8u && count > 0u) { kv[pairAt] = pair; }
}

// 16 rows from `row` on of head m of the matrix, from sums to page.
fn one_head(m: u32, row: u32, lane: u32) {
  let own = head_of(m);
  let isQuery = own.kind == QUERY;
  let isValue = own.kind == VALUE;
  let weight = select(params.keyNormAt + own.owner * E, params.queryNormAt, isQuery) / 4u;

  let end = min(row + 16u, params.rows);
  var matters = isQuery;
  for (var t = row; t < end; t++) { matters |= entry_of(rows[params.rowAt + t], own.column).z == params.arena; }
  let depth = select(0u, params.depth, matters);
  project(row, (m - params.bHead) * (E / 4u), (params.biasAt + m * E) / 4u, depth, lane);
  workgroupBarrier();

  for (var t = row + lane; t < end; t += 4u) {
    let at = t % 16u * (E / 4u);
    let record = rows[params.rowAt + t];
    if (!isValue) { turn(at, weight, record.x + select(0u, params.queryTurns, isQuery)); }
    let to = (t * params.queries + m) * (E / 4u);
    for (var v = 0u; v < select(0u, E / 4u, isQuery); v++) { q[to + v] = tile[at + v]; }
    let entry = entry_of(rows[params.rowAt + t], own.column);
    let away = isQuery || entry.z != params.arena;
    let slot = record.y % 32u;
    let first = slot_at(entry.x, slot, isValue);
    let pairAt = pair_at(entry.x, slot, isValue);
    write_page(at, first, select(8u, 1u, isValue), pairAt, select(E / 4u, 0u, away));
  }
  workgroupBarrier();
}

@compute @workgroup_size(4)
fn qkv_regs(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) subgroup: u32,
) {
  let row = wg.y * 16u;
  let lane = subgroup & 3u;
  for (var i = lane; i < 16u; i += 4u) { factors[i] = row_factor(row + i); }
  workgroupBarrier();
  for (var head = wg.x; head < params.heads; head += groups.x) { one_head(params.firstHead + head, row, lane); }
}

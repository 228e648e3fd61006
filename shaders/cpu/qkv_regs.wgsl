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
// why       gemm_regs_sg for whole heads, 16 columns at a time. The sums go to workgroup memory, whose barriers cost one
//           subgroup next to nothing, and there a lane finishes a row alone: norm, rotation and scale need no other lane,
//           and four rows side by side are what SwiftShader computes at once. gamma is in b and the rows' norm comes
//           once per workgroup: the more heads it takes, the less it costs (X = heads 0.95, X = heads/5 0.85 of the
//           time of rmsnorm + gemm_regs_sg + rope_kv); X·T/16 near 64 keeps 16 cores busy.
//           Heads of the matrix are `queries` query heads, then ownerHeads key and ownerHeads value heads for each owner,
//           a layer whose cache they are. Sums that no row of this arena needs have zero terms, since a CPU
//           adapter does not skip branches.
// family    qkv_wide

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
  eps: f32,          // of both norms
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

// Where a lane begins in a row of x. Rows past T repeat the last one: they are not stored.
fn begin(row: u32, lane: u32) -> u32 { return min(row, params.rows - 1u) * params.depth + lane; }

// Adds the four inputs that the quad holds. b0…b3 are the rows of b for lanes q, q^1, q^2, q^3.
// Spelled out by component: SwiftShader spills every vec4 between two operators.
fn multiply(sum: vec4f, a0: f32, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> vec4f {
  let a1 = quadSwapX(a0);
  let a2 = quadSwapY(a0);
  let a3 = quadSwapDiagonal(a0);
  return vec4f(
    sum.x + a0 * b0.x + a1 * b1.x + a2 * b2.x + a3 * b3.x,
    sum.y + a0 * b0.y + a1 * b1.y + a2 * b2.y + a3 * b3.y,
    sum.z + a0 * b0.z + a1 * b1.z + a2 * b2.z + a3 * b3.z,
    sum.w + a0 * b0.w + a1 * b1.w + a2 * b2.w + a3 * b3.w,
  );
}

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
  return inverseSqrt(total / f32(E) + params.eps);
}

// Normalises the head at tile[at …], with weights from vec4 `weight` on, and rotates it.
fn turn(at: u32, weight: u32, position: u32) {
  var factor = 1.0;
  if (HEAD_NORM == 1u) { factor = norm_factor(at); }
  for (var v = 0u; v < E / 8u; v++) {
    let pair = position * (E / 2u) + 4u * v;
    let turn0 = rope[pair];  // (cos, sin)
    let turn1 = rope[pair + 1u];
    let turn2 = rope[pair + 2u];
    let turn3 = rope[pair + 3u];
    let cos = vec4f(turn0.x, turn1.x, turn2.x, turn3.x);
    let sin = vec4f(turn0.y, turn1.y, turn2.y, turn3.y);
    var low = tile[at + v];
    var high = tile[at + v + E / 8u];
    if (HEAD_NORM == 1u) {
      low *= factor * vectors[weight + v];
      high *= factor * vectors[weight + v + E / 8u];
    }
    tile[at + v] = low * cos - high * sin;
    tile[at + v + E / 8u] = high * cos + low * sin;
  }
}

// The pair as f16, to nearest, ties to even, at most ±65504: pack2x16float alone may round and overflow as it likes.
fn pack_half(pair: vec2f) -> u32 {
  let value = clamp(pair, vec2f(-65504.0), vec2f(65504.0));
  let bits = bitcast<vec2u>(value);
  let normal = bitcast<vec2f>((bits + 0xfffu + ((bits >> vec2u(13u)) & vec2u(1u))) & vec2u(0xffffe000u));
  let small = round(value * 16777216.0) / 16777216.0;  // below 2⁻¹⁴ f16 counts in steps of 2⁻²⁴
  return pack2x16float(select(normal, small, abs(value) < vec2f(6.103515625e-5)));
}

// Largest unit of a cached number.
fn top() -> f32 { return select(15.0, 255.0, KV_BITS == 8u); }

// The pair (scale, minimum) of KV_BITS 8 and 4 for values from `least` to `most`: the upper halves of two f32, rounded so that
// the units reach over all of them.
fn affine_pair(least: f32, most: f32) -> u32 {
  let minimum = (bitcast<u32>(least) + select(0u, 0xffffu, least < 0.0)) & 0xffff0000u;
  let scale = (most - bitcast<f32>(minimum)) / top();
  return minimum | ((bitcast<u32>(scale) + 0xffffu) >> 16u);
}

// (scale, minimum) of a pair.
fn opened(pair: u32) -> vec2f { return bitcast<vec2f>(vec2u(pair << 16u, pair & 0xffff0000u)); }

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

// Writes the head to a slot of the page at word `page`.
fn write_page(at: u32, page: u32, slot: u32, isValue: bool, count: u32) {
  let first = page + select(slot / 8u * (E * KV_BITS / 4u) + slot % 8u, E * KV_BITS + slot * (E * KV_BITS / 32u), isValue);
  var pair = 0u;
  if (KV_BITS <= 8u) { pair = head_pair(at); }
  write_words(at, first, select(8u, 1u, isValue), opened(pair), count);
  if (KV_BITS <= 8u && count > 0u) { kv[page + 2u * E * KV_BITS + select(0u, 32u, isValue) + slot] = pair; }
}

// Page table entry of row t in a column of the table.
fn entry_of(t: u32, column: u32) -> vec4u {
  let row = rows[params.rowAt + t];
  return rows[params.tableAt + (row.z * params.listLength + 1u + row.y / 32u) * params.columns + column];
}

// 16 rows from `row` on of head m of the matrix, from sums to page.
fn one_head(m: u32, row: u32, lane: u32) {
  let isQuery = m < params.queries;
  let i = select(m - params.queries, 0u, isQuery);
  let owner = i / (2u * params.ownerHeads);
  let r = i % (2u * params.ownerHeads);
  let isValue = !isQuery && r >= params.ownerHeads;
  let column = params.column + owner * params.ownerHeads + r % params.ownerHeads;
  let weight = select(params.keyNormAt + owner * E, params.queryNormAt, isQuery) / 4u;

  let end = min(row + 16u, params.rows);
  var matters = isQuery;
  for (var t = row; t < end; t++) { matters |= entry_of(t, column).z == params.arena; }
  let depth = select(0u, params.depth, matters);
  project(row, (m - params.bHead) * (E / 4u), (params.biasAt + m * E) / 4u, depth, lane);
  workgroupBarrier();

  for (var t = row + lane; t < end; t += 4u) {
    let at = t % 16u * (E / 4u);
    let record = rows[params.rowAt + t];
    if (!isValue) { turn(at, weight, record.x); }
    let to = (t * params.queries + m) * (E / 4u);
    for (var v = 0u; v < select(0u, E / 4u, isQuery); v++) { q[to + v] = tile[at + v]; }
    let entry = entry_of(t, column);
    let away = isQuery || entry.z != params.arena;
    write_page(at, entry.x, record.y % 32u, isValue, select(E / 4u, 0u, away));
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

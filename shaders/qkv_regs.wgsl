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
// dispatch  (16, ceil(T / 16), ceil(heads / 16)): one workgroup of 4 threads per 16 rows of one head
// cost      flops 2·T·heads·E·D, bytes 4·(T·D·heads·E/16 + D·heads·E·T/16 + T·heads·E): compute bound
// why       gemm_regs_sg for a head, 16 columns after the other; its sums go to workgroup memory, and then each lane
//           finishes four rows alone: their norm, rotation and scale need no other lane, and four rows side by side are
//           what SwiftShader computes at a time. The norm of x costs no pass: the sums of squares of the rows come out of
//           the same loop, and gamma is in b. Heads of the matrix are `queries` query heads, then ownerHeads key and
//           ownerHeads value heads for each owner, a layer whose cache they are. A tile none of whose rows lie in this part of
//           the arena has zero terms.

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
  lane0: u32,        // table column of the first owner's first head
  lanes: u32,        // table entries per page
  maxPages: u32,     // pages per table row
  tableAt: u32,      // first table entry in `rows`: (word offset, mask, part, base)
  part: u32,         // arena part bound as kv
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

var<workgroup> tile: array<vec4f, E * 4>;     // the head of 16 rows
var<workgroup> factors: array<f32, 16>;       // of the rows' norm

// Where a lane begins in a row of x. Rows past T repeat the last one: they are not stored.
fn begin(row: u32, lane: u32) -> u32 {
  return min(row, params.rows - 1u) * params.depth + lane;
}

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

// Sum over the quad.
fn quad_sum(value: f32) -> f32 {
  let pair = value + quadSwapX(value);
  return pair + quadSwapY(pair);
}

// Puts x·b of 16 rows from `row` on and the head that begins at vec4 column `first` of b into `tile`, over `depth` inputs.
fn project(row: u32, first: u32, depth: u32, lane: u32) {
  let stride = params.stride / 4u;
  let at0 = begin(row, lane);
  let at1 = begin(row + 1u, lane);
  let at2 = begin(row + 2u, lane);
  let at3 = begin(row + 3u, lane);
  let at4 = begin(row + 4u, lane);
  let at5 = begin(row + 5u, lane);
  let at6 = begin(row + 6u, lane);
  let at7 = begin(row + 7u, lane);
  let at8 = begin(row + 8u, lane);
  let at9 = begin(row + 9u, lane);
  let at10 = begin(row + 10u, lane);
  let at11 = begin(row + 11u, lane);
  let at12 = begin(row + 12u, lane);
  let at13 = begin(row + 13u, lane);
  let at14 = begin(row + 14u, lane);
  let at15 = begin(row + 15u, lane);
  for (var group = 0u; group < E / 4u; group += 4u) {
    let inHead = group + lane;
    let column = first + min(inHead, E / 4u - 1u);
    var sum0 = vec4f();
    var sum1 = vec4f();
    var sum2 = vec4f();
    var sum3 = vec4f();
    var sum4 = vec4f();
    var sum5 = vec4f();
    var sum6 = vec4f();
    var sum7 = vec4f();
    var sum8 = vec4f();
    var sum9 = vec4f();
    var sum10 = vec4f();
    var sum11 = vec4f();
    var sum12 = vec4f();
    var sum13 = vec4f();
    var sum14 = vec4f();
    var sum15 = vec4f();
    var square0 = 0.0;
    var square1 = 0.0;
    var square2 = 0.0;
    var square3 = 0.0;
    var square4 = 0.0;
    var square5 = 0.0;
    var square6 = 0.0;
    var square7 = 0.0;
    var square8 = 0.0;
    var square9 = 0.0;
    var square10 = 0.0;
    var square11 = 0.0;
    var square12 = 0.0;
    var square13 = 0.0;
    var square14 = 0.0;
    var square15 = 0.0;
    for (var k = 0u; k < depth; k += 4u) {
      let b0 = b[(k + lane) * stride + column];
      let b1 = b[(k + (lane ^ 1u)) * stride + column];
      let b2 = b[(k + (lane ^ 2u)) * stride + column];
      let b3 = b[(k + (lane ^ 3u)) * stride + column];
      let a0 = x[at0 + k];
      square0 += a0 * a0;
      sum0 = multiply(sum0, a0, b0, b1, b2, b3);
      let a1 = x[at1 + k];
      square1 += a1 * a1;
      sum1 = multiply(sum1, a1, b0, b1, b2, b3);
      let a2 = x[at2 + k];
      square2 += a2 * a2;
      sum2 = multiply(sum2, a2, b0, b1, b2, b3);
      let a3 = x[at3 + k];
      square3 += a3 * a3;
      sum3 = multiply(sum3, a3, b0, b1, b2, b3);
      let a4 = x[at4 + k];
      square4 += a4 * a4;
      sum4 = multiply(sum4, a4, b0, b1, b2, b3);
      let a5 = x[at5 + k];
      square5 += a5 * a5;
      sum5 = multiply(sum5, a5, b0, b1, b2, b3);
      let a6 = x[at6 + k];
      square6 += a6 * a6;
      sum6 = multiply(sum6, a6, b0, b1, b2, b3);
      let a7 = x[at7 + k];
      square7 += a7 * a7;
      sum7 = multiply(sum7, a7, b0, b1, b2, b3);
      let a8 = x[at8 + k];
      square8 += a8 * a8;
      sum8 = multiply(sum8, a8, b0, b1, b2, b3);
      let a9 = x[at9 + k];
      square9 += a9 * a9;
      sum9 = multiply(sum9, a9, b0, b1, b2, b3);
      let a10 = x[at10 + k];
      square10 += a10 * a10;
      sum10 = multiply(sum10, a10, b0, b1, b2, b3);
      let a11 = x[at11 + k];
      square11 += a11 * a11;
      sum11 = multiply(sum11, a11, b0, b1, b2, b3);
      let a12 = x[at12 + k];
      square12 += a12 * a12;
      sum12 = multiply(sum12, a12, b0, b1, b2, b3);
      let a13 = x[at13 + k];
      square13 += a13 * a13;
      sum13 = multiply(sum13, a13, b0, b1, b2, b3);
      let a14 = x[at14 + k];
      square14 += a14 * a14;
      sum14 = multiply(sum14, a14, b0, b1, b2, b3);
      let a15 = x[at15 + k];
      square15 += a15 * a15;
      sum15 = multiply(sum15, a15, b0, b1, b2, b3);
    }
    // To memory only now, so that the 16 stores compile as one.
    var sums = array<vec4f, 16>(sum0, sum1, sum2, sum3, sum4, sum5, sum6, sum7, sum8, sum9, sum10, sum11, sum12, sum13, sum14, sum15);
    var squares = array<f32, 16>(square0, square1, square2, square3, square4, square5, square6, square7, square8, square9, square10, square11, square12, square13, square14, square15);
    for (var i = 0u; i < 16u; i++) {
      let mean = quad_sum(squares[i]) / f32(params.depth);
      if (lane == 0u) { factors[i] = inverseSqrt(mean + params.eps); }
      if (inHead < E / 4u) { tile[i * (E / 4u) + inHead] = sums[i]; }
    }
  }
}

// Multiplies the head at tile[at …] by `factor` and adds the bias that begins at vec4 `bias`.
fn finish(at: u32, factor: f32, bias: u32) {
  for (var v = 0u; v < E / 4u; v++) {
    var value = tile[at + v] * factor;
    if (BIAS == 1u) { value += vectors[bias + v]; }
    tile[at + v] = value;
  }
}

// RMS-normalises the head; its weights begin at vec4 `weight`.
fn normalise(at: u32, weight: u32) {
  var total = 0.0;
  for (var v = 0u; v < E / 4u; v++) { total += dot(tile[at + v], tile[at + v]); }
  let factor = inverseSqrt(total / f32(E) + params.eps);
  for (var v = 0u; v < E / 4u; v++) { tile[at + v] *= factor * vectors[weight + v]; }
}

fn rotate(at: u32, position: u32) {
  for (var v = 0u; v < E / 8u; v++) {
    let turn = position * (E / 2u) + 4u * v;  // (cos, sin) of four pairs
    let cos = vec4f(rope[turn].x, rope[turn + 1u].x, rope[turn + 2u].x, rope[turn + 3u].x);
    let sin = vec4f(rope[turn].y, rope[turn + 1u].y, rope[turn + 2u].y, rope[turn + 3u].y);
    let low = tile[at + v];
    let high = tile[at + v + E / 8u];
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

// The f16 pair (scale, minimum) of the head for KV_BITS 8 and 4.
fn affine_pair(at: u32) -> u32 {
  var least = tile[at];
  var most = least;
  for (var v = 1u; v < E / 4u; v++) {
    least = min(least, tile[at + v]);
    most = max(most, tile[at + v]);
  }
  let bottom = min(min(least.x, least.y), min(least.z, least.w));
  return pack_half(vec2f((max(max(most.x, most.y), max(most.z, most.w)) - bottom) / top(), bottom));
}

// Units of four values, each in its own KV_BITS from bit 0 on.
fn pack_units(values: vec4f, affine: vec2f) -> u32 {
  let step = select(affine.x, 1.0, affine.x == 0.0);
  let unit = vec4u(vec4i(clamp(round((values - affine.y) / step), vec4f(), vec4f(top()))));  // signed converts faster
  return unit.x | (unit.y << (KV_BITS % 32u)) | (unit.z << (2u * KV_BITS % 32u)) | (unit.w << (3u * KV_BITS % 32u));
}

// Writes the head to words `first` + w·apart; none of it where `count`, in vec4s, is 0.
fn write_words(at: u32, first: u32, apart: u32, affine: vec2f, count: u32) {
  if (KV_BITS == 4u) {
    for (var v = 0u; v < count; v += 2u) {
      kv[first + v / 2u * apart] = pack_units(tile[at + v], affine) | (pack_units(tile[at + v + 1u], affine) << 16u);
    }
  } else if (KV_BITS == 8u) {
    for (var v = 0u; v < count; v++) { kv[first + v * apart] = pack_units(tile[at + v], affine); }
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
  let first = page + select(slot, E * KV_BITS + slot * (E * KV_BITS / 32u), isValue);
  var pair = 0u;
  if (KV_BITS <= 8u) { pair = affine_pair(at); }
  write_words(at, first, select(32u, 1u, isValue), unpack2x16float(pair), count);
  if (KV_BITS <= 8u && count > 0u) { kv[page + 2u * E * KV_BITS + select(0u, 32u, isValue) + slot] = pair; }
}

// Page table entry of row t in a column of the table.
fn entry_of(t: u32, column: u32) -> vec4u {
  let row = rows[params.rowAt + t];
  return rows[params.tableAt + (row.z * params.maxPages + row.y / 32u) * params.lanes + column];
}

@compute @workgroup_size(4)
fn qkv_regs(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) subgroup: u32,
) {
  let inDispatch = wg.z * 16u + wg.x;
  if (inDispatch >= params.heads) { return; }
  let m = params.firstHead + inDispatch;
  let isQuery = m < params.queries;
  let i = select(m - params.queries, 0u, isQuery);
  let owner = i / (2u * params.ownerHeads);
  let r = i % (2u * params.ownerHeads);
  let isValue = !isQuery && r >= params.ownerHeads;
  let column = params.lane0 + owner * params.ownerHeads + r % params.ownerHeads;
  let weight = select(params.keyNormAt + owner * E, params.queryNormAt, isQuery) / 4u;

  let end = min(wg.y * 16u + 16u, params.rows);
  var matters = isQuery;
  for (var t = wg.y * 16u; t < end; t++) { matters |= entry_of(t, column).z == params.part; }
  let lane = subgroup & 3u;
  project(wg.y * 16u, (m - params.bHead) * (E / 4u), select(0u, params.depth, matters), lane);
  workgroupBarrier();

  for (var t = wg.y * 16u + local; t < end; t += 4u) {
    let at = t % 16u * (E / 4u);
    finish(at, factors[t % 16u], (params.biasAt + m * E) / 4u);
    let row = rows[params.rowAt + t];
    if (!isValue) {
      if (HEAD_NORM == 1u) { normalise(at, weight); }
      rotate(at, row.x);
    }
    let to = (t * params.queries + m) * (E / 4u);
    for (var v = 0u; v < select(0u, E / 4u, isQuery); v++) { q[to + v] = tile[at + v]; }
    let entry = entry_of(t, column);
    let away = isQuery || entry.z != params.part;
    write_page(at, entry.x, row.y % 32u, isValue, select(E / 4u, 0u, away));
  }
}

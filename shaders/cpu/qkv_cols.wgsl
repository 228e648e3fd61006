// qkv_cols — heads of W·rmsnorm(x) (+ bias), queries and keys normalised (HEAD_NORM) and rotated, to q or into cache pages
//
//   x        [T, D]                    vec4f  read
//   vectors  [*]                       vec4f  read   gamma, bias and head norms, by offsets in floats
//   words    [D/·/4, stride]           vec4u  read   four word rows side by side
//   scales   [D/GROUP, stride]         u32    read   f16 pairs (scale, minimum); unused for BITS 16 and 32
//   rows     [*]                       vec4u  read   records of the rows from rowAt, page table from tableAt
//   rope     [positions, E/2]          vec2f  read
//   q        [T, queries, E]           f32    read_write
//   kv       [*]                       u32    read_write
//
// dispatch  (heads, 1, 1): one workgroup of 4 threads per head, from head firstHead of the matrix
// cost      bytes heads·E·D·(BITS/8 + 4/GROUP), flops 2·T·heads·E·D: load bound on a CPU adapter
// why       gemv_cols with a head as its columns: thread l has columns l + 4c, so it has both values of a rotation. A word
//           of a page needs neighbours and its scale all of a head: these go through workgroup memory, whose barriers
//           cost a subgroup of four nothing. Heads of the matrix are `queries` query heads, then ownerHeads key and
//           ownerHeads value heads for each owner, a layer whose cache they are. Where a row's page lies in another
//           arena, its sum has zero terms: a CPU adapter does not skip branches.
// family    qkv_narrow

enable subgroups;

override GROUP: u32 = 32;     // values that share a scale, 16 or 32
override KV_BITS: u32 = 32;   // of a cached number: 32, 16 (f16), 8 or 4 (minimum + scale·unit, pair per slot and head)
override BIAS: u32 = 0;       // 1: add bias
override HEAD_NORM: u32 = 0;  // 1: queries and keys are RMS-normalised per head
const BITS: u32 = 4;          // of a weight: 4, 8, 16 or 32
const UNIT: u32 = 32;         // values per step: 32, 16, 8 or 4, at least FOUR; divides GROUP and D (BITS 16: filled up to 8)
const ROWS: u32 = 1;          // rows of x, at least params.rows; each reads the weights again
const E: u32 = 64;            // head width, a multiple of 8
const COLS = E / 4u;          // columns per thread, 4 apart

struct Params {
  rows: u32,         // T
  rowAt: u32,        // record of row 0 in `rows`: (position, cacheIndex, slot, token)
  depth: u32,        // D
  stride: u32,       // columns of `words` and `scales`
  firstHead: u32,    // head of workgroup 0
  queries: u32,      // query heads of the matrix
  ownerHeads: u32,   // key heads of an owner, and as many value heads
  column: u32,       // the list of the first owner's first head
  columns: u32,      // lists of a sequence
  listLength: u32,   // table entries of a list: its head, then pages
  tableAt: u32,      // first table entry in `rows`: (word offset, mask, arena, base)
  arena: u32,        // number of the buffer bound as kv
  gammaQ: u32,       // RMSNorm weight of queries [D]
  gammaKv: u32,      // RMSNorm weight of keys and values [D]
  biasAt: u32,       // [all heads·E]
  queryNormAt: u32,  // [E]
  keyNormAt: u32,    // [owners, E]
  eps: f32,          // of both norms
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> vectors: array<vec4f>;
@group(0) @binding(2) var<storage, read> words: array<vec4u>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> rows: array<vec4u>;
@group(0) @binding(5) var<storage, read> rope: array<vec2f>;
@group(0) @binding(6) var<storage, read_write> q: array<f32>;
@group(0) @binding(7) var<storage, read_write> kv: array<u32>;
@group(0) @binding(8) var<uniform> params: Params;

const FOUR = 128u / BITS;      // values in four words
alias Step = array<vec4f, (UNIT + 15u) / 16u * 4u>;  // x of a step

/// f16 u of a word; infinities and NaN come out finite. unpack2x16float costs twice as much there, where shifts are slow:
/// the bits go from 31…16 to 31 and 27…13 by way of the mantissa of 1.5·2^39, which takes whole multiples of 2^16. With
/// the exponent of f32 they are the number, or lie above a subnormal by what doubling and 2^-14 take away.
fn half(word: u32, u: u32) -> f32 {
  let high = select(word & 0xffff0000u, word * 65536u, u == 0u);
  let moved = bitcast<u32>(f32(bitcast<i32>(high)) + 0x1.8p39f) * 8192u;
  let size = bitcast<f32>((moved & 0x0fffffffu) + 0x38000000u);
  let low = size + size - 0x1p-14f;
  return bitcast<f32>(bitcast<u32>(select(size, low, low < size)) | (moved & 0x80000000u));
}

/// The four integers of a word, 256^i·q.
fn bytes(word: u32) -> vec4f {
  let low = vec3i(vec3u(word) & vec3u(0xffu, 0xff00u, 0xff0000u));  // signed converts faster
  return vec4f(vec3f(low), f32(word & 0xff000000u));
}

/// Σ x·q over the eight integers of a word, 16^i·q.
fn eight(word: u32, a: vec4f, b: vec4f) -> f32 {
  let low = vec4i(vec4u(word) & vec4u(0xfu, 0xf0u, 0xf00u, 0xf000u));
  let high = vec3i(vec3u(word) & vec3u(0xf0000u, 0xf00000u, 0xf000000u));
  return dot(a, vec4f(low)) + dot(b, vec4f(vec3f(high), f32(word & 0xf0000000u)));
}

fn halves(a: u32, b: u32) -> vec4f { return vec4f(half(a, 0u), half(a, 1u), half(b, 0u), half(b, 1u)); }

/// Σ x·q over the values of four words, of which the first meets v[i].
fn four(w: vec4u, i: u32, v: Step) -> f32 {
  if (BITS == 4u) {
    return eight(w.x, v[i], v[i + 1u]) + eight(w.y, v[i + 2u], v[i + 3u]) + eight(w.z, v[i + 4u], v[i + 5u])
      + eight(w.w, v[i + 6u], v[i + 7u]);
  }
  if (BITS == 8u) {
    return dot(v[i], bytes(w.x)) + dot(v[i + 1u], bytes(w.y)) + dot(v[i + 2u], bytes(w.z)) + dot(v[i + 3u], bytes(w.w));
  }
  if (BITS == 16u) { return dot(v[i], halves(w.x, w.y)) + dot(v[i + 1u], halves(w.z, w.w)); }
  return dot(v[i], bitcast<vec4f>(w));
}

/// Four values of x with the inverse of the factor that their integers have; `i` is the place in the step.
fn scaled(values: vec4f, i: u32) -> vec4f {
  if (BITS == 8u) { return values * vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24); }
  if (BITS != 4u) { return values; }
  if (i % 8u == 0u) { return values * vec4f(1.0, 0x1p-4, 0x1p-8, 0x1p-12); }
  return values * vec4f(0x1p-16, 0x1p-20, 0x1p-24, 0x1p-28);
}

// Of what this thread loaded.
var<private> ones: f32;     // Σ x of a step
var<private> squares: f32;  // Σ x² of the row, before gamma
var<workgroup> head: array<f32, E>;

/// Four values of x, times gamma; `at` in vec4s from their beginnings. Threads beyond a short step, and places beyond D, have 0.
fn load(row: u32, gamma: u32, at: u32, lane: u32) -> vec4f {
  if ((UNIT < 16u && lane >= UNIT / 4u) || (BITS == 16u && at * 4u >= params.depth)) { return vec4f(); }
  var values = x[row + at];
  squares += dot(values, values);
  values *= vectors[gamma + at];
  if (BITS <= 8u) { ones += dot(values, vec4f(1.0)); }
  return values;
}

/// Over the four threads, which share x.
fn total(mine: f32) -> f32 {
  let pair = mine + quadSwapX(mine);
  return pair + quadSwapY(pair);
}

/// The thread's columns of the head, first + 4c of the matrix; `row` and `gamma` count vec4s, `depth` inputs matter.
fn project(row: u32, gamma: u32, first: u32, depth: u32, lane: u32) {
  var sum = array<f32, COLS>();
  squares = 0.0;
  for (var step = 0u; step * UNIT < depth; step++) {
    // Arrays stay in registers while their indices are constants, hence "unrolled".
    let begin = step * (UNIT / 4u) + lane;
    var v = Step();
    ones = 0.0;
    for (var i = 0u; i < (UNIT + 15u) / 16u; i++) { let mine = load(row, gamma, begin + 4u * i, lane); for (var j = 0u; j < 4u; j++) { v[4u * i + j] = scaled(quadBroadcast(mine, j), 4u * j); } }  // unrolled
    let xs = total(ones);
    let wordRow = step * (UNIT / FOUR) * params.stride + first;
    let scaleRow = step * UNIT / GROUP * params.stride + first;
    for (var c = 0u; c < COLS; c++) {
      let at = wordRow + 4u * c;
      var dots = 0.0;
      for (var f = 0u; f < UNIT * BITS / 128u; f++) { dots += four(words[at + f * params.stride], f * (FOUR / 4u), v); }  // unrolled
      if (BITS <= 8u) {
        let pair = scales[scaleRow + 4u * c];  // (scale, minimum)
        dots = half(pair, 0u) * dots + half(pair, 1u) * xs;
      }
      sum[c] += dots;
    }
  }
  let factor = inverseSqrt(total(squares) / f32(params.depth) + params.eps);
  for (var c = 0u; c < COLS; c++) {
    var value = sum[c] * factor;
    if (BIAS == 1u) { value += vectors[(params.biasAt + first) / 4u + c][lane]; }
    head[lane + 4u * c] = value;
  }
}

/// RMS-normalises the head, whose weights begin at float `weight`.
fn normalise(weight: u32, lane: u32) {
  workgroupBarrier();
  var size = 0.0;
  for (var e = 0u; e < E; e++) { size += head[e] * head[e]; }
  let factor = inverseSqrt(size / f32(E) + params.eps);
  workgroupBarrier();
  for (var c = 0u; c < COLS; c++) { head[lane + 4u * c] *= factor * vectors[weight / 4u + c][lane]; }
}

/// Rotates the thread's pairs of columns.
fn rotate(position: u32, lane: u32) {
  for (var j = lane; j < E / 2u; j += 4u) {
    let turn = rope[position * (E / 2u) + j];  // (cos, sin)
    let a = head[j];
    let b = head[j + E / 2u];
    head[j] = a * turn.x - b * turn.y;
    head[j + E / 2u] = b * turn.x + a * turn.y;
  }
}

/// The pair as f16, to nearest, ties to even, at most ±65504: pack2x16float alone may round and overflow as it likes.
fn pack_half(pair: vec2f) -> u32 {
  let value = clamp(pair, vec2f(-65504.0), vec2f(65504.0));
  let bits = bitcast<vec2u>(value);
  let normal = bitcast<vec2f>((bits + 0xfffu + ((bits >> vec2u(13u)) & vec2u(1u))) & vec2u(0xffffe000u));
  let small = round(value * 16777216.0) / 16777216.0;  // below 2⁻¹⁴ f16 counts in steps of 2⁻²⁴
  return pack2x16float(select(normal, small, abs(value) < vec2f(6.103515625e-5)));
}

/// Largest unit of a cached number.
fn top() -> f32 { return select(15.0, 255.0, KV_BITS == 8u); }

/// The pair (scale, minimum) of KV_BITS 8 and 4 for values from `least` to `most`: the upper halves of two f32, rounded so that
/// the units reach over all of them.
fn affine_pair(least: f32, most: f32) -> u32 {
  let minimum = (bitcast<u32>(least) + select(0u, 0xffffu, least < 0.0)) & 0xffff0000u;
  let scale = (most - bitcast<f32>(minimum)) / top();
  return minimum | ((bitcast<u32>(scale) + 0xffffu) >> 16u);
}

/// (scale, minimum) of a pair.
fn opened(pair: u32) -> vec2f { return bitcast<vec2f>(vec2u(pair << 16u, pair & 0xffff0000u)); }

/// The pair of the head.
fn head_pair() -> u32 {
  var least = head[0];
  var most = head[0];
  for (var e = 1u; e < E; e++) {
    let value = head[e];
    least = min(least, value);
    most = max(most, value);
  }
  return affine_pair(least, most);
}

/// Word w of the head as pages have it; `affine` is the opened pair.
fn page_word(w: u32, affine: vec2f) -> u32 {
  if (KV_BITS == 32u) { return bitcast<u32>(head[w]); }
  if (KV_BITS == 16u) { return pack_half(vec2f(head[2u * w], head[2u * w + 1u])); }
  let count = 32u / KV_BITS;
  let step = select(affine.x, 1.0, affine.x == 0.0);
  var word = 0u;
  for (var i = 0u; i < count; i++) {
    let unit = clamp(round((head[w * count + i] - affine.y) / step), 0.0, top());
    word |= u32(unit) << (i * KV_BITS);
  }
  return word;
}

/// Writes the first `count` words of the head to a slot of the page at word `page`: all, or none.
fn write_page(page: u32, slot: u32, isValue: bool, count: u32, lane: u32) {
  let perSlot = E * KV_BITS / 32u;
  let first = page + select(slot / 8u * (E * KV_BITS / 4u) + slot % 8u, E * KV_BITS + slot * perSlot, isValue);
  let apart = select(8u, 1u, isValue);
  var pair = 0u;
  if (KV_BITS <= 8u) { pair = head_pair(); }
  let affine = opened(pair);
  for (var w = lane; w < count; w += 4u) { kv[first + w * apart] = page_word(w, affine); }
  if (KV_BITS <= 8u && lane == 0u && count > 0u) { kv[page + 2u * E * KV_BITS + select(0u, 32u, isValue) + slot] = pair; }
}

@compute @workgroup_size(4)
fn qkv_cols(@builtin(workgroup_id) wg: vec3u, @builtin(subgroup_invocation_id) subgroup: u32) {
  let lane = subgroup & 3u;
  let m = params.firstHead + wg.x;
  let isQuery = m < params.queries;
  let i = select(m - params.queries, 0u, isQuery);
  let owner = i / (2u * params.ownerHeads);
  let r = i % (2u * params.ownerHeads);
  let isValue = !isQuery && r >= params.ownerHeads;
  let column = params.column + owner * params.ownerHeads + r % params.ownerHeads;
  let gamma = select(params.gammaKv, params.gammaQ, isQuery) / 4u;
  let weight = select(params.keyNormAt + owner * E, params.queryNormAt, isQuery);

  for (var t = 0u; t < min(ROWS, params.rows); t++) {
    let row = rows[params.rowAt + t];
    let entry = rows[params.tableAt + (row.z * params.listLength + 1u + row.y / 32u) * params.columns + column];
    let away = !isQuery && entry.z != params.arena;
    project(t * params.depth / 4u, gamma, m * E + lane, select(params.depth, 0u, away), lane);
    if (!isValue) {
      if (HEAD_NORM == 1u) { normalise(weight, lane); }
      rotate(row.x, lane);
    }
    workgroupBarrier();
    let to = (t * params.queries + m) * E;
    for (var e = lane; e < select(0u, E, isQuery); e += 4u) { q[to + e] = head[e]; }
    write_page(entry.x, row.y % 32u, isValue, select(E * KV_BITS / 32u, 0u, isQuery || away), lane);
    workgroupBarrier();
  }
}

// qkv_packed — heads of RMSNorm(x)·Wᵀ (+ bias), normalised, rotated, written to `q` or into cache pages, for many rows
//
//   x        [T, K]               vec4f  read
//   words    [K/·/4, stride]      vec4u  read        four word rows side by side
//   scales   [K/GROUP, stride]    u32    read        f16 pairs (scale, minimum); unused for BITS 16 and 32
//   vectors  [*]                  vec4f  read        gamma, bias, weights of the head norms
//   rows     [*]                  vec4u  read        row records, then the page table
//   rope     [positions, E/2]     vec2f  read
//   q        [T, queries, E]      vec4f  read_write
//   kv       [*]                  u32    read_write
//
// dispatch  (⌈T / (WY·TM)⌉, heads, 1): one workgroup per WY·TM rows of one head
// cost      flops 2·T·heads·E·K, bytes ⌈T / (WY·TM)⌉·heads·E·K·(BITS/8 + 4/GROUP) + 4·T·K·heads: compute bound
// why       gemm_packed whose tile is as wide as a head: what follows the product needs no other workgroup. A thread has the
//           vec4 columns c and c + E/8, which are rotated together. Norms of heads, least and largest values and halves of
//           int4 words cross between the E/8 threads of a row, row after row. Tiles with no row in this arena skip all.
// uses      lib/packed_tile.wgsl lib/row_squares.wgsl lib/head.wgsl lib/page.wgsl lib/affine_pair.wgsl lib/opened.wgsl lib/pack_half.wgsl lib/turn.wgsl

override GROUP: u32 = 32;     // values that share a scale, 16 or 32
override KV_BITS: u32 = 16;   // bits of a cached number: 32, 16, 8 or 4
override BIAS: u32 = 0;       // 1: add bias
override HEAD_NORM: u32 = 0;  // 1: queries and keys are RMS-normalised per head

const BITS: u32 = 4;   // 4, 8, 16 or 32
const E: u32 = 64;     // head width, a multiple of 8
const TM: u32 = 8;     // rows per thread
const WY: u32 = 8;     // threads along rows, a power of two
const BK: u32 = 32;    // inputs per tile, a power of two from 8 on

const NORM = 1u;
const TN = 8u;         // columns per thread
const WX = E / 8u;     // threads along columns

struct Params {
  rows: u32,         // T
  rowAt: u32,        // record of row 0
  depth: u32,        // K
  stride: u32,       // columns of `words` and `scales`
  firstHead: u32,    // head of the matrix that workgroups (·, 0) take
  queries: u32,      // query heads of the matrix
  ownerHeads: u32,   // key heads of an owner, and as many value heads
  column: u32,       // the list of the first owner's first head
  columns: u32,      // lists of a sequence
  listLength: u32,   // table entries of a list: its head, then pages
  tableAt: u32,      // first entry of the page table in `rows`
  arena: u32,        // number of the buffer bound as kv
  gammaQ: u32,       // in floats of `vectors`, multiples of 4: [K] for queries
  gammaKv: u32,      // [K] for keys and values
  biasAt: u32,       // [heads of the matrix, E]
  queryNormAt: u32,  // [E]
  keyNormAt: u32,    // [owners, E]
  eps: f32,          // of the norm before the product
  headEps: f32,      // of the norms of heads
  queryTurns: u32,   // position in `rope` that position 0 of a query has: above 0 where queries have turns of their own
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> words: array<vec4u>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;
@group(0) @binding(3) var<storage, read> vectors: array<vec4f>;
@group(0) @binding(4) var<storage, read> rows: array<vec4u>;
@group(0) @binding(5) var<storage, read> rope: array<vec2f>;
@group(0) @binding(6) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> kv: array<u32>;
@group(0) @binding(8) var<uniform> params: Params;

// A thread's share of a row: vec4 columns c and c + E/8 of the head.
struct Pair {
  a: vec4f,
  b: vec4f,
}

// Where a row's key or value lies in the cache.
struct Place {
  page: u32,  // first word of the page
  slot: u32,
  kind: u32,  // KEY or VALUE
}

var<workgroup> crossing: array<vec4f, THREADS>;  // what the threads of a row tell each other
var<private> headNumber: u32;  // for addresses: what branches depend on must be seen to be uniform
var<private> gammaAt: u32;  // of its norm

// Whether any row of this tile is written here; usually the first one already is.
fn is_wanted(head: Head, firstRow: u32) -> bool {
  var wanted = head.kind == QUERY;
  for (var i = 0u; i < ROWS; i++) {
    if (wanted || firstRow + i >= params.rows) { break; }
    wanted = entry_of(rows[params.rowAt + firstRow + i], head.column).z == params.arena;
  }
  return wanted;
}

// What packed_tile.wgsl and row_squares.wgsl ask for.
fn column_at(place: u32) -> u32 {
  return headNumber * E + place / (4u * WX) * (E / 2u) + place % WX * 4u + place / WX % 4u;
}
fn gamma_at(k4: u32) -> vec4f { return vectors[gammaAt / 4u + k4]; }

// The sum of `value` over the threads of a row.
fn row_sum(thread: u32, value: f32) -> f32 {
  crossing[thread].x = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < WX; i++) { sum += crossing[thread / WX * WX + i].x; }
  workgroupBarrier();
  return sum;
}

// (least, largest) value of the row's head.
fn row_bounds(thread: u32, pair: Pair) -> vec2f {
  let low = min(pair.a, pair.b);
  let high = max(pair.a, pair.b);
  crossing[thread] = vec4f(min(low.xy, low.zw), max(high.xy, high.zw));
  workgroupBarrier();
  var all = crossing[thread];
  for (var i = 0u; i < WX; i++) {
    let other = crossing[thread / WX * WX + i];
    all = vec4f(min(all.xy, other.xy), max(all.zw, other.zw));
  }
  workgroupBarrier();
  return vec2f(min(all.x, all.y), max(all.z, all.w));
}

// Word `thread % WX` of a row of int4: each thread has the 16 bits of its two columns, two columns make a word.
fn row_word(thread: u32, a: u32, b: u32) -> u32 {
  crossing[thread] = vec4f(f32(a), f32(b), 0.0, 0.0);
  workgroupBarrier();
  let column = 2u * (thread % WX);
  let line = thread / WX * WX;
  let low = crossing[line + column % WX][column / WX];
  let high = crossing[line + (column + 1u) % WX][(column + 1u) / WX];
  workgroupBarrier();
  return u32(low) | (u32(high) << 16u);
}

fn with_bias(pair: Pair, at: u32) -> Pair {
  if (BIAS == 0u) { return pair; }
  return Pair(pair.a + vectors[at], pair.b + vectors[at + WX]);
}

// The row of a head RMS-normalised; weights from vectors[at].
fn normalised(thread: u32, pair: Pair, at: u32) -> Pair {
  let factor = inverseSqrt(row_sum(thread, dot(pair.a, pair.a) + dot(pair.b, pair.b)) / f32(E) + params.headEps);
  return Pair(pair.a * factor * vectors[at], pair.b * factor * vectors[at + WX]);
}

fn rotated(pair: Pair, position: u32, column: u32) -> Pair {
  let turn = turn_of(position * (E / 2u) + 4u * column);
  return Pair(pair.a * turn.cosine - pair.b * turn.sine, pair.b * turn.cosine + pair.a * turn.sine);
}

// Four values as integers of KV_BITS each, lowest first; affine = (step, minimum).
fn quantised(values: vec4f, affine: vec2f) -> u32 {
  let units = vec4u(clamp(round((values - affine.y) / affine.x), vec4f(), vec4f(top())));
  let bits = KV_BITS & 15u;
  return units.x | (units.y << bits) | (units.z << (2u * bits)) | (units.w << (3u * bits));
}

// Word w of a slot's key or value.
fn put(place: Place, w: u32, word: u32) {
  let at = slot_at(place.page, place.slot, place.kind == VALUE);
  kv[at + w * select(8u, 1u, place.kind == VALUE)] = word;
}

// vec4 column c of a slot, as f32 or f16.
fn put_floats(place: Place, c: u32, values: vec4f) {
  if (KV_BITS == 16u) {
    put(place, 2u * c, pack_half(values.xy));
    put(place, 2u * c + 1u, pack_half(values.zw));
  } else {
    for (var i = 0u; i < 4u; i++) { put(place, 4u * c + i, bitcast<u32>(values[i])); }
  }
}

// The thread's share of a row into the page; all threads come here, those with isWritten write.
fn store(thread: u32, pair: Pair, place: Place, isWritten: bool) {
  let c = thread % WX;
  if (KV_BITS > 8u) {
    if (isWritten) {
      put_floats(place, c, pair.a);
      put_floats(place, c + WX, pair.b);
    }
  } else {
    let bounds = row_bounds(thread, pair);
    let bits = affine_pair(bounds.x, bounds.y);
    var affine = opened(bits);
    if (affine.x == 0.0) { affine.x = 1.0; }
    let a = quantised(pair.a, affine);
    let b = quantised(pair.b, affine);
    let pairAt = pair_at(place.page, place.slot, place.kind == VALUE);
    if (isWritten && c == 0u) { kv[pairAt] = bits; }
    if (KV_BITS == 8u) {
      if (isWritten) {
        put(place, c, a);
        put(place, c + WX, b);
      }
    } else {
      let word = row_word(thread, a, b);
      if (isWritten) { put(place, c, word); }
    }
  }
}

@compute @workgroup_size(THREADS)
fn qkv_packed(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let m = params.firstHead + wg.y;
  let head = head_of(m);
  headNumber = m;
  let isQuery = head.kind == QUERY;
  gammaAt = select(params.gammaKv, params.gammaQ, isQuery);
  let firstRow = wg.x * ROWS;
  if (!is_wanted(head, firstRow)) { return; }
  let product = multiply(firstRow, thread);
  share_squares(product.squares, thread);
  workgroupBarrier();

  let column = thread % WX;
  for (var i = 0u; i < TM; i++) {
    let own = thread / WX + WY * i;
    let t = firstRow + own;
    let isRow = t < params.rows;
    let row = rows[params.rowAt + min(t, params.rows - 1u)];
    let factor = factor_of(own);
    let sums = product.sums[i];
    let a = vec4f(sums[0], sums[1], sums[2], sums[3]) * factor;
    let b = vec4f(sums[4], sums[5], sums[6], sums[7]) * factor;
    var pair = with_bias(Pair(a, b), (params.biasAt + m * E) / 4u + column);
    if (HEAD_NORM == 1u && head.kind != VALUE) {
      let weightAt = select(params.keyNormAt + head.owner * E, params.queryNormAt, isQuery);
      pair = normalised(thread, pair, weightAt / 4u + column);
    }
    if (head.kind != VALUE) { pair = rotated(pair, row.x + select(0u, params.queryTurns, isQuery), column); }
    if (isQuery) {
      let to = (t * params.queries + m) * (E / 4u) + column;
      if (isRow) {
        q[to] = pair.a;
        q[to + WX] = pair.b;
      }
    } else {
      let entry = entry_of(row, head.column);
      let place = Place(entry.x, row.y % 32u, head.kind);
      store(thread, pair, place, isRow && entry.z == params.arena);
    }
  }
}

// qkv_tile — heads of RMSNorm(x)·Wᵀ (+ bias), normalised, rotated, written to `q` or into cache pages, for many rows
//
//   x        [T, K]               f32    read
//   b        [K, stride]          vec4f  read        gamma is in it; column 0 is column bHead·E of the matrix
//   vectors  [*]                  vec4f  read        bias, weights of the head norms
//   rows     [*]                  vec4u  read        row records, then the page table
//   rope     [positions, E/2]     vec2f  read
//   q        [T, queries, E]      vec4f  read_write
//   kv       [*]                  u32    read_write
//
// dispatch  (⌈T / (WY·TM)⌉, heads, 1): one workgroup per WY·TM rows of one head
// cost      flops 2·T·heads·E·K, bytes 4·(T·K·heads + heads·E·K·T/(WY·TM)): compute bound
// why       gemm_tile whose tile is as wide as a head: what follows the product needs no other workgroup. A thread
//           has the vec4 columns c and c + E/8, which are rotated together. The thread that loads x also sums its
//           squares, so the row's norm needs no pass of its own. Norms of heads, least and largest values and
//           halves of int4 words cross between the E/8 threads of a row through the free tile, row after row.
//           Tiles with no row in this arena skip the product.
// family    qkv_wide
// uses      lib/head.wgsl lib/page.wgsl lib/affine_pair.wgsl lib/opened.wgsl lib/pack_half.wgsl lib/turn.wgsl lib/four_rows.wgsl

override KV_BITS: u32 = 16;   // bits of a cached number: 32, 16, 8 or 4
override BIAS: u32 = 0;       // 1: add bias
override HEAD_NORM: u32 = 0;  // 1: queries and keys are RMS-normalised per head

const E: u32 = 64;   // head width, a multiple of 8
const TM: u32 = 8;   // rows per thread, a multiple of 4
const WY: u32 = 8;   // threads along rows
const BK: u32 = 8;   // inputs per tile; E ≤ 4·BK·TM

const WX = E / 8u;         // threads along columns
const ROWS = WY * TM / 4;  // vec4 rows of the x tile
const COLUMNS = E / 4u;    // vec4 columns of the b tile
const THREADS = WX * WY;
// vec4 that a thread brings per tile, at most.
const A_LOADS = (BK * ROWS + THREADS - 1) / THREADS;
const B_LOADS = (BK * COLUMNS + THREADS - 1) / THREADS;
const SWIZZLE = min(ROWS, 8u) - 1;  // ROWS is 1, 2, 4 or a multiple of 8

struct Params {
  rows: u32,         // T
  rowAt: u32,        // record of row 0
  depth: u32,        // K
  stride: u32,       // columns of b, a multiple of 4
  firstHead: u32,    // head of the matrix that workgroups (·, 0) take
  heads: u32,        // heads of the dispatch: as many workgroups along y
  bHead: u32,        // head of the matrix at column 0 of b
  queries: u32,      // query heads of the matrix
  ownerHeads: u32,   // key heads of an owner, and as many value heads
  column: u32,       // the list of the first owner's first head
  columns: u32,      // lists of a sequence
  listLength: u32,   // table entries of a list: its head, then pages
  tableAt: u32,      // first entry of the page table in `rows`
  arena: u32,        // number of the buffer bound as kv
  biasAt: u32,       // in floats of `vectors`, multiples of 4: [heads of the matrix, E]
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

// Two tiles each, ≤ 16 KiB: (ROWS + COLUMNS)·BK ≤ 512. After the product the threads of a row exchange values through aTile.
var<workgroup> aTile: array<vec4f, 2 * BK * ROWS>;
var<workgroup> bTile: array<vec4f, 2 * BK * COLUMNS>;

// Whether any row of this tile is written here; usually the first one already is.
fn is_wanted(head: Head, firstRow: u32) -> bool {
  var wanted = head.kind == QUERY;
  for (var t = firstRow; t < min(firstRow + WY * TM, params.rows) && !wanted; t++) {
    wanted = entry_of(rows[params.rowAt + t], head.column).z == params.arena;
  }
  return wanted;
}

// What four_rows.wgsl reads.
fn input(at: u32) -> f32 { return x[at]; }

fn load_b(k: u32, column: u32) -> vec4f {
  if (k >= params.depth) { return vec4f(); }
  return b[k * (params.stride / 4u) + column];
}

// Factors of the norm of four rows, whose squares lie at aTile[group·BK …].
fn row_factors(group: u32) -> vec4f {
  var sum = vec4f();
  for (var k = 0u; k < BK; k++) { sum += aTile[group * BK + k]; }
  return inverseSqrt(sum / f32(params.depth) + params.eps);
}

// The sum of `value` over the threads of a row.
fn row_sum(thread: u32, value: f32) -> f32 {
  aTile[thread].x = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < WX; i++) { sum += aTile[thread / WX * WX + i].x; }
  workgroupBarrier();
  return sum;
}

// (least, largest) value of the row's head.
fn row_bounds(thread: u32, pair: Pair) -> vec2f {
  let low = min(pair.a, pair.b);
  let high = max(pair.a, pair.b);
  aTile[thread] = vec4f(min(low.xy, low.zw), max(high.xy, high.zw));
  workgroupBarrier();
  var all = aTile[thread];
  for (var i = 0u; i < WX; i++) {
    let other = aTile[thread / WX * WX + i];
    all = vec4f(min(all.xy, other.xy), max(all.zw, other.zw));
  }
  workgroupBarrier();
  return vec2f(min(all.x, all.y), max(all.z, all.w));
}

// Word `thread % WX` of a row of int4: each thread has the 16 bits of its two columns, two columns make a word.
fn row_word(thread: u32, a: u32, b: u32) -> u32 {
  aTile[thread] = vec4f(f32(a), f32(b), 0.0, 0.0);
  workgroupBarrier();
  let column = 2u * (thread % WX);
  let line = thread / WX * WX;
  let low = aTile[line + column % WX][column / WX];
  let high = aTile[line + (column + 1u) % WX][(column + 1u) / WX];
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
fn qkv_tile(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let m = params.firstHead + wg.y;
  let head = head_of(m);
  let firstRow = wg.x * (WY * TM);
  if (!is_wanted(head, firstRow)) { return; }
  let firstColumn = (m - params.bHead) * COLUMNS;
  let column = thread % WX;
  let line = thread / WX;

  var sums: array<array<vec4f, 2>, TM>;
  var squares: array<vec4f, A_LOADS>;
  var aNext: array<vec4f, A_LOADS>;
  var bNext: array<vec4f, B_LOADS>;
  let tiles = (params.depth + BK - 1u) / BK;
  for (var tile = 0u; tile <= tiles; tile++) {
    // The tile to multiply in the next round; past the end these are zeros nobody reads.
    for (var i = 0u; i < A_LOADS; i++) {
      let at = thread + i * THREADS;
      aNext[i] = load_a(firstRow + at / BK * 4u, tile * BK + at % BK);
      squares[i] += aNext[i] * aNext[i];
    }
    for (var i = 0u; i < B_LOADS; i++) {
      let at = thread + i * THREADS;
      bNext[i] = load_b(tile * BK + at / COLUMNS, firstColumn + at % COLUMNS);
    }

    if (tile > 0u) {
      let half = (tile - 1u) % 2u;
      for (var k = 0u; k < BK; k++) {
        let aRow = (half * BK + k) * ROWS;
        let bRow = (half * BK + k) * COLUMNS + column;
        let right = array<vec4f, 2>(bTile[bRow], bTile[bRow + WX]);
        for (var i = 0u; i < TM / 4u; i++) {
          let left = aTile[aRow + ((line * (TM / 4u) + i) ^ (k & SWIZZLE))];
          for (var j = 0u; j < 2u; j++) {
            sums[4u * i][j] = fma(vec4f(left.x), right[j], sums[4u * i][j]);
            sums[4u * i + 1u][j] = fma(vec4f(left.y), right[j], sums[4u * i + 1u][j]);
            sums[4u * i + 2u][j] = fma(vec4f(left.z), right[j], sums[4u * i + 2u][j]);
            sums[4u * i + 3u][j] = fma(vec4f(left.w), right[j], sums[4u * i + 3u][j]);
          }
        }
      }
    }

    let half = tile % 2u;
    for (var i = 0u; i < A_LOADS; i++) {
      let at = thread + i * THREADS;
      let k = at % BK;
      if (at < BK * ROWS) { aTile[(half * BK + k) * ROWS + ((at / BK) ^ (k & SWIZZLE))] = aNext[i]; }
    }
    for (var i = 0u; i < B_LOADS; i++) {
      let at = thread + i * THREADS;
      if (at < BK * COLUMNS) { bTile[half * BK * COLUMNS + at] = bNext[i]; }
    }
    workgroupBarrier();
  }

  for (var i = 0u; i < A_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < BK * ROWS) { aTile[at] = squares[i]; }
  }
  workgroupBarrier();
  var factors: array<vec4f, TM / 4u>;
  for (var i = 0u; i < TM / 4u; i++) { factors[i] = row_factors(line * (TM / 4u) + i); }
  workgroupBarrier();

  for (var i = 0u; i < TM; i++) {
    let t = firstRow + line * TM + i;
    let isRow = t < params.rows;
    let row = rows[params.rowAt + min(t, params.rows - 1u)];
    let factor = factors[i / 4u][i % 4u];
    var pair = with_bias(Pair(sums[i][0] * factor, sums[i][1] * factor), params.biasAt / 4u + m * COLUMNS + column);
    if (HEAD_NORM == 1u && head.kind != VALUE) {
      let weightAt = select(params.keyNormAt + head.owner * E, params.queryNormAt, head.kind == QUERY);
      pair = normalised(thread, pair, weightAt / 4u + column);
    }
    if (head.kind != VALUE) { pair = rotated(pair, row.x + select(0u, params.queryTurns, head.kind == QUERY), column); }
    if (head.kind == QUERY) {
      let to = (t * params.queries + m) * COLUMNS + column;
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

// qkv_split — heads of RMSNorm(x)·Wᵀ (+ bias), normalised, rotated, written to `q` or into cache pages, for up to 8 rows
//
//   x        [T, K]               vec4f  read
//   vectors  [*]                  vec4f  read        gamma, bias, weights of the head norms
//   words    [K/·/4, stride]      vec4u  read        four word rows side by side
//   scales   [K/GROUP, stride]    u32    read        f16 pairs (scale, minimum); unused for BITS 16 and 32
//   rows     [*]                  vec4u  read        row records, then the page table
//   rope     [positions, E/2]     vec2f  read
//   q        [T, queries, E]      f32    read_write
//   kv       [*]                  u32    read_write
//
// dispatch  (heads, 1, 1): one workgroup per head, E/2 threads along its columns, SLICES along K
// cost      bytes heads·E·K·(BITS/8 + 4/GROUP), flops 2·T·heads·E·K: memory bound
// why       One dispatch instead of three, and no buffer between. A thread has the columns j and j + E/2 that are
//           rotated together; many slices keep loads in flight. After the sums the slices share the rows. Words of
//           a page need neighbouring values, and 8- and 4-bit pages the least and largest of a head: these pass
//           through workgroup memory. Heads with no row in this arena skip the product.
// family    qkv_narrow
// uses      lib/head.wgsl lib/page_writer.wgsl lib/four_weights.wgsl

override E: u32 = 64;        // head width, a multiple of 8
override KV_BITS: u32 = 16;  // bits of a cached number: 32, 16, 8 or 4
override BIAS: u32 = 0;      // 1: add bias
override HEAD_NORM: u32 = 0; // 1: queries and keys are RMS-normalised per head
override BITS: u32 = 4;      // 4, 8, 16 or 32
override GROUP: u32 = 32;    // values that share a scale, 16 or 32
override UNIT: u32 = 32;     // values per step, a multiple of FOUR: divides GROUP and K (BITS 16: filled up to 8)
override SLICES: u32 = 8;    // threads along K; ROWS·SLICES·(E + 1) ≤ 4096
override LANES: u32 = E / 2u;
const ROWS: u32 = 1;         // rows of x, at least params.rows

struct Params {
  rows: u32,         // T
  rowAt: u32,        // record of row 0
  depth: u32,        // K
  stride: u32,       // columns of `words` and `scales`
  firstHead: u32,    // head of the matrix that workgroup 0 takes
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
@group(0) @binding(1) var<storage, read> vectors: array<vec4f>;
@group(0) @binding(2) var<storage, read> words: array<vec4u>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> rows: array<vec4u>;
@group(0) @binding(5) var<storage, read> rope: array<vec2f>;
@group(0) @binding(6) var<storage, read_write> q: array<f32>;
@group(0) @binding(7) var<storage, read_write> kv: array<u32>;
@group(0) @binding(8) var<uniform> params: Params;

override FOUR: u32 = 128u / BITS;  // values in four words

// [T, slice, E]: the slices' sums; then slice 0 of a row holds its finished head.
var<workgroup> sums: array<f32, ROWS * SLICES * E>;
var<workgroup> squares: array<f32, ROWS * SLICES>;

// Whether any row of this head is written here.
fn is_wanted(head: Head) -> bool {
  var wanted = head.kind == QUERY;
  for (var t = 0u; t < ROWS; t++) {
    if (t >= params.rows) { break; }
    wanted = wanted || entry_of(rows[params.rowAt + t], head.column).z == params.arena;
  }
  return wanted;
}

// (scale, minimum) of inputs k … of column n.
fn affine_of(k: u32, n: u32) -> vec2f {
  if (BITS > 8u) { return vec2f(1.0, 0.0); }
  return unpack2x16float(scales[k / GROUP * params.stride + n]);
}

// The slice's share of columns n and n + E/2 and of Σx², over inputs 0 … depth−1.
fn accumulate(depth: u32, gammaAt: u32, n: u32, lane: u32, slice: u32) {
  var sum: array<vec2f, ROWS>;
  var square: array<f32, ROWS>;
  var k = slice * UNIT;
  for (var more = (depth + (SLICES - slice) * UNIT - 1u) / (SLICES * UNIT); more > 0u; more--) {
    var dots = array<vec2f, ROWS>();  // Σ x·q of both columns
    var ones = array<f32, ROWS>();    // Σ x
    for (var four = 0u; four < UNIT / FOUR; four++) {
      let i = k + four * FOUR;
      let left = words[i / FOUR * params.stride + n];
      let right = words[i / FOUR * params.stride + n + LANES];
      for (var part = 0u; part < FOUR / 4u; part++) {
        let j = 4u * part;
        if (BITS == 16u && i + j >= params.depth) { break; }
        let a = quad(left, j);
        let b = quad(right, j);
        let gamma = vectors[(gammaAt + i + j) / 4u];
        for (var t = 0u; t < ROWS; t++) {
          let raw = x[(min(t, params.rows - 1u) * params.depth + i + j) / 4u];
          let values = raw * gamma;
          square[t] += dot(raw, raw);
          if (BITS <= 8u) { ones[t] += dot(values, vec4f(1.0)); }
          dots[t] += vec2f(dot(values, a), dot(values, b));
        }
      }
    }
    let a = affine_of(k, n);
    let b = affine_of(k, n + LANES);
    for (var t = 0u; t < ROWS; t++) { sum[t] += vec2f(a.x, b.x) * dots[t] + vec2f(a.y, b.y) * ones[t]; }
    k += SLICES * UNIT;
  }
  for (var t = 0u; t < ROWS; t++) {
    put((t * SLICES + slice) * E + lane, sum[t]);
    if (lane == 0u) { squares[t * SLICES + slice] = square[t]; }
  }
}

// What page_writer.wgsl reads.
fn head_value(i: u32) -> f32 { return sums[i]; }

// Values at e and e + E/2 of a head in workgroup memory.
fn put(at: u32, pair: vec2f) {
  sums[at] = pair.x;
  sums[at + LANES] = pair.y;
}

// Values at e and e + E/2 of `vectors`; `at` in floats.
fn vector_pair(at: u32) -> vec2f {
  let other = at + LANES;
  return vec2f(vectors[at / 4u][at % 4u], vectors[other / 4u][other % 4u]);
}

// All slices of row t together, RMSNorm factor and bias included.
fn total(t: u32, m: u32, lane: u32) -> vec2f {
  var sum = vec2f();
  var square = 0.0;
  for (var s = 0u; s < SLICES; s++) {
    let at = (t * SLICES + s) * E + lane;
    sum += vec2f(sums[at], sums[at + LANES]);
    square += squares[t * SLICES + s];
  }
  sum *= inverseSqrt(square / f32(params.depth) + params.eps);
  if (BIAS == 1u) { sum += vector_pair(params.biasAt + m * E + lane); }
  return sum;
}

// Factor of the norm of the head at `base` in workgroup memory.
fn norm_factor(base: u32) -> f32 {
  var sum = 0.0;
  for (var e = 0u; e < E; e++) { sum += sums[base + e] * sums[base + e]; }
  return inverseSqrt(sum / f32(E) + params.headEps);
}

@compute @workgroup_size(LANES, SLICES)
fn qkv_split(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  let slice = local.y;
  let m = params.firstHead + wg.x;
  let head = head_of(m);
  let isQuery = head.kind == QUERY;
  let isValue = head.kind == VALUE;
  let depth = select(0u, params.depth, is_wanted(head));
  accumulate(depth, select(params.gammaKv, params.gammaQ, isQuery), m * E + lane, lane, slice);
  workgroupBarrier();

  // Now slice s finishes rows s, s + SLICES, …, one per round.
  for (var round = 0u; round < (ROWS + SLICES - 1u) / SLICES; round++) {
    if (round * SLICES >= params.rows) { break; }
    let t = round * SLICES + slice;
    let isRow = t < params.rows;
    let row = rows[params.rowAt + min(t, params.rows - 1u)];
    let base = t * SLICES * E;
    var pair = vec2f();
    if (isRow) { pair = total(t, m, lane); }
    if (HEAD_NORM == 1u && !isValue) {
      if (isRow) { put(base + lane, pair); }
      workgroupBarrier();
      let weightAt = select(params.keyNormAt + head.owner * E, params.queryNormAt, isQuery);
      if (isRow) { pair *= norm_factor(base) * vector_pair(weightAt + lane); }
      workgroupBarrier();
    }
    if (!isValue) {
      let turn = rope[(row.x + select(0u, params.queryTurns, isQuery)) * LANES + lane];
      pair = vec2f(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
    }
    if (isQuery) {
      let to = (t * params.queries + m) * E + lane;
      if (isRow) {
        q[to] = pair.x;
        q[to + LANES] = pair.y;
      }
    } else {
      if (isRow) { put(base + lane, pair); }
      workgroupBarrier();
      let entry = entry_of(row, head.column);
      if (isRow && entry.z == params.arena) { write_page(base, entry.x, row.y % 32u, isValue, E * KV_BITS / 32u, lane); }
    }
  }
}

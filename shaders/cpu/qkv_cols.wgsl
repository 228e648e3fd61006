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
//           of a page needs neighbours and its scale all of a head: these go through workgroup memory. Where a row's page
//           lies in another arena, its sum has zero terms, since a branch would not skip (docs/kernels.md, CPU tricks).
// family    qkv_narrow
// uses      lib/columns.wgsl lib/quad_total.wgsl lib/head.wgsl lib/page_writer.wgsl

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
const LANES = 4u;             // threads

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

// Of what this thread loaded.
var<private> ones: f32;     // Σ x of a step
var<private> squares: f32;  // Σ x² of the row, before gamma
var<workgroup> head: array<f32, E>;

// Four values of x, times gamma; `at` in vec4s from their beginnings. Threads beyond a short step, and places beyond D, have 0.
fn load(row: u32, gamma: u32, at: u32, lane: u32) -> vec4f {
  if ((UNIT < 16u && lane >= UNIT / 4u) || (BITS == 16u && at * 4u >= params.depth)) { return vec4f(); }
  var values = x[row + at];
  squares += dot(values, values);
  values *= vectors[gamma + at];
  if (BITS <= 8u) { ones += dot(values, vec4f(1.0)); }
  return values;
}

// The thread's columns of the head, first + 4c of the matrix; `row` and `gamma` count vec4s, `depth` inputs matter.
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

// RMS-normalises the head, whose weights begin at float `weight`.
fn normalise(weight: u32, lane: u32) {
  workgroupBarrier();
  var size = 0.0;
  for (var e = 0u; e < E; e++) { size += head[e] * head[e]; }
  let factor = inverseSqrt(size / f32(E) + params.headEps);
  workgroupBarrier();
  for (var c = 0u; c < COLS; c++) { head[lane + 4u * c] *= factor * vectors[weight / 4u + c][lane]; }
}

// What page_writer.wgsl reads.
fn head_value(i: u32) -> f32 { return head[i]; }

// Rotates the thread's pairs of columns.
fn rotate(position: u32, lane: u32) {
  for (var j = lane; j < E / 2u; j += 4u) {
    let turn = rope[position * (E / 2u) + j];  // (cos, sin)
    let a = head[j];
    let b = head[j + E / 2u];
    head[j] = a * turn.x - b * turn.y;
    head[j + E / 2u] = b * turn.x + a * turn.y;
  }
}

@compute @workgroup_size(4)
fn qkv_cols(@builtin(workgroup_id) wg: vec3u, @builtin(subgroup_invocation_id) subgroup: u32) {
  let lane = subgroup & 3u;
  let m = params.firstHead + wg.x;
  let own = head_of(m);
  let isQuery = own.kind == QUERY;
  let isValue = own.kind == VALUE;
  let gamma = select(params.gammaKv, params.gammaQ, isQuery) / 4u;
  let weight = select(params.keyNormAt + own.owner * E, params.queryNormAt, isQuery);

  for (var t = 0u; t < min(ROWS, params.rows); t++) {
    let row = rows[params.rowAt + t];
    let entry = entry_of(row, own.column);
    let away = !isQuery && entry.z != params.arena;
    project(t * params.depth / 4u, gamma, m * E + lane, select(params.depth, 0u, away), lane);
    if (!isValue) {
      if (HEAD_NORM == 1u) { normalise(weight, lane); }
      rotate(row.x + select(0u, params.queryTurns, isQuery), lane);
    }
    workgroupBarrier();
    let to = (t * params.queries + m) * E;
    for (var e = lane; e < select(0u, E, isQuery); e += 4u) { q[to + e] = head[e]; }
    write_page(0u, entry.x, row.y % 32u, isValue, select(E * KV_BITS / 32u, 0u, isQuery || away), lane);
    workgroupBarrier();
  }
}

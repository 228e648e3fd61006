// qkv_deep — heads of RMSNorm(x)·Wᵀ (+ bias), rotated, written to `q` or into cache pages of f32 or f16, for up to 8 rows
//
//   x        [T, K]               vec4f  read
//   vectors  [*]                  vec4f  read        gamma, bias
//   words    [K/·/4, stride]      vec4u  read        four word rows side by side
//   scales   [K/GROUP, stride]    u32    read        f16 pairs (scale, minimum); unused for BITS 16 and 32
//   rows     [*]                  vec4u  read        row records, then the page table
//   rope     [positions, E/2]     vec2f  read
//   q        [T, queries, E]      f32    read_write
//   kv       [*]                  u32    read_write
//
// dispatch  (heads, E/COLS, 1): COLS/2 pairs of columns that are rotated together per workgroup, SLICES threads along K
// cost      bytes heads·E·K·(BITS/8 + 4/GROUP), flops 2·T·heads·E·K: memory bound
// why       A few pairs per workgroup: one head per workgroup would leave most of a GPU idle (qkv_split, which norms whole
//           heads and looks for the least and largest of one for 8- and 4-bit pages). Heads with no row in this arena skip
//           the product.
// family    qkv_narrow
// uses      lib/head.wgsl lib/deep.wgsl lib/page_slot.wgsl lib/pack_half.wgsl

override E: u32 = 64;      // head width, a multiple of COLS
const SLICES: u32 = 64;    // threads, a multiple of 8; 4·(2·COLS + 1)·ROWS·SLICES ≤ 16384
const KV_BITS: u32 = 16;   // bits of a cached number: 32 or 16
override BIAS: u32 = 0;    // 1: add bias
const BITS: u32 = 4;       // 4, 8, 16 or 32
const GROUP: u32 = 32;     // values that share a scale, 16 or 32
const ROWS: u32 = 1;       // rows of x, at least params.rows
const COLS: u32 = 8;       // columns of a workgroup, a multiple of 4
const HALF = COLS / 2u;    // columns of the first half of the head; as many of the second
const NORM = 1u;

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
  queryNormAt: u32,  // not used
  keyNormAt: u32,    // not used
  eps: f32,          // of the norm before the product
  headEps: f32,      // not used
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

const WORD_VALUES = 32u / KV_BITS;
const ITEMS = (ROWS * COLS + SLICES - 1u) / SLICES;  // columns that a thread finishes

var<workgroup> made: array<f32, SUMS>;  // [row, column], rotated

fn gain_at(quad: u32) -> vec4f { return vectors[quad]; }

// Whether any row of this head is written here.
fn is_wanted(head: Head) -> bool {
  var wanted = head.kind == QUERY;
  for (var t = 0u; t < ROWS; t++) {
    wanted = wanted || (t < params.rows && entry_of(rows[params.rowAt + min(t, params.rows - 1u)], head.column).z == params.arena);
  }
  return wanted;
}

// Column c of row t before its rotation, RMSNorm factor and bias included. `at` = of its bias, in floats.
fn finished(t: u32, c: u32, at: u32) -> f32 {
  var value = whole(t * COLS + c) * inverseSqrt(whole(SUMS + t) / f32(params.depth) + params.eps);
  if (BIAS == 1u) { value += vectors[at / 4u][at % 4u]; }
  return value;
}

@compute @workgroup_size(SLICES)
fn qkv_deep(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) slice: u32) {
  let m = params.firstHead + wg.x;
  let head = head_of(m);
  let isQuery = head.kind == QUERY;
  let isValue = head.kind == VALUE;
  let first = wg.y * HALF;  // column of the head
  let columns = Columns(m * E + first, m * E + E / 2u + first);
  let depth = select(0u, params.depth, is_wanted(head));
  accumulate(columns, depth, select(params.gammaKv, params.gammaQ, isQuery) / 4u, slice);
  gather(slice);

  // A pair (e, e + E/2) of a row per thread.
  for (var i = 0u; i < ITEMS; i++) {
    let at = i * SLICES + slice;
    let t = at / HALF;
    let p = at % HALF;
    if (t >= params.rows) { continue; }
    let e = first + p;
    var pair = vec2f(finished(t, p, params.biasAt + m * E + e), finished(t, HALF + p, params.biasAt + m * E + E / 2u + e));
    if (!isValue) {
      let turn = rope[(rows[params.rowAt + t].x + select(0u, params.queryTurns, isQuery)) * (E / 2u) + e];
      pair = vec2f(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
    }
    if (isQuery) {
      let to = (t * params.queries + m) * E + e;
      q[to] = pair.x;
      q[to + E / 2u] = pair.y;
    }
    made[t * COLS + p] = pair.x;
    made[t * COLS + HALF + p] = pair.y;
  }
  workgroupBarrier();

  // Words of pages: a word per thread.
  for (var i = 0u; i < ITEMS; i++) {
    let at = i * SLICES + slice;
    let t = at / (COLS / WORD_VALUES);
    let c = at % (COLS / WORD_VALUES) * WORD_VALUES;
    if (isQuery || t >= params.rows) { continue; }
    let row = rows[params.rowAt + t];
    let entry = entry_of(row, head.column);
    if (entry.z != params.arena) { continue; }
    let e = first + select(E / 2u + c - HALF, c, c < HALF);
    let source = t * COLS + c;
    var word = bitcast<u32>(made[source]);
    if (KV_BITS == 16u) { word = pack_half(vec2f(made[source], made[source + WORD_VALUES - 1u])); }
    kv[slot_at(entry.x, row.y % 32u, isValue) + e / WORD_VALUES * select(8u, 1u, isValue)] = word;
  }
}

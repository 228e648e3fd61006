// gemm_tile — c[t, cOffset + n] = epilogue(Σₖ a[t, k] · b[k, n] + bias[n])
//
//   a     [T, aStride]  f32    read
//   b     [K, bStride]  vec4f  read
//   bias  [N]           vec4f  read
//   c     [T, cStride]  vec4f  read_write
//
// dispatch  (ceil(T / (WY·TM)), ceil(N / (WX·TN·4)), 1): one tile of c per workgroup
// cost      flops 2·T·N·K, bytes 4·(T·K + K·N + T·N): compute bound
// why       both operands pass through two workgroup tiles: while one is multiplied, the
//           next comes from memory into registers, so one barrier per BK inputs and no
//           wait for loads at low occupancy. The a tile is turned to [BK][rows / 4] so
//           that one vec4 brings 4 rows; its columns are XORed with k so that neither
//           writing (lanes along k) nor reading (lanes along rows) meets bank conflicts.
// family    gemm
// uses      lib/four_inputs.wgsl lib/gates.wgsl

override EPILOGUE: u32 = 0;  // 0: store, 1: add to c, 2: silu(gate)·up, 3: gelu(gate)·up (TN = 2; c has N / 2 columns)
override BIAS: u32 = 0;      // 1: add bias before the epilogue

const TM: u32 = 8;   // rows per invocation, a multiple of 4
const TN: u32 = 2;   // vec4 columns per invocation, 1 or 2
const WX: u32 = 8;   // invocations along columns
const WY: u32 = 8;   // invocations along rows
const BK: u32 = 16;  // inputs per tile, a multiple of 4

const ROWS = WY * TM / 4;          // vec4 rows of the a tile
const COLUMNS = WX * TN;           // vec4 columns of the b tile
const THREADS = WX * WY;
// vec4 that an invocation brings per tile: THREADS must divide BK·ROWS and BK·COLUMNS.
// No const_assert: wgsl_reflect does not run it.
const A_LOADS = BK * ROWS / THREADS;
const B_LOADS = BK * COLUMNS / THREADS;
const SWIZZLE = min(ROWS, 8u) - 1;

struct Params {
  rows: u32,     // T
  depth: u32,    // K
  columns: u32,  // N, a multiple of 4 (of 8 for EPILOGUE 2 and 3)
  aStride: u32,  // columns of a
  aOffset: u32,  // floats of a before its first one
  bStride: u32,  // columns of b, a multiple of 4
  bOffset: u32,  // floats of b before its first one, a multiple of 4
  cStride: u32,  // columns of c, a multiple of 4
  cOffset: u32,  // first column of c to write, a multiple of 4
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

// Two tiles each; 16 KiB at the largest: (ROWS + COLUMNS)·BK ≤ 512.
var<workgroup> aTile: array<vec4f, 2 * BK * ROWS>;
var<workgroup> bTile: array<vec4f, 2 * BK * COLUMNS>;

// What four_inputs.wgsl reads.
fn input(at: u32) -> f32 { return a[at]; }

// Where a row of `a` begins. Rows past T repeat the last one: they are not stored.
fn begin(row: u32) -> u32 {
  return min(row, params.rows - 1u) * params.aStride + params.aOffset;
}

fn load_b(k: u32, column: u32) -> vec4f {
  if (k >= params.depth || column >= params.columns / 4u) { return vec4f(); }
  return b[params.bOffset / 4u + k * (params.bStride / 4u) + column];
}

fn store(row: u32, column: u32, sum: vec4f) {
  if (row >= params.rows || column >= params.columns / 4u) { return; }
  let at = row * (params.cStride / 4u) + params.cOffset / 4u + column;
  if (EPILOGUE == 1u) { c[at] += sum; } else { c[at] = sum; }
}

fn with_bias(sum: vec4f, column: u32) -> vec4f {
  if (BIAS == 1u && column < params.columns / 4u) { return sum + bias[column]; }
  return sum;
}

@compute @workgroup_size(THREADS)
fn gemm_tile(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let firstRow = wg.x * (WY * TM);
  let firstColumn = wg.y * COLUMNS;
  let x = thread % WX;
  let y = thread / WX;

  var sums: array<array<vec4f, TN>, TM>;
  var aNext: array<vec4f, A_LOADS>;
  var bNext: array<vec4f, B_LOADS>;
  let tiles = (params.depth + BK - 1u) / BK;
  for (var tile = 0u; tile <= tiles; tile++) {
    // The tile to multiply in the next round; past the end these are zeros nobody reads.
    for (var i = 0u; i < A_LOADS; i++) {
      let at = thread + i * THREADS;
      aNext[i] = load_a(firstRow + at / BK * 4u, tile * BK + at % BK);
    }
    for (var i = 0u; i < B_LOADS; i++) {
      let at = thread + i * THREADS;
      bNext[i] = load_b(tile * BK + at / COLUMNS, firstColumn + at % COLUMNS);
    }

    if (tile > 0u) {
      let half = (tile - 1u) % 2u;
      for (var k = 0u; k < BK; k++) {
        let aRow = (half * BK + k) * ROWS;
        let bRow = (half * BK + k) * COLUMNS;
        var right: array<vec4f, TN>;
        for (var j = 0u; j < TN; j++) { right[j] = bTile[bRow + j * WX + x]; }
        for (var i = 0u; i < TM / 4u; i++) {
          let left = aTile[aRow + ((y * (TM / 4u) + i) ^ (k & SWIZZLE))];
          for (var j = 0u; j < TN; j++) {
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
      aTile[(half * BK + k) * ROWS + ((at / BK) ^ (k & SWIZZLE))] = aNext[i];
    }
    // Neighbouring vec4 columns belong to one invocation: the j-th of each lie together.
    for (var i = 0u; i < B_LOADS; i++) {
      let at = thread + i * THREADS;
      let column = at % COLUMNS;
      bTile[half * BK * COLUMNS + at - column + column % TN * WX + column / TN] = bNext[i];
    }
    workgroupBarrier();
  }

  let column = firstColumn + x * TN;
  for (var i = 0u; i < TM; i++) {
    let row = firstRow + y * TM + i;
    if (EPILOGUE >= 2u) {
      let gate = with_bias(sums[i][0], column);
      let up = with_bias(sums[i][TN - 1u], column + 1u);
      if (row < params.rows && column < params.columns / 4u) {
        c[row * (params.cStride / 4u) + params.cOffset / 4u + column / 2u] = gated_four(gate) * up;
      }
    } else {
      for (var j = 0u; j < TN; j++) { store(row, column + j, with_bias(sums[i][j], column + j)); }
    }
  }
}

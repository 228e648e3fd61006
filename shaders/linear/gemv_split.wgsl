// gemv_split — y[m, n] = Σₖ W[n, k]·x[m, k] (+ bias, then epilogue); a workgroup splits K
//
//   x       [M, K]            f32  read
//   gamma   [K]               f32  read   RMSNorm weight; unused for NORM 0
//   words   [K/·/4, stride]   vec4u read  four word rows side by side
//   scales  [K/GROUP, stride] u32  read   f16 pairs (scale, minimum); unused for BITS 16 and 32
//   bias    [N]               f32  read   unused for BIAS 0
//   y       [M, N or N/2]     f32  read_write
//
// dispatch  (⌈N/COLS/LANES⌉, 1, 1): LANES·COLS columns per workgroup, SLICES threads along K
// cost      bytes N·K·(BITS/8 + 4/GROUP), flops 2·M·N·K: memory bound
// why       one row of x gives only N·K/8 independent words: few columns and many slices per
//           workgroup keep all cores loading. A step costs Σx·q and Σx: W = scale·q + minimum.
//           The RMSNorm factor leaves the sum; its squares are added up by the slices as well.
// family    gemv
// uses      lib/four_weights.wgsl lib/gate.wgsl

override LANES: u32 = 8;     // threads along N, a multiple of 4 (8: one line of 128 bytes)
override SLICES: u32 = 16;   // threads along K; LANES·SLICES·COLS·ROWS + ROWS·SLICES ≤ 4096
override BITS: u32 = 4;      // 4, 8, 16 or 32
override GROUP: u32 = 32;    // values that share a scale, 16 or 32
override UNIT: u32 = 32;     // values per step, a multiple of FOUR: divides GROUP and K (BITS 16: filled up to 8)
override NORM: u32 = 0;      // 1: x is normalised with gamma
override EPILOGUE: u32 = 0;  // 0 store, 1 add to y, 2 silu(gate)·up of interleaved columns, 3 gelu(gate)·up (COLS even)
override BIAS: u32 = 0;      // 1: add bias
const ROWS: u32 = 1;         // rows of x, at least params.rows
const COLS: u32 = 2;         // columns per thread, 4 apart: gate and up of the interleaved form

struct Params {
  rows: u32,     // M
  depth: u32,    // K
  columns: u32,  // N
  stride: u32,   // columns of `words` and `scales`
  yStride: u32,  // floats per row of y
  eps: f32,      // RMSNorm
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gamma: array<vec4f>;
@group(0) @binding(2) var<storage, read> words: array<vec4u>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

override FOUR: u32 = 128u / BITS;  // values in four words

var<workgroup> partial: array<f32, ROWS * COLS * SLICES * LANES>;  // [M, column, slice, lane]
var<workgroup> partialSquares: array<f32, ROWS * SLICES>;

// The slice's share of every sum of this thread's columns.
fn accumulate(first: u32, lane: u32, slice: u32) {
  var sum: array<array<f32, COLS>, ROWS>;
  var squares: array<f32, ROWS>;
  var k = slice * UNIT;
  for (var left = (params.depth + (SLICES - slice) * UNIT - 1u) / (SLICES * UNIT); left > 0u; left--) {
    var dots = array<array<f32, COLS>, ROWS>();  // Σ x·q
    var ones = array<f32, ROWS>();               // Σ x
    for (var four = 0u; four < UNIT / FOUR; four++) {
      let i = k + four * FOUR;
      var fours: array<vec4u, COLS>;
      for (var c = 0u; c < COLS; c++) { fours[c] = words[i / FOUR * params.stride + first + 4u * c]; }
      for (var part = 0u; part < FOUR / 4u; part++) {
        let j = 4u * part;
        if (BITS == 16u && i + j >= params.depth) { break; }
        var weights: array<vec4f, COLS>;
        for (var c = 0u; c < COLS; c++) { weights[c] = quad(fours[c], j); }
        for (var m = 0u; m < ROWS; m++) {
          var values = x[(min(m, params.rows - 1u) * params.depth + i + j) / 4u];
          if (NORM == 1u) {
            squares[m] += dot(values, values);
            values *= gamma[(i + j) / 4u];
          }
          if (BITS <= 8u) { ones[m] += dot(values, vec4f(1.0)); }
          for (var c = 0u; c < COLS; c++) { dots[m][c] += dot(values, weights[c]); }
        }
      }
    }
    for (var c = 0u; c < COLS; c++) {
      var affine = vec2f(1.0, 0.0);  // (scale, minimum)
      if (BITS <= 8u) { affine = unpack2x16float(scales[k / GROUP * params.stride + first + 4u * c]); }
      for (var m = 0u; m < ROWS; m++) { sum[m][c] += affine.x * dots[m][c] + affine.y * ones[m]; }
    }
    k += SLICES * UNIT;
  }
  for (var m = 0u; m < ROWS; m++) {
    for (var c = 0u; c < COLS; c++) { partial[((m * COLS + c) * SLICES + slice) * LANES + lane] = sum[m][c]; }
    if ((NORM == 1u) && (lane == 0u)) { partialSquares[m * SLICES + slice] = squares[m]; }
  }
}

// y before the epilogue: all slices of column n = first + 4c, RMSNorm factor and bias included.
fn total(m: u32, c: u32, n: u32, lane: u32) -> f32 {
  var sum = 0.0;
  for (var s = 0u; s < SLICES; s++) { sum += partial[((m * COLS + c) * SLICES + s) * LANES + lane]; }
  if (NORM == 1u) {
    var squares = 0.0;
    for (var s = 0u; s < SLICES; s++) { squares += partialSquares[m * SLICES + s]; }
    sum *= inverseSqrt(squares / f32(params.depth) + params.eps);
  }
  if (BIAS == 1u) { sum += bias[n]; }
  return sum;
}

@compute @workgroup_size(LANES, SLICES)
fn gemv_split(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  let slice = local.y;
  let i = wg.x * LANES + lane;
  let first = i / 4u * 4u * COLS + i % 4u;  // columns first + 4c
  if (first < params.columns) { accumulate(first, lane, slice); }
  workgroupBarrier();

  // Now the thread at (slice, lane) finishes rows slice, slice + SLICES, … of its columns.
  for (var round = 0u; round < (ROWS + SLICES - 1u) / SLICES; round++) {
    let m = round * SLICES + slice;
    if (m >= params.rows) { break; }
    var gate = 0.0;
    for (var c = 0u; c < COLS; c++) {
      let n = first + 4u * c;
      if (n >= params.columns) { break; }
      let value = total(m, c, n, lane);
      let at = m * params.yStride + n;
      if (EPILOGUE == 0u) { y[at] = value; }
      if (EPILOGUE == 1u) { y[at] += value; }
      if ((EPILOGUE >= 2u) && (c % 2u == 1u)) { y[m * params.yStride + n / 8u * 4u + n % 4u] = gated(gate) * value; }
      gate = value;
    }
  }
}

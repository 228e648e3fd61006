// gemv_cols — y[m, n] = Σₖ W[n, k]·x[m, k] (+ bias, then epilogue); one thread owns whole columns
//
//   x       [M, K]            f32  read
//   gamma   [K]               f32  read   RMSNorm weight; unused for NORM 0
//   words   [K/·/4, stride]   vec4u read  four word rows side by side
//   scales  [K/GROUP, stride] u32  read   f16 pairs (scale, minimum); unused for BITS 16 and 32
//   bias    [N]               f32  read   unused for BIAS 0
//   y       [M, N or N/2]     f32  read_write
//
// dispatch  (⌈N/COLS/WG⌉, 1, 1)
// cost      bytes N·K·(BITS/8 + 4/GROUP), flops 2·M·N·K: load bound on a CPU adapter
// why       docs/kernels.md, CPU tricks. x is loaded once for all columns of a quad of threads, a quarter by each; integers
//           stay where they are in the word (lib/columns.wgsl). A group costs Σx·q and Σx, since W = scale·q + minimum.
//           RMSNorm needs no pass of its own: its factor comes out of the sum.
// family    gemv
// uses      lib/quad_total.wgsl lib/columns.wgsl lib/gate.wgsl

enable subgroups;

override WG: u32 = 4;        // threads per workgroup, a multiple of 4
override GROUP: u32 = 32;    // values that share a scale, 16 or 32
override NORM: u32 = 0;      // 1: x is normalised with gamma
override EPILOGUE: u32 = 0;  // 0 store, 1 add to y, 2 silu(gate)·up of interleaved columns, 3 gelu(gate)·up (COLS even)
override BIAS: u32 = 0;      // 1: add bias
const BITS: u32 = 4;         // 4, 8, 16 or 32
const UNIT: u32 = 32;        // values per step: 32, 16, 8 or 4, at least FOUR; divides GROUP and K (BITS 16: filled up to 8)
const ROWS: u32 = 1;         // rows of x, at least params.rows; each reads the weights again
const COLS: u32 = 16;        // columns per thread, 4 apart: gate and up of the interleaved form

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

// Of what this thread loaded.
var<private> ones: f32;     // Σ x of a step
var<private> squares: f32;  // Σ x² of the row, before gamma

// Four values of the row's x, normalised but for the row's factor. Threads beyond a short step, and places beyond K, have 0.
fn load(row: u32, at: u32, lane: u32) -> vec4f {
  if ((UNIT < 16u && lane >= UNIT / 4u) || (BITS == 16u && at * 4u >= params.depth)) { return vec4f(); }
  var values = x[row + at];
  if (NORM == 1u) {
    squares += dot(values, values);
    values *= gamma[at];
  }
  if (BITS <= 8u) { ones += dot(values, vec4f(1.0)); }
  return values;
}

@compute @workgroup_size(WG)
fn gemv_cols(@builtin(global_invocation_id) id: vec3u, @builtin(subgroup_invocation_id) subgroup: u32) {
  let first = id.x / 4u * 4u * COLS + id.x % 4u;  // columns first + 4c
  let lane = subgroup & 3u;

  for (var m = 0u; m < min(ROWS, params.rows); m++) {
    var sum = array<f32, COLS>();
    squares = 0.0;
    let row = m * params.depth / 4u;
    for (var step = 0u; step * UNIT < params.depth; step++) {
      // Arrays stay in registers while their indices are constants, hence "unrolled".
      let begin = step * (UNIT / 4u) + lane;
      var v = Step();
      ones = 0.0;
      for (var i = 0u; i < (UNIT + 15u) / 16u; i++) { let mine = load(row, begin + 4u * i, lane); for (var j = 0u; j < 4u; j++) { v[4u * i + j] = scaled(quadBroadcast(mine, j), 4u * j); } }  // unrolled
      let xs = total(ones);
      let wordRow = step * (UNIT / FOUR) * params.stride + first;
      let scaleRow = step * UNIT / GROUP * params.stride + first;
      for (var c = 0u; c < COLS; c++) {  // columns beyond N read what lies there and store nothing
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

    var factor = 1.0;
    if (NORM == 1u) { factor = inverseSqrt(total(squares) / f32(params.depth) + params.eps); }
    for (var c = 0u; c < COLS; c++) {
      let n = first + 4u * c;
      if (n >= params.columns) { break; }
      var value = sum[c] * factor;
      if (BIAS == 1u) { value += bias[n]; }
      sum[c] = value;
      let at = m * params.yStride + n;
      if (EPILOGUE == 0u) { y[at] = value; }
      if (EPILOGUE == 1u) { y[at] += value; }
      if ((EPILOGUE >= 2u) && (c % 2u == 1u)) { y[m * params.yStride + n / 8u * 4u + n % 4u] = gated(sum[c - 1u]) * value; }
    }
  }
}

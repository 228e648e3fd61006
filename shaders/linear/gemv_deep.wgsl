// gemv_deep — y[m, n] = Σₖ W[n, k]·x[m, k] (+ bias, then epilogue); a workgroup has a few columns and lies along K
//
//   x       [M, K]            f32  read
//   gamma   [K] …             f32  read   RMSNorm weight, and where columns differ in it another one; unused for NORM 0
//   words   [K/·/4, stride]   vec4u read  four word rows side by side
//   scales  [K/GROUP, stride] u32  read   f16 pairs (scale, minimum); unused for BITS 16 and 32
//   bias    [N]               f32  read   unused for BIAS 0
//   y       [M, N or N/2]     f32  read_write
//
// dispatch  (⌈N/COLS⌉, 1, 1): COLS neighbouring columns per workgroup, SLICES threads along K
// cost      bytes N·K·(BITS/8 + 4/GROUP), flops 2·M·N·K: memory bound
// why       Few columns per workgroup make many workgroups of the smallest product, and a thread's loads do not depend on
//           each other (lib/deep.wgsl). The RMSNorm factor leaves the sum; its squares are added up by the slices as well.
// family    gemv
// uses      lib/deep.wgsl lib/gate.wgsl

const SLICES: u32 = 64;      // threads, a multiple of 8; 4·(COLS + 1)·ROWS·SLICES ≤ 16384
const BITS: u32 = 4;         // 4, 8, 16 or 32
const GROUP: u32 = 32;       // values that share a scale, 16 or 32
override NORM: u32 = 0;      // 1: x is normalised with gamma
override EPILOGUE: u32 = 0;  // 0 store, 1 add to y, 2 silu(gate)·up of interleaved columns, 3 gelu(gate)·up (both: COLS 8)
override BIAS: u32 = 0;      // 1: add bias
override LATER_FROM: u32 = 0;   // with LATER_GAMMA: the first column that has another RMSNorm weight, a multiple of COLS
override LATER_GAMMA: u32 = 0;  // where that begins in `gamma`, a multiple of 4; 0: all columns have the first one
const ROWS: u32 = 1;         // rows of x, at least params.rows
const COLS: u32 = 4;         // columns of a workgroup: 2, 4 or 8
const HALF = COLS;

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

fn gain_at(quad: u32) -> vec4f { return gamma[quad]; }

// y[m, n] before the epilogue, RMSNorm factor and bias included.
fn finished(m: u32, c: u32, n: u32) -> f32 {
  var value = whole(m * COLS + c);
  if (NORM == 1u) { value *= inverseSqrt(whole(SUMS + m) / f32(params.depth) + params.eps); }
  if (BIAS == 1u) { value += bias[n]; }
  return value;
}

@compute @workgroup_size(SLICES)
fn gemv_deep(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) slice: u32) {
  let first = wg.x * COLS;
  accumulate(Columns(first, first), params.depth, select(LATER_GAMMA / 4u, 0u, first < LATER_FROM), slice);
  gather(slice);
  for (var round = 0u; round < (SUMS + SLICES - 1u) / SLICES; round++) {
    let i = round * SLICES + slice;
    let m = i / COLS;
    let c = i % COLS;
    let n = first + c;
    if (m >= params.rows || n >= params.columns) { continue; }
    let at = m * params.yStride + n;
    if (EPILOGUE == 0u) { y[at] = finished(m, c, n); }
    if (EPILOGUE == 1u) { y[at] += finished(m, c, n); }
    if (EPILOGUE >= 2u && c < 4u) { y[m * params.yStride + first / 2u + c] = gated(finished(m, c, n)) * finished(m, c + 4u, n + 4u); }
  }
}

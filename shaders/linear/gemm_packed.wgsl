// gemm_packed — y[t, n] = epilogue(Σₖ W[n, k]·x[t, k] + bias[n]), weights dequantised inside the tile
//
//   x       [T, K]            f32  read
//   gamma   [K]               f32  read   RMSNorm weight; unused for NORM 0
//   words   [K/·/4, stride]   vec4u read  four word rows side by side
//   scales  [K/GROUP, stride] u32  read   f16 pairs (scale, minimum); unused for BITS 16 and 32
//   bias    [N]               f32  read   unused for BIAS 0
//   y       [T, N or N/2]     f32  read_write
//
// dispatch  (⌈T / (WY·TM)⌉, ⌈N / (WX·TN)⌉, 1): one tile of y per workgroup
// cost      flops 2·T·N·K, bytes ⌈T / (WY·TM)⌉·N·K·(BITS/8 + 4/GROUP) + 4·(T·K·N/(WX·TN) + T·N): compute bound
// why       A weight is read packed, once for WY·TM rows, and never written as f32: 0.6 bytes of 4 bits where unpack and
//           gemm_tile move 8.6. Opening it costs about 3 operations beside the 2·WY·TM of the tile. RMSNorm: x is weighed by
//           gamma as it comes, whoever brings it adds up its squares, and the factor leaves the sum.
//           HALF keeps the tile of weights as f16, for less memory and traffic; x, which may be too large for f16, and the
//           sums are f32 always.
// uses      lib/packed_tile.wgsl lib/row_squares.wgsl lib/tile_output.wgsl

override GROUP: u32 = 32;    // values that share a scale, 16 or 32
override NORM: u32 = 0;      // 1: x is normalised with gamma
override EPILOGUE: u32 = 0;  // 0 store, 1 add to y, 2 silu(gate)·up of interleaved columns, 3 gelu(gate)·up
override BIAS: u32 = 0;      // 1: add bias
const BITS: u32 = 4;         // 4, 8, 16 or 32
const HALF: u32 = 0;         // 1: weights are f16 in the tile (shader-f16)
const TM: u32 = 8;           // rows per invocation
const TN: u32 = 8;           // columns per invocation, even
const WX: u32 = 8;           // invocations along columns, a multiple of 4
const WY: u32 = 8;           // invocations along rows, a power of two
const BK: u32 = 32;          // inputs per tile, a power of two from 8 on

struct Params {
  rows: u32,     // T
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

// What row_squares.wgsl asks for.
fn gamma_at(k4: u32) -> vec4f { return gamma[k4]; }

@compute @workgroup_size(THREADS)
fn gemm_packed(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let firstRow = wg.x * ROWS;
  firstColumn = wg.y * COLUMNS;
  let product = multiply(firstRow, thread);
  share_squares(product.squares, thread);
  workgroupBarrier();

  let lane = thread % WX;
  for (var i = 0u; i < TM; i++) {
    let row = thread / WX + i * WY;
    let factor = factor_of(row);
    let at = (firstRow + row) * params.yStride;
    for (var j = 0u; j < TN / 2u; j++) {
      let n = firstColumn + 2u * j * WX + lane / 4u * 8u + lane % 4u;  // of the even run; the odd one's is 4 further
      if (firstRow + row >= params.rows) { continue; }
      put_two(at, n, product.sums[i][2u * j] * factor, product.sums[i][2u * j + 1u] * factor);
    }
  }
}

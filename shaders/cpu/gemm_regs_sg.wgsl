// gemm_regs_sg — c[t, cOffset + n] = epilogue(Σₖ a[t, k] · b[k, n] + bias[n])
//
//   a     [T, aStride]  f32    read
//   b     [K, bStride]  vec4f  read
//   bias  [N]           vec4f  read
//   c     [T, cStride]  vec4f  read_write
//
// dispatch  (16, ceil(T / 16), ceil(N / (64·WG))): 16 rows and one vec4 column per invocation
// cost      flops 2·T·N·K, bytes 4·(T·K + K·N·T/16 + T·N): compute bound
// why       docs/kernels.md, CPU tricks. 64 sums stay in registers. Lane q of a quad loads a[t, k + q], hands it round by
//           quad swaps, and meets it with row k + (q xor step) of b. x = 16 keeps a thread of the CPU on one panel of b.
// family    gemm
// uses      lib/quads.wgsl lib/gates.wgsl

enable subgroups;

override EPILOGUE: u32 = 0;  // 0: store, 1: add to c, 2: silu(gate)·up, 3: gelu(gate)·up (c has N / 2 columns)
override BIAS: u32 = 0;      // 1: add bias before the epilogue
override WG: u32 = 4;        // invocations per workgroup, a multiple of 4: whole quads

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

// Where a lane begins in a row of `a`. Rows past T repeat the last one: they are not stored.
fn begin(row: u32, lane: u32) -> u32 {
  return min(row, params.rows - 1u) * params.aStride + params.aOffset + lane;
}

fn store(row: u32, column: u32, product: vec4f) {
  var sum = product;
  if (BIAS == 1u) { sum += bias[min(column, params.columns / 4u - 1u)]; }
  // Gate columns lie in even lanes, the up columns of the same outputs in the odd lane beside.
  let up = quadSwapX(sum);
  if (row >= params.rows || column >= params.columns / 4u) { return; }
  let at = row * (params.cStride / 4u) + params.cOffset / 4u;
  if (EPILOGUE == 0u) {
    c[at + column] = sum;
  } else if (EPILOGUE == 1u) {
    c[at + column] += sum;
  } else if (column % 2u == 0u) {
    c[at + column / 2u] = gated_four(sum) * up;
  }
}

@compute @workgroup_size(WG)
fn gemm_regs_sg(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) subgroup: u32,
) {
  let row = wg.y * 16u;
  let firstColumn = (wg.z * 16u + wg.x) * WG;
  if (firstColumn >= params.columns / 4u) { return; }
  let column = firstColumn + local;
  let first = params.bOffset / 4u + column;
  let lane = subgroup & 3u;
  let last = params.depth - 1u;
  let stride = params.bStride / 4u;
  // Arrays stay in registers while their indices are constants, hence "unrolled".
  var at = array<u32, 16>();
  for (var r = 0u; r < 16u; r++) { at[r] = begin(row + r, lane); }  // unrolled
  var sum = array<vec4f, 16>();
  for (var k = 0u; k < params.depth; k += 4u) {
    // Past the end of K: zeros from a, the last row of b.
    let inside = k + lane < params.depth;
    let b0 = b[min(k + lane, last) * stride + first];
    let b1 = b[min(k + (lane ^ 1u), last) * stride + first];
    let b2 = b[min(k + (lane ^ 2u), last) * stride + first];
    let b3 = b[min(k + (lane ^ 3u), last) * stride + first];
    for (var r = 0u; r < 16u; r++) { sum[r] = multiply(sum[r], select(0.0, a[at[r] + k], inside), b0, b1, b2, b3); }  // unrolled
  }

  // A copy, with a variable index: the sums go to memory only now, so that the 16 stores compile as one.
  var sums = sum;
  for (var i = 0u; i < 16u; i++) { store(row + i, column, sums[i]); }
}

// gemm_regs — c[t, cOffset + n] = epilogue(Σₖ a[t, k] · b[k, n] + bias[n])
//
//   a     [T, aStride]  f32    read
//   b     [K, bStride]  vec4f  read
//   bias  [N]           vec4f  read
//   c     [T, cStride]  vec4f  read_write
//
// dispatch  (ceil(N / (8·WG)), ceil(T / 8), 1): 8 rows and two vec4 columns per invocation
// cost      flops 2·T·N·K, bytes 4·(T·K + K·N·T/8 + T·N): compute bound
// why       For adapters where workgroup memory is slow: outer products in registers, lanes along columns so that a is
//           uniform, four inputs per round so that sums are carried over the loop less often. A candidate on GPUs too, and for
//           adapters that run shaders on a CPU and have no subgroups; with them gemm_regs_sg needs a quarter of the loads.
// family    gemm
// uses      lib/gates.wgsl

override EPILOGUE: u32 = 0;  // 0: store, 1: add to c, 2: silu(gate)·up, 3: gelu(gate)·up (c has N / 2 columns)
override BIAS: u32 = 0;      // 1: add bias before the epilogue
override WG: u32 = 8;        // invocations per workgroup

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

// Where a row of `a` begins. Rows past T repeat the last one: they are not stored.
fn begin(row: u32) -> u32 {
  return min(row, params.rows - 1u) * params.aStride + params.aOffset;
}

// Inputs k…k+3 of the row at `at`, 0 past the end of K.
fn load(at: u32, k: u32) -> vec4f {
  let left = params.depth - k;
  return vec4f(
    a[at + k],
    select(0.0, a[at + k + 1u], left > 1u),
    select(0.0, a[at + k + 2u], left > 2u),
    select(0.0, a[at + k + 3u], left > 3u),
  );
}

// Spelled out by component: SwiftShader spills every vec4 between two operators.
fn multiply(sum: vec4f, left: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> vec4f {
  return vec4f(
    sum.x + left.x * b0.x + left.y * b1.x + left.z * b2.x + left.w * b3.x,
    sum.y + left.x * b0.y + left.y * b1.y + left.z * b2.y + left.w * b3.y,
    sum.z + left.x * b0.z + left.y * b1.z + left.z * b2.z + left.w * b3.z,
    sum.w + left.x * b0.w + left.y * b1.w + left.z * b2.w + left.w * b3.w,
  );
}

fn with_bias(sum: vec4f, column: u32) -> vec4f {
  if (BIAS == 1u) { return sum + bias[min(column, params.columns / 4u - 1u)]; }
  return sum;
}

fn store(at: u32, sum: vec4f) {
  if (EPILOGUE == 1u) { c[at] += sum; } else { c[at] = sum; }
}

// Columns 0…3 and 4…7 of one invocation: with EPILOGUE 2 and 3 the gates and their ups.
fn store_row(row: u32, column: u32, product0: vec4f, product1: vec4f) {
  if (row >= params.rows || column >= params.columns / 4u) { return; }
  let sum0 = with_bias(product0, column);
  let sum1 = with_bias(product1, column + 1u);
  let at = row * (params.cStride / 4u) + params.cOffset / 4u;
  if (EPILOGUE >= 2u) {
    c[at + column / 2u] = gated_four(sum0) * sum1;
  } else {
    store(at + column, sum0);
    if (column + 1u < params.columns / 4u) { store(at + column + 1u, sum1); }
  }
}

@compute @workgroup_size(WG)
fn gemm_regs(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y * 8u;
  let column = id.x * 2u;
  let first = params.bOffset / 4u + column;
  let last = params.depth - 1u;
  let stride = params.bStride / 4u;
  // Arrays stay in registers while their indices are constants, hence "unrolled".
  var at = array<u32, 8>();
  for (var r = 0u; r < 8u; r++) { at[r] = begin(row + r); }  // unrolled
  var sum0 = array<vec4f, 8>();
  var sum1 = array<vec4f, 8>();
  for (var k = 0u; k < params.depth; k += 4u) {
    let row0 = k * stride + first;
    let row1 = min(k + 1u, last) * stride + first;
    let row2 = min(k + 2u, last) * stride + first;
    let row3 = min(k + 3u, last) * stride + first;
    let b00 = b[row0];
    let b01 = b[row0 + 1u];
    let b10 = b[row1];
    let b11 = b[row1 + 1u];
    let b20 = b[row2];
    let b21 = b[row2 + 1u];
    let b30 = b[row3];
    let b31 = b[row3 + 1u];
    for (var r = 0u; r < 8u; r++) { let left = load(at[r], k); sum0[r] = multiply(sum0[r], left, b00, b10, b20, b30); sum1[r] = multiply(sum1[r], left, b01, b11, b21, b31); }  // unrolled
  }

  // Copies, with a variable index: the sums go to memory only now, so that the 8 stores compile as one.
  var sums0 = sum0;
  var sums1 = sum1;
  for (var i = 0u; i < 8u; i++) { store_row(row + i, column, sums0[i], sums1[i]); }
}

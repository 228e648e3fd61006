// gemm_regs_sg — c[t, cOffset + n] = epilogue(Σₖ a[t, k] · b[k, n] + bias[n])
//
//   a     [T, K]        f32    read
//   b     [K, bStride]  vec4f  read
//   bias  [N]           vec4f  read
//   c     [T, cStride]  vec4f  read_write
//
// dispatch  (ceil(N / (4·WG)), ceil(T / 16), 1): 16 rows and one vec4 column per invocation
// cost      flops 2·T·N·K, bytes 4·(T·K + K·N·T/16 + T·N): compute bound
// why       for adapters that run shaders on a CPU: no workgroup memory, no barrier, named
//           accumulators (SwiftShader keeps only what needs no address in registers), and
//           few loads, because every load there is four scalar loads, uniform or not. So no
//           lane loads what another has: lane q of a quad loads a[t, k + q], hands it
//           round by quad swaps, and meets it with row k + (q xor step) of b.

enable subgroups;

override EPILOGUE: u32 = 0;  // 0: store, 1: add to c, 2: silu(gate)·up (c has N / 2 columns)
override BIAS: u32 = 0;      // 1: add bias before the epilogue
override WG: u32 = 8;        // invocations per workgroup, a multiple of 4: whole quads

struct Params {
  rows: u32,     // T
  depth: u32,    // K
  columns: u32,  // N, a multiple of 4 (of 8 for EPILOGUE 2)
  bStride: u32,  // columns of b, a multiple of 4
  cStride: u32,  // columns of c, a multiple of 4
  cOffset: u32,  // first column of c to write, a multiple of 4
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

// a[row, k], 0 past the end of the row. Rows past T repeat the last one: they are not stored.
fn load(row: u32, k: u32) -> f32 {
  return select(0.0, a[min(row, params.rows - 1u) * params.depth + k], k < params.depth);
}

// Adds the four inputs that the quad holds. b0…b3 are the rows of b for lanes q, q^1, q^2, q^3.
// Spelled out by component: SwiftShader spills every vec4 between two operators.
fn multiply(sum: vec4f, a0: f32, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> vec4f {
  let a1 = quadSwapX(a0);
  let a2 = quadSwapY(a0);
  let a3 = quadSwapDiagonal(a0);
  return vec4f(
    sum.x + a0 * b0.x + a1 * b1.x + a2 * b2.x + a3 * b3.x,
    sum.y + a0 * b0.y + a1 * b1.y + a2 * b2.y + a3 * b3.y,
    sum.z + a0 * b0.z + a1 * b1.z + a2 * b2.z + a3 * b3.z,
    sum.w + a0 * b0.w + a1 * b1.w + a2 * b2.w + a3 * b3.w,
  );
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
    c[at + column / 2u] = sum / (1.0 + exp(-sum)) * up;
  }
}

@compute @workgroup_size(WG)
fn gemm_regs_sg(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) subgroup: u32,
) {
  let row = wg.y * 16u;
  let column = wg.x * WG + local;
  let lane = subgroup & 3u;
  let last = params.depth - 1u;
  let stride = params.bStride / 4u;
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
  var sum4 = vec4f();
  var sum5 = vec4f();
  var sum6 = vec4f();
  var sum7 = vec4f();
  var sum8 = vec4f();
  var sum9 = vec4f();
  var sum10 = vec4f();
  var sum11 = vec4f();
  var sum12 = vec4f();
  var sum13 = vec4f();
  var sum14 = vec4f();
  var sum15 = vec4f();
  for (var k = 0u; k < params.depth; k += 4u) {
    let b0 = b[min(k + lane, last) * stride + column];
    let b1 = b[min(k + (lane ^ 1u), last) * stride + column];
    let b2 = b[min(k + (lane ^ 2u), last) * stride + column];
    let b3 = b[min(k + (lane ^ 3u), last) * stride + column];
    sum0 = multiply(sum0, load(row, k + lane), b0, b1, b2, b3);
    sum1 = multiply(sum1, load(row + 1u, k + lane), b0, b1, b2, b3);
    sum2 = multiply(sum2, load(row + 2u, k + lane), b0, b1, b2, b3);
    sum3 = multiply(sum3, load(row + 3u, k + lane), b0, b1, b2, b3);
    sum4 = multiply(sum4, load(row + 4u, k + lane), b0, b1, b2, b3);
    sum5 = multiply(sum5, load(row + 5u, k + lane), b0, b1, b2, b3);
    sum6 = multiply(sum6, load(row + 6u, k + lane), b0, b1, b2, b3);
    sum7 = multiply(sum7, load(row + 7u, k + lane), b0, b1, b2, b3);
    sum8 = multiply(sum8, load(row + 8u, k + lane), b0, b1, b2, b3);
    sum9 = multiply(sum9, load(row + 9u, k + lane), b0, b1, b2, b3);
    sum10 = multiply(sum10, load(row + 10u, k + lane), b0, b1, b2, b3);
    sum11 = multiply(sum11, load(row + 11u, k + lane), b0, b1, b2, b3);
    sum12 = multiply(sum12, load(row + 12u, k + lane), b0, b1, b2, b3);
    sum13 = multiply(sum13, load(row + 13u, k + lane), b0, b1, b2, b3);
    sum14 = multiply(sum14, load(row + 14u, k + lane), b0, b1, b2, b3);
    sum15 = multiply(sum15, load(row + 15u, k + lane), b0, b1, b2, b3);
  }
  store(row, column, sum0);
  store(row + 1u, column, sum1);
  store(row + 2u, column, sum2);
  store(row + 3u, column, sum3);
  store(row + 4u, column, sum4);
  store(row + 5u, column, sum5);
  store(row + 6u, column, sum6);
  store(row + 7u, column, sum7);
  store(row + 8u, column, sum8);
  store(row + 9u, column, sum9);
  store(row + 10u, column, sum10);
  store(row + 11u, column, sum11);
  store(row + 12u, column, sum12);
  store(row + 13u, column, sum13);
  store(row + 14u, column, sum14);
  store(row + 15u, column, sum15);
}

// transpose — xt[k, t] = x[t, k], and below it a row of ones: xt[D, t] = 1
//
//   x   [T, D]      vec4f  read
//   xt  [D + 1, T]  f32    write
//
// dispatch  (ceil(T / WG), D / 4 + 1, 1): four inputs of one row per invocation
// cost      bytes 8·T·D: memory bound
// why       Sums over tokens, Σₜ x[t]ᵀ·y[t], are a product whose left operand is xᵀ: with it the GEMM kernels do them.
//           Threads lie along t, so that writes are contiguous. The ones make sums of y itself, for a bias.

override WG: u32 = 64;  // threads per workgroup

struct Params {
  rows: u32,   // T
  depth: u32,  // D, a multiple of 4
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> xt: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn transpose(@builtin(global_invocation_id) id: vec3u) {
  let rows = params.rows;
  if (id.x >= rows) { return; }
  let fours = params.depth / 4u;
  if (id.y >= fours) {
    xt[params.depth * rows + id.x] = 1.0;
    return;
  }
  let four = x[id.x * fours + id.y];
  let at = id.y * 4u * rows + id.x;
  xt[at] = four.x;
  xt[at + rows] = four.y;
  xt[at + 2u * rows] = four.z;
  xt[at + 3u * rows] = four.w;
}

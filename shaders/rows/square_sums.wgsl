// square_sums — sums[s, n] += Σ y[t, n]² over the rows t = s, s + S, s + 2·S, …
//
//   y     [T, N]  f32  read
//   sums  [S, N]  f32  read_write
//
// dispatch  (ceil(N / WG), S, 1): one column and every S-th row per invocation
// cost      bytes 4·T·N, flops 2·T·N: memory bound
// why       What a fit explains is told from Σ y², which no product of xᵀ gives. S slices, because one thread per column
//           would leave a GPU empty; whoever reads them adds them up.

override WG: u32 = 64;  // threads per workgroup

struct Params {
  rows: u32,     // T
  columns: u32,  // N
  slices: u32,   // S
}

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn square_sums(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.columns) { return; }
  var sum = 0.0;
  for (var t = id.y; t < params.rows; t += params.slices) {
    let value = y[t * params.columns + id.x];
    sum += value * value;
  }
  sums[id.y * params.columns + id.x] += sum;
}

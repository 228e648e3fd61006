// copy — y[i] = x[i]
//
//   x  [N]  vec4f  read
//   y  [N]  vec4f  write
//
// dispatch  (ceil(N / WG), 1, 1): one vec4 per invocation
// cost      bytes 32·N: memory bound
// why       Training keeps the residual stream as it enters each layer, while the products add to it in place. A copy of
//           the encoder's own would end the pass.

override WG: u32 = 64;  // threads per workgroup

struct Params {
  count: u32,  // N, in vec4
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  for (var i = id.x; i < params.count; i += grid.x * WG) { y[i] = x[i]; }
}

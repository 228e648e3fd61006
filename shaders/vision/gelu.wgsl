// gelu — x = x·½(1 + tanh(√(2/π)·(x + 0.044715·x³))), in place
//
//   x  [N]  vec4f  read_write
//
// dispatch  (ceil(N / WG), 1, 1): one vec4 per invocation, in turns where the grid is smaller
// cost      bytes 32·N, flops 40·N: memory bound
// why       A picture is encoded once, so what the products would gain by another epilogue is not worth its text in every
//           page's first file. The same formula as that of gated units.
// uses      lib/gates.wgsl

override WG: u32 = 64;  // threads per workgroup

const EPILOGUE = 3u;  // GELU by tanh

struct Params {
  count: u32,  // N, in vec4
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn gelu(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  for (var i = id.x; i < params.count; i += grid.x * WG) { x[i] = gated_four(x[i]); }
}

// swiglu — y[t, f] = silu(gate)·up, of columns that alternate in fours: gate, up
//
//   x  [T, 2F]  vec4f  read
//   y  [T, F]   vec4f  write
//
// dispatch  (ceil(T·F / 4 / WG), 1, 1): four outputs per invocation, in turns where the grid is smaller
// cost      bytes 12·T·F, flops 5·T·F: memory bound
// why       The GEMM's own epilogue does this too, but the way back needs gate and up.
// uses      lib/silu.wgsl

override WG: u32 = 64;  // threads per workgroup

struct Params {
  count: u32,  // T·F / 4
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn swiglu(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  for (var i = id.x; i < params.count; i += grid.x * WG) {
    let gate = x[2u * i];
    y[i] = vec4f(silu(gate.x), silu(gate.y), silu(gate.z), silu(gate.w)) * x[2u * i + 1u];
  }
}

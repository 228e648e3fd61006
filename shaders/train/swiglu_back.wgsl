// swiglu_back — dx of y = silu(gate)·up: dgate = dy·up·σ(gate)·(1 + gate·(1 − σ(gate))), dup = dy·silu(gate)
//
//   x   [T, 2F]  vec4f  read   columns alternate in fours: gate, up
//   dy  [T, F]   vec4f  read
//   dx  [T, 2F]  vec4f  write
//
// dispatch  (ceil(T·F / 4 / WG), 1, 1): four gates and their ups per invocation, in turns where the grid is smaller
// cost      bytes 20·T·F, flops 12·T·F: memory bound
// why       As swiglu.

override WG: u32 = 64;  // threads per workgroup

struct Params {
  count: u32,  // T·F / 4
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn swiglu_back(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  for (var i = id.x; i < params.count; i += grid.x * WG) {
    let gate = x[2u * i];
    let sigma = 1.0 / (1.0 + exp(-gate));
    dx[2u * i] = dy[i] * x[2u * i + 1u] * sigma * (1.0 + gate * (1.0 - sigma));
    dx[2u * i + 1u] = dy[i] * gate * sigma;
  }
}

// adamw — one step of AdamW on weights, with the clipped gradient
//
//   gradient  [N]  f32  read
//   factor    [2]  f32  read        factor[0]: what clipping multiplies the gradient by
//   weights   [N]  f32  read_write
//   first     [N]  f32  read_write  m, the running mean of gradients
//   second    [N]  f32  read_write  v, of their squares
//
// dispatch  (ceil(N / WG), 1, 1): one weight per invocation, in turns where the grid is smaller
// cost      bytes 28·N, flops 14·N: memory bound
// why       m = β₁m + (1 − β₁)g, v = β₂v + (1 − β₂)g²; w −= rate·(m / c₁ / (√v / √c₂ + ε) + decay·w), cᵢ = 1 − βᵢᵗ: the
//           order of operations is PyTorch's. The differences 1 − β come from outside: in f32 they would be too coarse.

override WG: u32 = 64;  // threads per workgroup

struct Params {
  count: u32,   // N
  keep: f32,    // 1 − rate·decay
  beta1: f32,
  share1: f32,  // 1 − β₁
  beta2: f32,
  share2: f32,  // 1 − β₂
  eps: f32,
  size: f32,    // rate / c₁
  root: f32,    // √c₂
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> first: array<f32>;
@group(0) @binding(4) var<storage, read_write> second: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn adamw(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  for (var i = id.x; i < params.count; i += grid.x * WG) {
    let g = gradient[i] * factor[0];
    let m = params.beta1 * first[i] + params.share1 * g;
    let v = params.beta2 * second[i] + params.share2 * g * g;
    first[i] = m;
    second[i] = v;
    weights[i] = weights[i] * params.keep - params.size * m / (sqrt(v) / params.root + params.eps);
  }
}

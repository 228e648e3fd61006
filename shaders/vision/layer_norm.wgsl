// layer_norm — y[i, :] = (x[i, :] − mean) · rsqrt(mean((x[i, :] − mean)²) + eps) · weight + bias
//
//   x       [T, D]  vec4f  read
//   weight  [D]     vec4f  read
//   bias    [D]     vec4f  read
//   y       [T, D]  vec4f  write
//
// dispatch  (T, 1, 1): one workgroup per row, WG threads stride across it
// cost      bytes 4·(4·T·D + 2·D), flops 8·T·D: memory bound
// why       The mean comes first and is taken off before squares are summed: mean(x²) − mean² loses all digits where a
//           row lies far from zero. Two of the three reads of x hit cache.
// uses      lib/row_sum.wgsl

override WG: u32 = 64;   // threads per workgroup, a power of two
override D: u32 = 768;   // row width, a multiple of 4

struct Params {
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> partial: array<f32, WG>;

@compute @workgroup_size(WG)
fn layer_norm(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let width = D / 4u;
  let start = wg.x * width;
  let lane = local.x;

  var sum = 0.0;
  for (var i = lane; i < width; i += WG) { sum += dot(x[start + i], vec4f(1.0)); }
  let mean = row_sum(lane, sum) / f32(D);

  var squares = 0.0;
  for (var i = lane; i < width; i += WG) {
    let distance = x[start + i] - mean;
    squares += dot(distance, distance);
  }
  let scale = inverseSqrt(row_sum(lane, squares) / f32(D) + params.eps);

  for (var i = lane; i < width; i += WG) { y[start + i] = (x[start + i] - mean) * scale * weight[i] + bias[i]; }
}

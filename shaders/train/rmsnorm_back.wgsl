// rmsnorm_back — dx[i, :] = r·w∘dy − x·r³/D·Σ(w∘dy∘x), r = rsqrt(mean(x²) + eps): rmsnorm backwards (ADD: added to dx)
//
//   x       [M, D]  f32  read        four at a time, as all of them
//   weight  [D]     f32  read
//   dy      [M, D]  f32  read
//   dx      [M, D]  f32  read_write
//
// dispatch  (M, 1, 1): one workgroup per row, WG threads stride across it
// cost      bytes 4·(7·M·D + D), flops 11·M·D: memory bound
// why       rmsnorm's shape. Both sums of a row, Σx² and Σ(w∘dy∘x), come from one pass over it. Also for heads: M = T·H
//           rows of E.
// uses      lib/row_sum.wgsl

override WG: u32 = 64;   // threads per workgroup, a power of two
override D: u32 = 256;   // row width, a multiple of 4
override ADD: u32 = 0;   // 1: add to dx

struct Params {
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> partial: array<f32, WG>;

@compute @workgroup_size(WG)
fn rmsnorm_back(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let width = D / 4u;
  let start = wg.x * width;
  let lane = local.x;
  var squares = 0.0;
  var along = 0.0;
  for (var i = lane; i < width; i += WG) {
    let value = x[start + i];
    squares += dot(value, value);
    along += dot(value, dy[start + i] * weight[i]);
  }
  let scale = inverseSqrt(row_sum(lane, squares) / f32(D) + params.eps);
  let back = row_sum(lane, along) * scale * scale * scale / f32(D);
  for (var i = lane; i < width; i += WG) {
    var gradient = scale * dy[start + i] * weight[i] - back * x[start + i];
    if (ADD == 1u) { gradient += dx[start + i]; }
    dx[start + i] = gradient;
  }
}

// rmsnorm — y[i, :] = x[rows[i], :] · rsqrt(mean(x[rows[i], :]²) + eps) · weight (ADD: added to y)
//
//   x       [T, D]  f32  read   four at a time, as all of them
//   rows    [M]     u32  read
//   weight  [D]     f32  read
//   y       [M, D]  f32  read_write
//
// dispatch  (M, 1, 1): one workgroup per output row, WG threads stride across it
// cost      bytes 4·(3·M·D + D), flops 4·M·D: memory bound
// why       x is read twice; the second read hits cache, so staging the row in
//           workgroup memory would only cost occupancy. `rows` picks the rows whose
//           logits are wanted; with useRows = 0 row i is row i.

override WG: u32 = 64;    // threads per workgroup, a power of two
override ADD: u32 = 0;    // 1: adds to y: a norm after a block
override D: u32 = 256;    // row width, a multiple of 4; D/4 need not divide WG

struct Params {
  useRows: u32,  // 1: gather through `rows`
  eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

override TURNS: u32 = (D / 4u + WG - 1u) / WG;

var<workgroup> partial: array<f32, WG>;

@compute @workgroup_size(WG)
fn rmsnorm(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  var row = wg.x;
  if (params.useRows == 1u) { row = rows[wg.x]; }
  let width = D / 4u;
  let source = row * width;
  let lane = local.x;

  // Each thread sums its own stripe of squares.
  var sum = 0.0;
  for (var turn = 0u; turn < TURNS; turn++) {
    let i = turn * WG + lane;
    if (i >= width) { break; }
    let value = x[source + i];
    sum += dot(value, value);
  }

  // Tree reduction over the workgroup; partial[0] ends as the whole sum.
  partial[lane] = sum;
  workgroupBarrier();
  for (var level = countTrailingZeros(WG); level > 0u; level--) {
    let half = 1u << (level - 1u);
    if (lane < half) { partial[lane] += partial[lane + half]; }
    workgroupBarrier();
  }

  let scale = inverseSqrt(partial[0] / f32(D) + params.eps);
  for (var turn = 0u; turn < TURNS; turn++) {
    let i = turn * WG + lane;
    if (i >= width) { break; }
    let value = x[source + i] * scale * weight[i];
    if (ADD == 1u) { y[wg.x * width + i] += value; } else { y[wg.x * width + i] = value; }
  }
}

// row_dots — out[outAt + i] = Σ a[i, :]·b[i, :] (ADD: added to out)
//
//   a    [M, D]  vec4f  read
//   b    [M, D]  vec4f  read
//   out  [*]     f32    read_write
//
// dispatch  (ceil(M / WG), 1, 1): one row per invocation
// cost      bytes 8·M·D, flops 2·M·D: memory bound
// why       Of use three times: an output of attention with its gradient, a gradient with itself (its square, row by
//           row), and the gradient of a norm's weight, whose operands lie turned. M is thousands: a thread a row.

override WG: u32 = 64;  // threads per workgroup
override ADD: u32 = 0;  // 1: add to out

struct Params {
  rows: u32,   // M
  width: u32,  // D, a multiple of 4
  outAt: u32,
}

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn row_dots(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.rows) { return; }
  let fours = params.width / 4u;
  var sum = 0.0;
  for (var i = id.x * fours; i < (id.x + 1u) * fours; i++) { sum += dot(a[i], b[i]); }
  let at = params.outAt + id.x;
  if (ADD == 1u) { sum += out[at]; }
  out[at] = sum;
}

// pixel_shuffle — y[(v, u), (j, i), :] = x[(v·S + j, u·S + i), :]: each square of S × S patches becomes one row
//
//   x  [side, side, D]                  vec4f  read
//   y  [side / S, side / S, S, S, D]    vec4f  write
//
// dispatch  (ceil(D/4 / WG), side², 1): four values of one patch per invocation
// cost      bytes 8·side²·D: memory bound
// why       What a picture costs a language model are its rows: S² of them become one, S² times as wide, which a
//           projection then brings to the model's width.

override WG: u32 = 64;  // threads per workgroup
override S: u32 = 4;    // patches of a square, along each side
override D: u32 = 768;  // values of a patch, a multiple of 4

struct Params {
  side: u32,  // patches along each side of the picture, a multiple of S
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn pixel_shuffle(@builtin(global_invocation_id) id: vec3u) {
  let width = D / 4u;
  if (id.x >= width) { return; }
  let across = id.y % params.side;
  let down = id.y / params.side;
  let square = down / S * (params.side / S) + across / S;
  let within = down % S * S + across % S;
  y[(square * S * S + within) * width + id.x] = x[id.y * width + id.x];
}

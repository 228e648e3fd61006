// peak_copy — y[i] = x[i]
//
//   x  [N]  vec4u  read
//   y  [N]  vec4u  write
//
// dispatch  (ceil(N / (WG·STEPS)), 1, 1): each thread copies STEPS words, WG apart
// cost      bytes 32·N, flops 0: memory bound
// why       the bandwidth that a kernel can reach, not the one on the data sheet.

override WG: u32 = 64;    // threads per workgroup
override STEPS: u32 = 8;  // vec4 per thread

struct Params {
  count: u32,  // N
}

@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn peak_copy(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  for (var step = 0u; step < STEPS; step++) {
    let i = (wg.x * STEPS + step) * WG + local.x;
    if (i < params.count) { y[i] = x[i]; }
  }
}

// hadamard_partials — acc · Hadamard in place, of partial results over values in that basis
//
//   partials  [M, H, entries, E+2]  f32  write   in place
//
// dispatch  (H, splits, M): one workgroup per head, split of the page list and row
// cost      bytes 8·M·H·splits·E, flops M·H·splits·E·log₂ BLOCK: latency bound
// why       A sum of turned values is the turned sum, so turning it back once replaces turning every value.
// uses      lib/hadamard.wgsl

override WG: u32 = 64;     // threads per workgroup
override H: u32 = 9;       // query heads
override E: u32 = 64;      // head width
override BLOCK: u32 = 64;  // a power of two that divides E

struct Params {
  entries: u32,  // partials of a row and head
  entry: u32,    // the first one to turn
}

@group(0) @binding(0) var<storage, read_write> partials: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

var<workgroup> turned: array<f32, E>;

@compute @workgroup_size(WG)
fn hadamard_partials(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let at = ((wg.z * H + wg.x) * params.entries + params.entry + wg.y) * (E + 2u);
  for (var e = local; e < E; e += WG) { turned[e] = partials[at + e]; }
  workgroupBarrier();
  for (var apart = 1u; apart < BLOCK; apart *= 2u) {
    hadamard_stage(apart, E, local);
    workgroupBarrier();
  }
  for (var e = local; e < E; e += WG) { partials[at + e] = turned[e] * hadamard_scale(); }
}

// hadamard_query — turned_query[t, h, :] = query[t, h, :] · Hadamard, block by block: queries for keys in that basis
//
//   query         [T, H, E]  f32  read
//   turned_query  [T, H, E]  f32  write
//
// dispatch  (H, M, 1): one workgroup per head and row
// cost      bytes 8·M·H·E, flops M·H·E·log₂ BLOCK: latency bound
// why       Pages of one format may be turned and others not, so the queries stay as they are beside.
// uses      lib/hadamard.wgsl

override WG: u32 = 64;     // threads per workgroup
override H: u32 = 9;       // query heads
override E: u32 = 64;      // head width
override BLOCK: u32 = 64;  // a power of two that divides E

struct Params { firstRow: u32 }  // row of workgroup y = 0

@group(0) @binding(0) var<storage, read> query: array<f32>;
@group(0) @binding(1) var<storage, read_write> turned_query: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> turned: array<f32, E>;

@compute @workgroup_size(WG)
fn hadamard_query(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let at = ((params.firstRow + wg.y) * H + wg.x) * E;
  for (var e = local; e < E; e += WG) { turned[e] = query[at + e]; }
  workgroupBarrier();
  for (var apart = 1u; apart < BLOCK; apart *= 2u) {
    hadamard_stage(apart, E, local);
    workgroupBarrier();
  }
  for (var e = local; e < E; e += WG) { turned_query[at + e] = turned[e] * hadamard_scale(); }
}

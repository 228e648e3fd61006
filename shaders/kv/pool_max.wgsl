// pool_max — pooled[l, s] = the largest of scores[l, s − RADIUS … s + RADIUS], as far as there are such slots
//
//   scores  [*, stride]      f32  read
//   pooled  [lists, stride]  f32  write
//
// dispatch  (⌈slots / WG⌉, lists, 1): one thread per slot
// cost      bytes 4·lists·slots·(2·RADIUS + 2): latency bound, once per prompt
// why       Apart from top_slots, which reads each number six times.

override WG: u32 = 64;
override RADIUS: u32 = 3;

struct Params {
  first: u32,   // row of `scores` of list 0
  stride: u32,
  slots: u32,
}

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> pooled: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn pool_max(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let slot = wg.x * WG + local;
  if (slot >= params.slots) { return; }
  let start = (params.first + wg.y) * params.stride;
  var largest = scores[start + slot];
  for (var i = max(slot, RADIUS) - RADIUS; i < min(slot + RADIUS + 1u, params.slots); i++) {
    largest = max(largest, scores[start + i]);
  }
  pooled[wg.y * params.stride + slot] = largest;
}

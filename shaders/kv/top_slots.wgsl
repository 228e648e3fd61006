// top_slots — keep[l, :] = the slots of the `count` largest scores of list l, ascending; of equal scores the lower slots
//
//   scores  [*, stride]      f32  read   no NaN
//   keep    [*, keepStride]  u32  write
//
// uses      lib/radix.wgsl
// dispatch  (lists, 1, 1): one workgroup per list
// cost      bytes 4·lists·(6·slots + count): latency bound, once per prompt
// why       The count-th largest score is found byte by byte from the highest on: a histogram of the scores that
//           agree so far says which byte comes next. Then each thread counts what it keeps of its own stretch of
//           slots, and writes it after what the threads before it keep: so slots ascend, without a sort.

override WG: u32 = 256;  // threads per workgroup

struct Params {
  first: u32,       // row of `scores` of list 0
  stride: u32,
  slots: u32,       // of each list
  count: u32,       // at most as many
  column: u32,      // row of `keep` of list 0
  keepStride: u32,
}

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> keep: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> found: vec2u;              // bytes of the threshold so far; scores equal to it that are kept
var<workgroup> counts: array<vec2u, WG>;  // of each thread's stretch: scores above the threshold, and equal to it

@compute @workgroup_size(WG)
fn top_slots(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let start = (params.first + wg.x) * params.stride;
  var known = 0u;
  var left = params.count;
  for (var byte = 0u; byte < 4u; byte++) {
    let shift = 24u - 8u * byte;
    for (var bin = local; bin < BYTES; bin += WG) { atomicStore(&bins[bin], 0u); }
    workgroupBarrier();
    for (var slot = local; slot < params.slots; slot += WG) {
      let key = sort_key(bitcast<u32>(scores[start + slot]));
      if (byte == 0u || key >> ((shift + 8u) % 32u) == known) { atomicAdd(&bins[(key >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    if (local == 0u) {
      let next = next_byte(left);
      found = vec2u((known << 8u) | next.x, next.y);
    }
    workgroupBarrier();
    known = found.x;
    left = found.y;
  }

  let stretch = (params.slots + WG - 1u) / WG;
  let begin = min(local * stretch, params.slots);
  let end = min(begin + stretch, params.slots);
  var mine = vec2u();
  for (var slot = begin; slot < end; slot++) {
    let key = sort_key(bitcast<u32>(scores[start + slot]));
    mine += vec2u(u32(key > known), u32(key == known));
  }
  counts[local] = mine;
  workgroupBarrier();
  var before = vec2u();
  for (var i = 0u; i < local; i++) { before += counts[i]; }

  // `left` of the equal scores are kept, the first ones.
  var equal = before.y;
  var at = (params.column + wg.x) * params.keepStride + before.x + min(before.y, left);
  for (var slot = begin; slot < end; slot++) {
    let key = sort_key(bitcast<u32>(scores[start + slot]));
    if (key > known || (key == known && equal < left)) {
      keep[at] = slot;
      at++;
    }
    equal += u32(key == known);
  }
}

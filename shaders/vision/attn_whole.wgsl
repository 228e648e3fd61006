// attn_whole — softmax(q · Kᵀ · scale) · V of every row with every row: attention without a mask
//
//   qkv  [T, 3, H, E]  vec4f  read   queries, keys and values of a row side by side
//   out  [T, H, E]     vec4f  write
//
// dispatch  (ceil(T / WG), H, 1): one row of one head per invocation
// cost      bytes 4·(2·T·H·E + ceil(T / WG)·2·T·H·E), flops 4·T·T·H·E: compute bound
// why       A picture's patches are few (about a thousand) and see each other, so there is neither cache nor mask: a
//           thread keeps its query and its output in registers, and the workgroup brings 16 keys and values at a time.
//           16 of them are 16 KiB at E = 128, which every adapter has.

override WG: u32 = 64;  // threads per workgroup
override H: u32 = 12;   // heads
const E: u32 = 64;      // head width, a multiple of 4, at most 128

struct Params {
  rows: u32,   // T
  scale: f32,  // 1/√E
}

@group(0) @binding(0) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

const E4 = E / 4u;
const TILE = 16u;  // keys at a time
const UNSEEN = -3e38;

var<workgroup> keys: array<vec4f, TILE * E4>;
var<workgroup> values: array<vec4f, TILE * E4>;

// Keys and values of rows first…first + 15, as far as there are so many.
fn stage(first: u32, head: u32, local: u32) {
  for (var i = local; i < TILE * E4; i += WG) {
    let row = min(first + i / E4, params.rows - 1u);
    let at = (row * 3u + 1u) * H * E4 + head * E4 + i % E4;
    keys[i] = qkv[at];
    values[i] = qkv[at + H * E4];
  }
}

@compute @workgroup_size(WG)
fn attn_whole(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
  let head = id.y;
  let row = min(id.x, params.rows - 1u);
  var query: array<vec4f, E4>;
  var acc: array<vec4f, E4>;
  for (var e = 0u; e < E4; e++) {
    query[e] = qkv[row * 3u * H * E4 + head * E4 + e] * params.scale;
    acc[e] = vec4f();
  }
  var top = UNSEEN;
  var sum = 0.0;

  for (var first = 0u; first < params.rows; first += TILE) {
    stage(first, head, local);
    workgroupBarrier();
    let count = min(TILE, params.rows - first);
    var scores: array<f32, TILE>;
    var best = top;
    for (var k = 0u; k < count; k++) {
      var score = 0.0;
      for (var e = 0u; e < E4; e++) { score += dot(query[e], keys[k * E4 + e]); }
      scores[k] = score;
      best = max(best, score);
    }
    let keep = exp(top - best);
    top = best;
    sum *= keep;
    for (var e = 0u; e < E4; e++) { acc[e] *= keep; }
    for (var k = 0u; k < count; k++) {
      let weight = exp(scores[k] - top);
      sum += weight;
      for (var e = 0u; e < E4; e++) { acc[e] += weight * values[k * E4 + e]; }
    }
    workgroupBarrier();
  }

  if (id.x >= params.rows) { return; }
  for (var e = 0u; e < E4; e++) { out[(id.x * H + head) * E4 + e] = acc[e] / sum; }
}

// top_logits — the likeliest tokens of a row and their log-probabilities logit − logsumexp(logits of the row), best first
//
//   logits    [M, V]   f32       read
//   settings  [M]      Settings  read
//   slices    [M, N]   vec4f     read   from sample_slices: raw max and raw Σexp of each slice
//   tops      [M, 20]  vec2u     write  (token, f32 bits of the natural log-probability), the first `top` of a row
//
// dispatch  (M, 1, 1): one workgroup per row
// cost      bytes 4·M·V·top, flops 4·M·V·top: memory bound
// why       Each round looks for the best token after the one before it, in the order of logits and then of ids, so
//           nothing is sorted or marked. Only rows that ask take part: a row of top 0 costs no load. As in
//           sample_merge, probabilities are the model's own: raw logits, before penalties and temperature.
// uses      lib/settings.wgsl lib/finite.wgsl lib/merged.wgsl

override WG: u32 = 256;  // threads per workgroup, a power of two

struct Params {
  vocabulary: u32,  // V < 2²⁴: tokens travel as f32 numbers
  sliceCount: u32,  // N
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> settings: array<Settings>;
@group(0) @binding(2) var<storage, read> slices: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> tops: array<vec2u>;
@group(0) @binding(4) var<uniform> params: Params;

const MOST_TOPS = 20u;

var<workgroup> found: array<vec2f, WG>;

// Whether a (logit, token) comes before b: the larger logit, the lower id on ties.
fn ahead(a: vec2f, b: vec2f) -> bool {
  return a.x > b.x || (a.x == b.x && a.y < b.y);
}

@compute @workgroup_size(WG)
fn top_logits(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = wg.x;
  let lane = local.x;
  let count = min(min(settings[row].top, MOST_TOPS), params.vocabulary);
  if (count == 0u) { return; }

  var whole = vec4f(LOWEST, 0.0, LOWEST, 0.0);
  for (var i = 0u; i < params.sliceCount; i++) { whole = merged(whole, slices[row * params.sliceCount + i]); }
  let normaliser = whole.x + log(whole.y);

  var last = vec2f(3.4e38, -1.0);
  for (var round = 0u; round < count; round++) {
    var best = vec2f(-3.4e38, f32(params.vocabulary));
    for (var i = lane; i < params.vocabulary; i += WG) {
      let entry = vec2f(finite(logits[row * params.vocabulary + i]), f32(i));
      if (ahead(last, entry) && ahead(entry, best)) { best = entry; }
    }
    found[lane] = best;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
      if (lane < half) {
        let other = found[lane + half];
        if (ahead(other, found[lane])) { found[lane] = other; }
      }
      workgroupBarrier();
    }
    last = found[0];
    workgroupBarrier();
    if (lane == 0u) { tops[row * MOST_TOPS + round] = vec2u(u32(last.y), bitcast<u32>(last.x - normaliser)); }
  }
}

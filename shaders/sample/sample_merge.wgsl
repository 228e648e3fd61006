// sample_merge — the chosen token of each row and its log-probability logit − logsumexp(logits of the row)
//
//   logits    [M, V]       f32       read
//   settings  [M]          Settings  read
//   slices    [M, N]       vec4f     read   (raw max, raw Σexp, best score + noise, its token as a number)
//   picks     [M]          u32       read   tokens drawn by sample_filter, for the rows that have a filter
//   result    [M]          vec2u     write  (token, f32 bits of the natural log-probability): all that leaves the GPU
//   tokens    [sequences]  u32       write  what the next step embeds; not written for a forced token
//
// dispatch  (M, 1, 1): one workgroup per row
// cost      bytes 16·M·N, flops 8·M·N: latency bound
// why       The log-probability is the model's own: raw logits, before penalties and temperature.
// uses      lib/settings.wgsl lib/finite.wgsl lib/merged.wgsl lib/filtered.wgsl

override WG: u32 = 64;  // threads per workgroup, a power of two

struct Params {
  vocabulary: u32,  // V
  sliceCount: u32,  // N
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> settings: array<Settings>;
@group(0) @binding(2) var<storage, read> slices: array<vec4f>;
@group(0) @binding(3) var<storage, read> picks: array<u32>;
@group(0) @binding(4) var<storage, read_write> result: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> partial: array<vec4f, WG>;

@compute @workgroup_size(WG)
fn sample_merge(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = wg.x;
  let lane = local.x;
  var whole = vec4f(LOWEST, 0.0, -3.4e38, 0.0);
  for (var i = lane; i < params.sliceCount; i += WG) {
    whole = merged(whole, slices[row * params.sliceCount + i]);
  }
  partial[lane] = whole;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (lane < half) { partial[lane] = merged(partial[lane], partial[lane + half]); }
    workgroupBarrier();
  }
  if (lane > 0u) { return; }

  whole = partial[0];
  var token = u32(whole.w);
  if (is_filtered(row)) { token = picks[row]; }
  let forced = settings[row].forced;
  if (forced != NONE) { token = min(forced, params.vocabulary - 1u); }
  let logit = finite(logits[row * params.vocabulary + token]);
  result[row] = vec2u(token, bitcast<u32>(logit - whole.x - log(whole.y)));
  if (forced == NONE) { tokens[settings[row].sequence] = token; }
}

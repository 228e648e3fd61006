// sample_slices — per slice of a row: max and Σexp(logit − max) of the raw logits, best score and its token
//
//   logits    [M, V]           f32       read
//   scores    [M, V]           f32       read   logits after logit_adjust; bind logits where nothing was adjusted
//   settings  [M]              Settings  read
//   slices    [M, N]           vec4f     write  (raw max, raw Σexp, best score + noise, its token as a number)
//   peaks     [M, N·LANES]     f32       write  largest score of each thread's tokens: what sample_filter may skip
//
// dispatch  (N = ceil(V / (LANES·STEPS)), M, 1): one workgroup per slice of a row
// cost      bytes 4·M·V (8 with adjusted scores), flops 8·M·V: memory bound when greedy, 30·M·V with noise
// why       Gumbel's trick: the largest score + temperature·noise is a draw from softmax(score / temperature),
//           so greedy and sampling share one reduction and nothing is sorted or normalised. Adding
//           temperature·noise instead of dividing by the temperature cannot overflow.
//           A thread's tokens lie LANES apart: neighbours read neighbouring words here and in sample_filter.
// uses      lib/settings.wgsl lib/finite.wgsl lib/gumbel.wgsl lib/merged.wgsl

override LANES: u32 = 64;  // threads per workgroup, a power of two
override STEPS: u32 = 16;  // tokens per thread

struct Params {
  vocabulary: u32,  // V < 2²⁴: tokens travel as f32 numbers
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read> settings: array<Settings>;
@group(0) @binding(3) var<storage, read_write> slices: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> peaks: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> partial: array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn sample_slices(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = wg.y;
  let start = row * params.vocabulary;
  let first = wg.x * LANES * STEPS + local.x;
  let end = min((wg.x + 1u) * LANES * STEPS, params.vocabulary);
  let temperature = settings[row].temperature;
  let seed = settings[row].seed;
  let counter = settings[row].counter;

  var top = LOWEST;
  var peak = LOWEST;
  var best = vec2f(-3.4e38, f32(first));
  for (var i = first; i < end; i += LANES) {
    top = max(top, finite(logits[start + i]));
    var score = finite(scores[start + i]);
    peak = max(peak, score);
    // Of 0 or 1: CPU adapters run what a branch holds whether it is taken or not; only a loop skips.
    for (var draws = select(0u, 1u, temperature > 0.0); draws > 0u; draws--) { score += temperature * gumbel(seed, counter, i); }
    if (score > best.x) { best = vec2f(score, f32(i)); }
  }
  var sum = 0.0;
  for (var i = first; i < end; i += LANES) {
    sum += exp(finite(logits[start + i]) - top);
  }
  peaks[(row * grid.x + wg.x) * LANES + local.x] = peak;

  // Tree reduction over the workgroup.
  partial[local.x] = vec4f(top, sum, best);
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (local.x < half) { partial[local.x] = merged(partial[local.x], partial[local.x + half]); }
    workgroupBarrier();
  }
  if (local.x == 0u) { slices[row * grid.x + wg.x] = partial[0]; }
}

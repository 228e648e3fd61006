// sample_filter — picks[m] = a token drawn from row m after top-k, top-p and min-p, in that order
//
//   scores    [M, V]        f32       read   logits after logit_adjust; bind logits where nothing was adjusted
//   settings  [M]           Settings  read
//   peaks     [M, N·LANES]  f32       read   from sample_slices: largest score of each stripe
//   picks     [M]           u32       write  only rows with temperature > 0 and a filter
//
// dispatch  (M, 1, 1): one workgroup per row
// cost      bytes 4·M·(V / STEPS)·15 and the few stripes that matter (4·M·V·15 for a flat row), flops 12 per score
// why       Each filter keeps the scores at or above a threshold, so it suffices to find the threshold: the
//           largest score such that enough (tokens for top-k, probability for top-p) lies at or above it. Search
//           by fifths over ordered keys, at most 14 passes, no sort; equal scores are kept or dropped together.
//           The search runs first over the peaks, which bounds the answer from below; then only stripes whose
//           peak reaches that bound are read. Sums are taken in a fixed order: same input, same draw.
// uses      lib/settings.wgsl lib/finite.wgsl lib/gumbel.wgsl lib/filtered.wgsl

override WG: u32 = 256;    // threads per workgroup, a power of two
override LANES: u32 = 64;  // as in sample_slices
override STEPS: u32 = 16;  // as in sample_slices

struct Params {
  vocabulary: u32,  // V < 2²⁴: tokens travel as f32 numbers
}

// What a pass over a row found: how much lies at or above each of four thresholds,
// the smallest key >= low and the largest key < high.
struct Survey {
  reached: vec4f,
  ends: vec2u,
}

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> settings: array<Settings>;
@group(0) @binding(2) var<storage, read> peaks: array<f32>;
@group(0) @binding(3) var<storage, read_write> picks: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

// Stages of the search, in order. One loop runs them all: a survey compiles once.
const EXTREMES = 0u;  // the best score
const K_PEAKS = 1u;   // top-k: a bound from the peaks
const K_TOKENS = 2u;  // top-k: the k-th largest score
const MASS = 3u;      // what top-k left: the whole that top-p is a share of
const P_PEAKS = 4u;
const P_TOKENS = 5u;

var<workgroup> sums: array<vec4f, WG>;
var<workgroup> ends: array<vec2u, WG>;

// Keys compare as the scores do: -0 becomes 0, negative numbers are complemented.
fn key_of(score: f32) -> u32 {
  let bits = select(bitcast<u32>(score), 0u, bitcast<u32>(score) == 0x80000000u);
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn score_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key ^ 0x80000000u, key >= 0x80000000u));
}

fn stripe_count() -> u32 {
  let perSlice = LANES * STEPS;
  return (params.vocabulary + perSlice - 1u) / perSlice * LANES;
}

// A stripe is what one thread of sample_slices looked at: STEPS tokens, LANES apart, from this one on.
fn first_token(stripe: u32) -> u32 {
  return stripe / LANES * LANES * STEPS + stripe % LANES;
}

// peaksOnly: the peaks stand for their stripes. weighted: a score counts exp((score − best) / temperature) instead of 1.
fn survey(
  row: u32, lane: u32, peaksOnly: bool, weighted: bool, low: u32, high: u32, thresholds: vec4u, best: f32,
) -> Survey {
  let rate = 1.0 / max(settings[row].temperature, 1e-6);
  let stripes = stripe_count();
  let steps = select(STEPS, 1u, peaksOnly);
  var found = vec4f(0.0);
  var lowest = NONE;
  var highest = 0u;
  for (var stripe = lane; stripe < stripes; stripe += WG) {
    var score = peaks[row * stripes + stripe];
    if (key_of(score) < low) { continue; }
    let first = first_token(stripe);
    for (var i = 0u; i < steps; i++) {
      let token = first + i * LANES;
      if (token >= params.vocabulary) { break; }
      if (!peaksOnly) { score = finite(scores[row * params.vocabulary + token]); }
      let key = key_of(score);
      var weight = 1.0;
      if (weighted) { weight = exp((score - best) * rate); }
      found += select(vec4f(0.0), vec4f(weight), vec4u(key) >= thresholds);
      if (key >= low) { lowest = min(lowest, key); }
      if (key < high) { highest = max(highest, key); }
    }
  }

  sums[lane] = found;
  ends[lane] = vec2u(lowest, highest);
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      sums[lane] += sums[lane + half];
      let other = ends[lane + half];
      ends[lane] = vec2u(min(ends[lane].x, other.x), max(ends[lane].y, other.y));
    }
    workgroupBarrier();
  }
  let reached = workgroupUniformLoad(&sums[0]);
  let extremes = workgroupUniformLoad(&ends[0]);
  return Survey(reached, extremes);
}

fn draw(row: u32, lane: u32, low: u32) -> u32 {
  let stripes = stripe_count();
  let temperature = settings[row].temperature;
  var best = vec2f(-3.4e38, f32(params.vocabulary));
  for (var stripe = lane; stripe < stripes; stripe += WG) {
    if (key_of(peaks[row * stripes + stripe]) < low) { continue; }
    let first = first_token(stripe);
    for (var i = 0u; i < STEPS; i++) {
      let token = first + i * LANES;
      if (token >= params.vocabulary) { break; }
      let score = finite(scores[row * params.vocabulary + token]);
      if (key_of(score) < low) { continue; }
      let noisy = score + temperature * gumbel(settings[row].seed, settings[row].counter, token);
      // Ids rise within a thread, but stripes of one thread interleave: compare ids on ties.
      if (noisy > best.x || (noisy == best.x && f32(token) < best.y)) { best = vec2f(noisy, f32(token)); }
    }
  }
  sums[lane] = vec4f(best, 0.0, 0.0);
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      let mine = sums[lane];
      let other = sums[lane + half];
      if (other.x > mine.x || (other.x == mine.x && other.y < mine.y)) { sums[lane] = other; }
    }
    workgroupBarrier();
  }
  return u32(sums[0].y);
}

@compute @workgroup_size(WG)
fn sample_filter(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = wg.x;
  let lane = local.x;
  let topK = settings[row].topK;
  let topP = settings[row].topP;
  let minP = settings[row].minP;
  let temperature = settings[row].temperature;
  if (!is_filtered(row) || settings[row].forced != NONE) { return; }

  var low = 0u;
  var ceiling = NONE;
  var goal = f32(topK);
  var best = 0.0;
  for (var stage = EXTREMES; stage <= P_TOKENS; stage++) {
    if ((stage == K_PEAKS || stage == K_TOKENS) && (topK == 0u || topK >= params.vocabulary)) { continue; }
    if (stage >= MASS && topP >= 1.0) { continue; }
    let peaksOnly = stage == EXTREMES || stage == K_PEAKS || stage == P_PEAKS;
    var high = ceiling;
    // Round 0 asks what there is at or above low, the others split [low, high) in five. In the last stage
    // of a filter low is known to hold enough.
    for (var round = select(0u, 1u, stage == K_TOKENS || stage == P_TOKENS); round < 32u; round++) {
      if (low + 1u >= high) { break; }
      let fifth = select(max((high - low) / 5u, 1u), 0u, round == 0u);
      let thresholds = vec4u(low) + fifth * vec4u(1u, 2u, 3u, 4u);
      let found = survey(row, lane, peaksOnly, stage >= MASS, low, high, thresholds, best);
      if (stage == EXTREMES) {
        best = score_of(found.ends.y);
        ceiling = found.ends.y + 1u;
        break;
      }
      if (stage == MASS) {
        goal = topP * found.reached.x;
        break;
      }
      // The peaks are some of the scores: a bound they reach holds for the row, one they miss says nothing.
      if (round == 0u) {
        if (found.reached.x < goal) { break; }
        continue;
      }
      // Keys that no score has are cut off at both ends.
      low = max(low, found.ends.x);
      high = min(high, found.ends.y + 1u);
      for (var i = 0u; i < 4u; i++) {
        if (found.reached[i] >= goal) { low = max(low, thresholds[i]); } else { high = min(high, thresholds[i]); }
      }
    }
  }
  if (minP > 0.0) {
    low = max(low, min(key_of(best + temperature * log(minP)), ceiling - 1u));
  }
  let token = draw(row, lane, low);
  if (lane == 0u) { picks[row] = token; }
}

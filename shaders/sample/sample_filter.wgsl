// sample_filter — picks[m] = a token drawn from row m after top-k, top-p and min-p, in that order
//
//   scores    [M, V]        f32       read   logits after logit_adjust; bind logits where nothing was adjusted
//   settings  [M]           Settings  read
//   peaks     [M, N·LANES]  f32       read   from sample_slices: largest score of each stripe
//   picks     [M]           u32       write  only rows with temperature > 0 and a filter
//
// dispatch  (M, 1, 1): one workgroup per row
// cost      bytes 4·M·V for top-p, and a few times peaks and the stripes that matter; flops 12 per score
// why       Each filter keeps the scores at or above a threshold, so it suffices to find the threshold: the
//           largest score such that enough (tokens for top-k, probability for top-p) lies at or above it. Ordered
//           keys are found digit by digit, 8 bits at a time: four passes, two barriers each, no sort; equal scores
//           are kept or dropped together. For top-k two passes over the peaks come first, which bound the answer
//           from below; only stripes whose peak reaches what is known so far are read. Sums are exact integers of
//           64 bits, so the order of the threads does not count: same input, same draw.
// uses      lib/settings.wgsl lib/finite.wgsl lib/gumbel.wgsl lib/filtered.wgsl

override WG: u32 = 256;    // threads per workgroup, at least GROUPS
override LANES: u32 = 64;  // as in sample_slices
override STEPS: u32 = 16;  // as in sample_slices, a power of two

struct Params {
  vocabulary: u32,  // V < 2²⁴: tokens travel as f32 numbers
}

// Where a search for a threshold stands.
struct Search {
  prefix: u32,  // its leading digits; zeros follow
  above: f32,   // how much lies above the keys that begin with them
  goal: f32,    // how much has to lie at or above the threshold
}

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> settings: array<Settings>;
@group(0) @binding(2) var<storage, read> peaks: array<f32>;
@group(0) @binding(3) var<storage, read_write> picks: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

// Stages of the search, in order. One loop runs them all: a pass compiles once.
const K_PEAKS = 0u;   // top-k: a bound from the peaks
const K_TOKENS = 1u;  // top-k: the k-th largest score
const P_TOKENS = 2u;  // top-p, of what top-k left

const DIGITS = 256u;
const GROUPS = 16u;  // of 16 digits

// How much there is of each digit, in two banks that take turns: one is cleared while the other is read.
// [bank][lower, upper words][digit]
var<workgroup> bins: array<atomic<u32>, 1024>;
var<workgroup> groups: array<f32, GROUPS>;
var<workgroup> bestKey: atomic<u32>;
var<workgroup> noisiest: atomic<u32>;
var<workgroup> chosen: atomic<u32>;  // its complement, so that the least token is the largest number

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

// What bins count in: a stripe's weights, at most 1 each, fill half of a word, and whole numbers stay whole.
fn units_of(weight: f32) -> u32 {
  return u32(weight * f32(0x80000000u / STEPS) + 0.5);
}

fn add(bin: u32, weight: f32) {
  let units = units_of(weight);
  let before = atomicAdd(&bins[bin], units);
  if (before + units < before) { atomicAdd(&bins[bin + DIGITS], 1u); }
}

fn amount(bin: u32) -> f32 {
  let whole = f32(atomicLoad(&bins[bin + DIGITS])) * 0x1p32 + f32(atomicLoad(&bins[bin]));
  return whole / f32(0x80000000u / STEPS);
}

// Adds up, by their digit at `shift`, scores >= low whose key begins with `prefix`.
// peaksOnly: the peaks stand for their stripes. weighted: a score counts exp((score − best) / temperature) instead of 1.
fn tally(row: u32, lane: u32, bank: u32, peaksOnly: bool, weighted: bool, low: u32, prefix: u32, shift: u32) {
  let rate = 1.0 / max(settings[row].temperature, 1e-6);
  let best = score_of(atomicLoad(&bestKey));
  let stripes = stripe_count();
  let steps = select(STEPS, 1u, peaksOnly);
  for (var stripe = lane; stripe < stripes; stripe += WG) {
    var score = peaks[row * stripes + stripe];
    if (key_of(score) < max(low, prefix)) { continue; }
    let first = first_token(stripe);
    // Scores of a stripe often share their digit: its bin is asked for once for a run of them.
    var digit = 0u;
    var run = 0.0;
    for (var i = 0u; i < steps; i++) {
      let token = first + i * LANES;
      if (token >= params.vocabulary) { break; }
      if (!peaksOnly) { score = finite(scores[row * params.vocabulary + token]); }
      let key = key_of(score);
      let mine = (key ^ prefix) >> shift;
      if (key < low || mine >= DIGITS) { continue; }
      if (mine != digit) {
        if (run > 0.0) { add(bank + digit, run); }
        digit = mine;
        run = 0.0;
      }
      run += select(1.0, exp((score - best) * rate), weighted);
    }
    if (run > 0.0) { add(bank + digit, run); }
  }
}

// The next digit of a threshold: the largest at or above which enough lies. Every thread finds the same.
fn next_digit(search: Search, bank: u32, shift: u32) -> Search {
  var above = search.above;
  var group = GROUPS - 1u;
  for (; group > 0u; group--) {
    if (above + groups[group] >= search.goal) { break; }
    above += groups[group];
  }
  var digit = group * GROUPS + GROUPS - 1u;
  for (; digit > group * GROUPS; digit--) {
    let here = amount(bank + digit);
    if (above + here >= search.goal) { break; }
    above += here;
  }
  return Search(search.prefix | (digit << shift), above, search.goal);
}

fn total() -> f32 {
  var sum = 0.0;
  for (var group = 0u; group < GROUPS; group++) { sum += groups[group]; }
  return sum;
}

// Between two barriers: sums of 16 digits each, and zeros in the other bank.
fn gather(lane: u32, bank: u32) {
  if (lane < GROUPS) {
    var sum = 0.0;
    for (var i = GROUPS; i > 0u; i--) { sum += amount(bank + lane * GROUPS + i - 1u); }
    groups[lane] = sum;
  }
  let other = 2u * DIGITS - bank;
  for (var i = lane; i < 2u * DIGITS; i += WG) { atomicStore(&bins[other + i], 0u); }
}

fn find_best(row: u32, lane: u32) {
  var key = 0u;
  let stripes = stripe_count();
  for (var stripe = lane; stripe < stripes; stripe += WG) { key = max(key, key_of(peaks[row * stripes + stripe])); }
  atomicMax(&bestKey, key);
  workgroupBarrier();
}

fn draw(row: u32, lane: u32, low: u32) -> u32 {
  let stripes = stripe_count();
  let temperature = settings[row].temperature;
  var best = vec2u(0u, NONE);
  for (var stripe = lane; stripe < stripes; stripe += WG) {
    if (key_of(peaks[row * stripes + stripe]) < low) { continue; }
    let first = first_token(stripe);
    for (var i = 0u; i < STEPS; i++) {
      let token = first + i * LANES;
      if (token >= params.vocabulary) { break; }
      let score = finite(scores[row * params.vocabulary + token]);
      if (key_of(score) < low) { continue; }
      let key = key_of(score + temperature * gumbel(settings[row].seed, settings[row].counter, token));
      // Ids rise within a thread, but stripes of one thread interleave: compare ids on ties.
      if (key > best.x || (key == best.x && token < best.y)) { best = vec2u(key, token); }
    }
  }
  atomicMax(&noisiest, best.x);
  workgroupBarrier();
  if (best.x == atomicLoad(&noisiest)) { atomicMax(&chosen, ~best.y); }
  workgroupBarrier();
  return ~atomicLoad(&chosen);
}

@compute @workgroup_size(WG)
fn sample_filter(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = wg.x;
  let lane = local.x;
  let topK = settings[row].topK;
  let topP = settings[row].topP;
  let minP = settings[row].minP;
  if (!is_filtered(row) || settings[row].forced != NONE) { return; }

  find_best(row, lane);
  var low = 0u;
  var bank = 0u;
  for (var stage = K_PEAKS; stage <= P_TOKENS; stage++) {
    if (stage < P_TOKENS && (topK == 0u || topK >= params.vocabulary)) { continue; }
    if (stage == P_TOKENS && topP >= 1.0) { continue; }
    // The peaks are some of the scores: two digits of a bound are enough. Where they do not reach the goal, it is 0.
    let rounds = select(4u, 2u, stage == K_PEAKS);
    var search = Search(0u, 0.0, f32(topK));
    for (var round = 0u; round < rounds; round++) {
      let shift = 24u - 8u * round;
      tally(row, lane, bank, stage == K_PEAKS, stage == P_TOKENS, low, search.prefix, shift);
      workgroupBarrier();
      gather(lane, bank);
      workgroupBarrier();
      // Never 0, so that the best is kept.
      if (stage == P_TOKENS && round == 0u) { search.goal = max(topP * total(), 0x1p-20); }
      search = next_digit(search, bank, shift);
      bank = 2u * DIGITS - bank;
    }
    low = max(low, search.prefix);
  }
  if (minP > 0.0) {
    let best = atomicLoad(&bestKey);
    low = max(low, min(key_of(score_of(best) + settings[row].temperature * log(minP)), best));
  }
  let token = draw(row, lane, low);
  if (lane == 0u) { picks[row] = token; }
}

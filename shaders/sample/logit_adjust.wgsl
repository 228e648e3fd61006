// logit_adjust — scores[m, i] = logits[m, i] after penalties, plus logit bias; LOWEST where the mask forbids token i
//
//   logits    [M, V]           f32       read
//   counts    [sequences, V]   u32       read   bits 0..15: occurrences in the reply; bit 31: occurs in the prompt
//   bias      [sequences, 64]  vec2u     read   (token id, f32 bits of what is added); ids of a sequence are distinct
//   mask      [M, ⌈V / 32⌉]    u32       read   of rows that are masked: bit i of word w allows token 32·w + i
//   settings  [M]              Settings  read
//   scores    [M, V]           f32       write
//
// dispatch  (ceil(V / (WG·STEPS)), M, 1): one workgroup per slice of a row
// cost      bytes 12·M·V, flops 4·M·V: memory bound
// why       The log-probability reported for a token is the model's own, so the raw logits must survive:
//           penalties go into a second array. A row without any is copied. No bias lifts a forbidden token.
// uses      lib/settings.wgsl lib/penalised.wgsl lib/lowest.wgsl

override WG: u32 = 64;     // threads per workgroup; every thread also looks after bias entries
override STEPS: u32 = 16;  // tokens per thread

struct Params {
  vocabulary: u32,  // V
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> counts: array<u32>;
@group(0) @binding(2) var<storage, read> bias: array<vec2u>;
@group(0) @binding(3) var<storage, read> mask: array<u32>;
@group(0) @binding(4) var<storage, read> settings: array<Settings>;
@group(0) @binding(5) var<storage, read_write> scores: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const MOST_BIASES = 64u;

fn penalised(logit: f32, seen: u32, row: u32) -> f32 {
  if (seen == 0u) { return logit; }
  let penalty = settings[row].repetitionPenalty;
  let repeats = seen & 0xffffu;
  let scaled = select(logit / penalty, logit * penalty, logit < 0.0);
  if (repeats == 0u) { return scaled; }
  return scaled - settings[row].frequencyPenalty * f32(repeats) - settings[row].presencePenalty;
}

// mask may be a stand-in of one word where no row of the step is masked.
fn forbidden(row: u32, token: u32) -> bool {
  if (settings[row].masked == 0u) { return false; }
  let words = (params.vocabulary + 31u) / 32u;
  return ((mask[row * words + token / 32u] >> (token % 32u)) & 1u) == 0u;
}

@compute @workgroup_size(WG)
fn logit_adjust(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = wg.y;
  let vocabulary = params.vocabulary;
  let sequence = settings[row].sequence;
  let first = wg.x * WG * STEPS;
  let end = min(first + WG * STEPS, vocabulary);
  // counts may be a stand-in of one word where no row of the step has a penalty.
  let counted = is_penalised(row);
  for (var i = first + local.x; i < end; i += WG) {
    var seen = 0u;
    if (counted) { seen = counts[sequence * vocabulary + i]; }
    let score = penalised(logits[row * vocabulary + i], seen, row);
    scores[row * vocabulary + i] = select(score, LOWEST, forbidden(row, i));
  }

  // The biased tokens of this slice were written above, perhaps by another thread.
  storageBarrier();
  let biased = min(settings[row].biasCount, MOST_BIASES);
  for (var b = local.x; b < biased; b += WG) {
    let entry = bias[sequence * MOST_BIASES + b];
    if (entry.x >= first && entry.x < end) {
      if (forbidden(row, entry.x)) { continue; }
      scores[row * vocabulary + entry.x] += bitcast<f32>(entry.y);
    }
  }
}

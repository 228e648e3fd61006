// minicache_seal — pages of two neighbouring layers as one: a direction for both, a magnitude for each
//
//   moves        [*]  vec2u  read   first words of the first layer's page in `source` and of the joint one in `destination`
//   source       [*]  u32    read   the second layer's page lies APART words behind the first one's
//   destination  [*]  u32    write
//
// dispatch  (moves, 1, 1): one workgroup per joint page, a thread for each slot's K, and one for its V
// cost      bytes 8·KV_BITS·(2·64 + EXACT)·E/64, flops 64·E·14: latency bound, once per two pages
// why       Between the directions of the two lies one that both can do with: T of the angle away from the first layer's.
//           The EXACT slots whose directions differ most stay as they are, found by counting those that differ more. A joint
//           page is, with W = E·KV_BITS/32 words of a row and ROWS = 32 + EXACT,
//             K       [4][W][8] rows of the slots as in a written page, then [EXACT][W]
//             V       [ROWS][W]
//             scales  [2] of the first layer, of the second:
//                     KV_BITS 32: [2][32] magnitudes of K, of V; 16: [32] (K, V) as f16; 8, 4: [2][32] pairs (scale, minimum)
//             exact   [2] slots of K, of V that stay as they are, one bit for each
//           A row is a direction of mean square 1, so that f16 holds it and its magnitude well; the row of an exact slot
//           is the first layer's, and the second one's is among the last EXACT rows, in the order of their slots.
// uses      lib/source_number.wgsl lib/affine_pair.wgsl lib/pack_half.wgsl lib/scaled_pair.wgsl

override E: u32 = 64;        // head width, a multiple of 8
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4; 8 and 4 have a pair per slot
override APART: u32 = 0;     // words from a page of the first layer to the second's
override EXACT: u32 = 2;     // slots that stay as they are, 0 … 32
override T: f32 = 0.6;       // where between the two directions: 0 the first layer's, 1 the second's

struct Params { first: u32 }  // move of workgroup 0

@group(0) @binding(0) var<storage, read> moves: array<vec2u>;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> destination: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

override W: u32 = E * KV_BITS / 32u;  // words of a row
override VALUES: u32 = (32u + EXACT) * W;
override SCALES: u32 = 2u * VALUES;
override SCALE_WORDS: u32 = select(64u, 32u, KV_BITS == 16u);  // of a layer
const LEAST_ANGLE = 1e-3;  // below it the arc is a line, and both sines as good as 0

var<workgroup> cosines: array<f32, 64>;  // [K, V][32]
var<workgroup> stays: array<u32, 64>;    // 1: the slot is exact
var<workgroup> sizes: array<vec2f, 64>;  // magnitudes of the first layer and of the second

// The first word of a row in the joint page at `page`.
fn row_at(page: u32, row: u32, isValue: bool) -> u32 {
  return page + select(select(row / 8u * 8u * W + row % 8u, row * W, row >= 32u), VALUES + row * W, isValue);
}

// What the two directions, of this cosine, are multiplied with.
fn shares(cosine: f32) -> vec2f {
  let angle = acos(cosine);
  if (angle < LEAST_ANGLE) { return vec2f(1.0 - T, T); }
  return vec2f(sin((1.0 - T) * angle), sin(T * angle));
}

// A channel of both layers.
fn both(page: u32, slot: u32, e: u32, isValue: bool) -> vec2f {
  return vec2f(source_number(page, slot, e, isValue), source_number(page + APART, slot, e, isValue));
}

// A row as it is, and for units its pair as the layer's (0 or 1).
fn copy_row(page: u32, slot: u32, isValue: bool, to: u32, step: u32, pairTo: u32) {
  let at = slot_at(page, slot, isValue);
  for (var w = 0u; w < W; w++) { destination[to + w * step] = source[at + w * select(8u, 1u, isValue)]; }
  if (KV_BITS <= 8u) { destination[pairTo] = source[pair_at(page, slot, isValue)]; }
}

// The word of a row whose first channel is e: a mixture of both layers, each multiplied with its weight.
fn mixed_word(page: u32, slot: u32, e: u32, isValue: bool, weights: vec2f, affine: vec2f) -> u32 {
  let value = dot(both(page, slot, e, isValue), weights);
  if (KV_BITS == 32u) { return bitcast<u32>(value); }
  if (KV_BITS == 16u) { return pack_half(vec2f(value, dot(both(page, slot, e + 1u, isValue), weights))); }
  let unit = select(affine.x, 1.0, affine.x == 0.0);
  var word = 0u;
  for (var i = 0u; i < 32u / KV_BITS; i++) {
    let own = dot(both(page, slot, e + i, isValue), weights);
    word |= u32(clamp(round((own - affine.y) / unit), 0.0, top())) << (i * KV_BITS);
  }
  return word;
}

@compute @workgroup_size(64)
fn minicache_seal(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let pages = moves[params.first + wg.x];
  let isValue = local >= 32u;
  let slot = local % 32u;
  let half = local - slot;  // 0, or 32 for V

  var products = vec3f();  // a·a, a·b, b·b
  for (var e = 0u; e < E; e++) {
    let pair = both(pages.x, slot, e, isValue);
    products += pair.xxy * pair.xyy;
  }
  let norms = sqrt(products.xz);
  let isNone = norms == vec2f();
  var cosine = 1.0;
  if (!any(isNone)) { cosine = clamp(products.y / norms.x / norms.y, -1.0, 1.0); }
  cosines[local] = cosine;
  workgroupBarrier();

  var more = 0u;  // slots that differ more
  for (var i = 0u; i < 32u; i++) {
    let other = cosines[half + i];
    more += u32(other < cosine || (other == cosine && i < slot));
  }
  let isExact = more < EXACT;
  stays[local] = u32(isExact);
  workgroupBarrier();
  var exact = 0u;
  for (var i = 0u; i < 32u; i++) { exact |= stays[half + i] << i; }
  if (slot == 0u) { destination[pages.y + SCALES + 2u * SCALE_WORDS + half / 32u] = exact; }

  let to = row_at(pages.y, slot, isValue);
  let step = select(8u, 1u, isValue);  // between words of a row
  let scaleAt = pages.y + SCALES + local;
  if (isExact) {
    let row = 32u + countOneBits(exact & ((1u << slot) - 1u));
    copy_row(pages.x, slot, isValue, to, step, scaleAt);
    copy_row(pages.x + APART, slot, isValue, row_at(pages.y, row, isValue), 1u, scaleAt + SCALE_WORDS);
    sizes[local] = vec2f(1.0);
  } else {
    var weights = select(shares(cosine) / norms, vec2f(), isNone);
    var square = 0.0;
    var least = 3e38;
    var most = -3e38;
    for (var e = 0u; e < E; e++) {
      let value = dot(both(pages.x, slot, e, isValue), weights);
      square += value * value;
      least = min(least, value);
      most = max(most, value);
    }
    let stretch = select(sqrt(f32(E) / square), 0.0, square == 0.0);
    weights *= stretch;
    sizes[local] = norms / sqrt(f32(E));
    var pair = 0u;
    if (KV_BITS <= 8u) {
      pair = affine_pair(least * stretch, most * stretch);
      destination[scaleAt] = scaled_pair(pair, sizes[local].x);
      destination[scaleAt + SCALE_WORDS] = scaled_pair(pair, sizes[local].y);
    }
    let affine = opened(pair);
    for (var w = 0u; w < W; w++) {
      destination[to + w * step] = mixed_word(pages.x, slot, w * (32u / KV_BITS), isValue, weights, affine);
    }
  }
  workgroupBarrier();

  if (KV_BITS == 32u) {
    destination[scaleAt] = bitcast<u32>(sizes[local].x);
    destination[scaleAt + SCALE_WORDS] = bitcast<u32>(sizes[local].y);
  }
  // The threads of K write the first layer's, those of V the second's.
  if (KV_BITS == 16u) {
    let layer = half / 32u;
    destination[scaleAt] = pack_half(vec2f(sizes[slot][layer], sizes[32u + slot][layer]));
  }
}

// lib/window_scores.wgsl — scores of a few queries and eight neighbouring slots of a page
// needs     q: array<vec4f>, kv: array<vec4u>, params.scale, E, KV_BITS, QUERIES
// uses      lib/page.wgsl lib/four_keys.wgsl
//
// Keys of eight slots lie together word by word, so one vec4u is the same word of four slots. On a CPU adapter loads cost
// most: eight queries with eight slots take 12 for 256 products.

// Channel 4·e4 + c of four neighbouring slots, as stored: floats, or units. `at`: the slots' word 0, in vec4u.
fn stored_keys(at: u32, e4: u32, c: u32) -> vec4f {
  if (KV_BITS == 32u) { return bitcast<vec4f>(kv[at + 8u * e4 + 2u * c]); }
  if (KV_BITS == 16u) { return half_floats(kv[at + 4u * e4 + 2u * (c / 2u)] >> vec4u(16u * (c % 2u))); }
  let words = kv[at + 2u * (e4 * KV_BITS / 8u)];
  let low = e4 * 4u * KV_BITS % 32u + c * KV_BITS;
  return vec4f((words >> vec4u(low)) & vec4u((1u << (KV_BITS % 32u)) - 1u));
}

// (scales, minima) of four neighbouring slots, whose pairs are at `at`, in vec4u.
fn four_openings(at: u32) -> array<vec4f, 2> {
  if (KV_BITS > 8u) { return array(vec4f(1.0), vec4f()); }
  let pairs = kv[at];
  return array(bitcast<vec4f>(pairs << vec4u(16u)), bitcast<vec4f>(pairs & vec4u(0xffff0000u)));
}

// Scores of QUERIES queries, each from q[query[j]] on, and slots 8·octet … 8·octet + 7 of a page: two vec4f a query.
fn window_scores(page: u32, octet: u32, query: array<u32, QUERIES>) -> array<vec4f, 2u * QUERIES> {
  let at = slot_at(page, 8u * octet, false) / 4u;
  let low = four_openings(pair_at(page, 8u * octet, false) / 4u);
  let high = four_openings(pair_at(page, 8u * octet, false) / 4u + 1u);
  var scores: array<vec4f, 2u * QUERIES>;
  for (var e4 = 0u; e4 < E / 4u; e4++) {
    var a: array<vec4f, 4>;
    var b: array<vec4f, 4>;
    for (var c = 0u; c < 4u; c++) { a[c] = stored_keys(at, e4, c); b[c] = stored_keys(at + 1u, e4, c); }  // unrolled
    if (KV_BITS <= 8u) {
      for (var c = 0u; c < 4u; c++) { a[c] = low[1] + low[0] * a[c]; b[c] = high[1] + high[0] * b[c]; }  // unrolled
    }
    for (var j = 0u; j < QUERIES; j++) { let x = q[query[j] + e4]; scores[2u * j] = plus(scores[2u * j], x, a[0], a[1], a[2], a[3]); scores[2u * j + 1u] = plus(scores[2u * j + 1u], x, b[0], b[1], b[2], b[3]); }  // unrolled
  }
  for (var j = 0u; j < 2u * QUERIES; j++) { scores[j] *= params.scale; }  // unrolled
  return scores;
}

// Which of four slots are seen, by the lowest bits.
fn four_seen(bits: u32) -> vec4<bool> { return (vec4u(bits) & vec4u(1u, 2u, 4u, 8u)) != vec4u(); }

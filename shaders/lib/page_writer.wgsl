// lib/page_writer.wgsl — a finished head into its slot of a page, by the LANES threads of the head
// needs     kv: array<u32>, fn head_value(i: u32) -> f32 (in workgroup memory), E, KV_BITS, LANES
// uses      lib/page.wgsl lib/affine_pair.wgsl lib/opened.wgsl lib/pack_half.wgsl

// The pair of the head that begins at head_value(base).
fn head_pair(base: u32) -> u32 {
  var least = head_value(base);
  var most = least;
  for (var e = 1u; e < E; e++) {
    let value = head_value(base + e);
    least = min(least, value);
    most = max(most, value);
  }
  return affine_pair(least, most);
}

// The word whose first value is head_value(first); `affine` is the opened pair.
fn page_word(first: u32, affine: vec2f) -> u32 {
  if (KV_BITS == 32u) { return bitcast<u32>(head_value(first)); }
  if (KV_BITS == 16u) { return pack_half(vec2f(head_value(first), head_value(first + 1u))); }
  let step = select(affine.x, 1.0, affine.x == 0.0);
  var word = 0u;
  for (var i = 0u; i < 32u / KV_BITS; i++) {
    let unit = clamp(round((head_value(first + i) - affine.y) / step), 0.0, top());
    word |= u32(unit) << (i * KV_BITS);
  }
  return word;
}

// Writes the first `count` words of the head: all, or none.
fn write_page(base: u32, page: u32, slot: u32, isValue: bool, count: u32, lane: u32) {
  let first = slot_at(page, slot, isValue);
  let apart = select(8u, 1u, isValue);
  var pair = 0u;
  if (KV_BITS <= 8u) { pair = head_pair(base); }
  let affine = opened(pair);
  var w = lane;
  for (var left = (count + LANES - 1u - lane) / LANES; left > 0u; left--) {
    kv[first + w * apart] = page_word(base + w * (32u / KV_BITS), affine);
    w += LANES;
  }
  let pairAt = pair_at(page, slot, isValue);
  if (KV_BITS <= 8u && lane == 0u && count > 0u) { kv[pairAt] = pair; }
}

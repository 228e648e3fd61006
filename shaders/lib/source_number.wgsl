// lib/source_number.wgsl — a number of a written page, dequantised
// needs     source: array<u32>, E, KV_BITS
// uses      lib/page.wgsl lib/units.wgsl lib/opened.wgsl

// Channel e of a slot's K or V in the page that begins at word `page`.
fn source_number(page: u32, slot: u32, e: u32, isValue: bool) -> f32 {
  let word = source[slot_at(page, slot, isValue) + e * KV_BITS / 32u * select(8u, 1u, isValue)];
  if (KV_BITS == 32u) { return bitcast<f32>(word); }
  if (KV_BITS == 16u) { return unpack2x16float(word)[e % 2u]; }
  let opening = opened(source[pair_at(page, slot, isValue)]);
  return opening.y + opening.x * units(word, e * KV_BITS % 32u).x;
}

// lib/element.wgsl — one value out of a packed word
// needs     BITS

// Value `i` of a word; for BITS 8 and 4 its unsigned integer.
fn element(word: u32, i: u32) -> f32 {
  if (BITS == 32u) { return bitcast<f32>(word); }
  if (BITS == 16u) { return unpack2x16float(word >> (16u * i)).x; }
  return f32((word >> (BITS * i)) & ((1u << (BITS & 15u)) - 1u));
}

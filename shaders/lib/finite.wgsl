// lib/finite.wgsl — logits without NaN and infinities
// uses      lib/lowest.wgsl

// NaN by its bits: compilers may assume that floats are numbers.
fn finite(value: f32) -> f32 {
  if ((bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u) { return LOWEST; }
  return clamp(value, LOWEST, 3e38);
}

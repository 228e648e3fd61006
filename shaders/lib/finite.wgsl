// lib/finite.wgsl — logits without NaN and infinities

const LOWEST = -3e38;  // stands for NaN and -inf: finite, and exp(LOWEST - max) = 0

// NaN by its bits: compilers may assume that floats are numbers.
fn finite(value: f32) -> f32 {
  if ((bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u) { return LOWEST; }
  return clamp(value, LOWEST, 3e38);
}

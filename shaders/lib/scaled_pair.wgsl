// lib/scaled_pair.wgsl — the pair of units that are all multiplied by a number
// uses      lib/opened.wgsl

// Scale and minimum times `by`, each to the nearest upper half of an f32.
fn scaled_pair(pair: u32, by: f32) -> u32 {
  let bits = bitcast<vec2u>(opened(pair) * by);
  let nearest = bits + 0x7fffu + ((bits >> vec2u(16u)) & vec2u(1u));
  return (nearest.x >> 16u) | (nearest.y & 0xffff0000u);
}

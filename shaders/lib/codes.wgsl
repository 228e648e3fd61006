// lib/codes.wgsl — numbers as codes of few bits with a scale and a minimum, both f16
// uses      lib/pack_half.wgsl

// The pair (scale, minimum) for codes of `bits` bits of numbers from `least` to `most`.
fn code_pair(least: f32, most: f32, bits: u32) -> u32 {
  return pack_half(vec2f((most - least) / f32((1u << bits) - 1u), least));
}

fn code(number: f32, pair: u32, bits: u32) -> f32 {
  let opening = unpack2x16float(pair);
  let scale = select(opening.x, 1.0, opening.x == 0.0);
  return clamp(round((number - opening.y) / scale), 0.0, f32((1u << bits) - 1u));
}

// lib/opened.wgsl — dequantises the units of a slot: value = minimum + scale·unit

// (scale, minimum) of a pair, which holds the upper halves of two f32.
fn opened(pair: u32) -> vec2f { return bitcast<vec2f>(vec2u(pair << 16u, pair & 0xffff0000u)); }

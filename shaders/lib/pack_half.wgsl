// lib/pack_half.wgsl — f16 as the GPU stores it

// The pair as f16, to nearest, ties to even, at most ±65504: pack2x16float alone may round and overflow as it likes.
fn pack_half(pair: vec2f) -> u32 {
  let value = clamp(pair, vec2f(-65504.0), vec2f(65504.0));
  let bits = bitcast<vec2u>(value);
  let normal = bitcast<vec2f>((bits + 0xfffu + ((bits >> vec2u(13u)) & vec2u(1u))) & vec2u(0xffffe000u));
  let small = round(value * 16777216.0) / 16777216.0;  // below 2⁻¹⁴ f16 counts in steps of 2⁻²⁴
  return pack2x16float(select(normal, small, abs(value) < vec2f(6.103515625e-5)));
}

// lib/four_weights.wgsl — weights out of packed words
// needs     BITS

// Integers or floats j … j+3 of the values in four words, not yet scaled.
fn quad(four: vec4u, j: u32) -> vec4f {
  if (BITS == 32u) { return bitcast<vec4f>(four); }
  if (BITS == 16u) {
    let words = select(four.xy, four.zw, j == 4u);
    return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
  }
  if (BITS == 8u) {
    let word = four[j / 4u];
    return vec4f(vec4i(vec4u(word, word >> 8u, word >> 16u, word >> 24u) & vec4u(255u)));
  }
  let word = four[j / 8u] >> (j % 8u * 4u);
  return vec4f(vec4i(vec4u(word, word >> 4u, word >> 8u, word >> 12u) & vec4u(15u)));
}

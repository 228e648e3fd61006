// lib/four_keys.wgsl — keys of four neighbouring slots or chunks at once, channel by channel

const HALF_BIAS = 0x77800000u;  // bits of 2¹¹², by which an f16's exponent is short of an f32's

// The f16 in the lower half of each word. Cheaper than unpack2x16float where that is software, products cheaper than shifts;
// reads four slots at once. Subnormals may become 0: as f32 they are subnormal too before the last product.
fn half_floats(words: vec4u) -> vec4f {
  let bits = ((words & vec4u(0x7fffu)) * 8192u) | ((words & vec4u(0x8000u)) * 65536u);
  return bitcast<vec4f>(bits) * bitcast<f32>(HALF_BIAS);
}

// x · keys. Spelled out by component: SwiftShader spills every vec4 between two operators.
fn plus(sum: vec4f, x: vec4f, key0: vec4f, key1: vec4f, key2: vec4f, key3: vec4f) -> vec4f {
  return vec4f(
    sum.x + x.x * key0.x + x.y * key1.x + x.z * key2.x + x.w * key3.x,
    sum.y + x.x * key0.y + x.y * key1.y + x.z * key2.y + x.w * key3.y,
    sum.z + x.x * key0.z + x.y * key1.z + x.z * key2.z + x.w * key3.z,
    sum.w + x.x * key0.w + x.y * key1.w + x.z * key2.w + x.w * key3.w,
  );
}

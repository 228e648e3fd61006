// lib/affine_pair.wgsl — how numbers become units: unit = (value − minimum) / scale
// needs     KV_BITS

// Largest unit.
fn top() -> f32 { return select(15.0, 255.0, KV_BITS == 8u); }

// The pair (scale, minimum) of KV_BITS 8 and 4 for values from `least` to `most`: the upper halves of two f32, rounded so that
// the units reach over all of them.
fn affine_pair(least: f32, most: f32) -> u32 {
  let minimum = (bitcast<u32>(least) + select(0u, 0xffffu, least < 0.0)) & 0xffff0000u;
  let scale = (most - bitcast<f32>(minimum)) / top();
  return minimum | ((bitcast<u32>(scale) + 0xffffu) >> 16u);
}

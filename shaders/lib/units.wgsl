// lib/units.wgsl — units out of a word
// needs     KV_BITS

// Four neighbouring units, from bit `low` on.
fn units(word: u32, low: u32) -> vec4f {
  let shifts = low + KV_BITS * vec4u(0u, 1u, 2u, 3u);
  return vec4f((vec4u(word) >> shifts) & vec4u((1u << (KV_BITS % 32u)) - 1u));
}

// lib/stored_key.wgsl — keys as a page stores them
// needs     kv: array<u32>, E, KV_BITS
// uses      lib/page.wgsl lib/units.wgsl

// Keys 4·e4 .. 4·e4+3 of a slot: floats, or units.
fn stored_key(page: u32, e4: u32, slot: u32) -> vec4f {
  let at = slot_at(page, slot, false);
  if (KV_BITS <= 8u) { return units(kv[at + e4 * KV_BITS / 8u * 8u], e4 * 4u * KV_BITS % 32u); }
  if (KV_BITS == 16u) { return vec4f(unpack2x16float(kv[at + e4 * 16u]), unpack2x16float(kv[at + e4 * 16u + 8u])); }
  let from4 = at + e4 * 32u;
  return bitcast<vec4f>(vec4u(kv[from4], kv[from4 + 8u], kv[from4 + 16u], kv[from4 + 24u]));
}

// lib/page_key.wgsl — keys of a page in a written format
// needs     kv: array<u32>, E, KV_BITS
// uses      lib/stored_key.wgsl lib/opened.wgsl

// Channels 4·e4 … 4·e4 + 3 of a slot's key.
fn page_key(page: u32, e4: u32, slot: u32) -> vec4f {
  let stored = stored_key(page, e4, slot);
  if (KV_BITS > 8u) { return stored; }
  let opening = opened(kv[pair_at(page, slot, false)]);
  return opening.y + opening.x * stored;
}

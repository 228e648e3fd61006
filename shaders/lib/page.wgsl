// lib/page.wgsl — addresses of the words of the page that begins at word `page` of its arena
// needs     E, KV_BITS
// uses      lib/page_slot.wgsl

// The (scale, minimum) of a slot's K or V; only pages of 8 and 4 bits have one.
fn pair_at(page: u32, slot: u32, isValue: bool) -> u32 {
  return page + 2u * E * KV_BITS + select(0u, 32u, isValue) + slot;
}

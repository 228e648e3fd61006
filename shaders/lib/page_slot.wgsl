// lib/page_slot.wgsl — address of the words of a slot in the page that begins at word `page` of its arena
// needs     E, KV_BITS

// Word 0 of a slot's K or V. Its other words are 8 apart for K, of which eight slots lie together, and 1 apart for V.
fn slot_at(page: u32, slot: u32, isValue: bool) -> u32 {
  return page + select(slot / 8u * (E * KV_BITS / 4u) + slot % 8u, E * KV_BITS + slot * (E * KV_BITS / 32u), isValue);
}

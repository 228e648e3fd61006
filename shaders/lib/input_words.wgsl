// lib/input_words.wgsl — how what enters the layer at the boundary lies in a block
// needs     D, BITS

// Words of a slot.
fn input_words() -> u32 { return select(D, D / 2u + 1u, BITS == 16u); }

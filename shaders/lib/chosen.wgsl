// lib/chosen.wgsl — channels that stay of a list's keys
// needs     choices, KEYS

// Channel i of those of the list, four to a word.
fn chosen(list: u32, i: u32) -> u32 { return (choices[list * (KEYS / 4u) + i / 4u] >> (i % 4u * 8u)) & 255u; }

// lib/list.wgsl — entries of a page list
// needs     table, params.columns

// Entry i of a list whose head is (kept, liveFrom, …): `kept` private pages, then live pages from `liveFrom` on.
fn listed_entry(list: u32, head: vec4u, i: u32) -> vec4u {
  return table[list + (1u + select(i + head.y - head.x, i, i < head.x)) * params.columns];
}

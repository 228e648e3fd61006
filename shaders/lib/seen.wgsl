// lib/seen.wgsl — which slots of a page a query may read
// needs     params.arena, params.window

// Bit s is set if the query at `position` sees slot s of the page.
fn seen(entry: vec4u, position: u32) -> u32 {
  if (entry.w > position || entry.z != params.arena) { return 0u; }
  let newest = position - entry.w;
  let bits = select(entry.y, entry.y & ((2u << (newest % 32u)) - 1u), newest < 31u);
  if (params.window == 0u || newest < params.window) { return bits; }
  let gone = newest - params.window + 1u;
  return select(0u, bits & (0xffffffffu << (gone % 32u)), gone < 32u);
}

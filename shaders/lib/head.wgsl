// lib/head.wgsl — head m of the stacked matrix: its kind, its owner, its list
// needs     rows, params.queries, params.ownerHeads, params.column, params.columns, params.listLength, params.tableAt
//
// First `queries` query heads, then for each owner, a layer whose cache they are, ownerHeads key heads and as many value heads.

const QUERY = 0u;
const KEY = 1u;
const VALUE = 2u;

struct Head {
  kind: u32,    // QUERY, KEY or VALUE
  owner: u32,
  column: u32,  // its list
}

fn head_of(m: u32) -> Head {
  let isQuery = m < params.queries;
  let i = select(m - params.queries, 0u, isQuery);
  let owner = i / (2u * params.ownerHeads);
  let r = i % (2u * params.ownerHeads);
  let kind = select(select(KEY, VALUE, r >= params.ownerHeads), QUERY, isQuery);
  return Head(kind, owner, params.column + owner * params.ownerHeads + r % params.ownerHeads);
}

// Table entry (word offset, mask, arena, base) of the page that takes a row's key or value.
fn entry_of(row: vec4u, column: u32) -> vec4u {
  return rows[params.tableAt + (row.z * params.listLength + 1u + row.y / 32u) * params.columns + column];
}

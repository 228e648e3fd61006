// lib/target.wgsl — where a tensor's values go in a matrix
// needs     params.headRows, params.headColumns, params.turned, params.interleaved, params.columnMode, params.columnOffset,
//           params.stride

// Channel of a target's head for row `e` of a head in the file. Kernels turn the pairs (i, headColumns/2 + i): rows below
// `turned` are such pairs (i, turned/2 + i), the others fill up both halves; what is left of each is padding.
fn channel_of(e: u32) -> u32 {
  let pairs = params.turned / 2u;
  let rest = params.headRows - params.turned;
  let isTurned = e < params.turned;
  let inPart = select(e - params.turned, e, isTurned);
  let part = select(rest / 2u, pairs, isTurned);
  let isUpper = inPart >= part;
  return select(0u, params.headColumns / 2u, isUpper) + select(pairs, 0u, isTurned) + inPart - select(0u, part, isUpper);
}

// Target column of a tensor row. llama GGUF files keep row j·E/2 + i of a head (j < 2) at 2i + j.
fn column_of(row: u32) -> u32 {
  var n = row;
  if (params.headRows > 0u) {
    let inHead = row % params.headRows;
    let ordered = select(inHead, inHead % 2u * (params.headRows / 2u) + inHead / 2u, params.interleaved == 1u);
    n = row / params.headRows * params.headColumns + channel_of(ordered);
  }
  let interleaved = (n / 4u) * 8u + (n % 4u) + (params.columnMode - 1u) * 4u;
  return params.columnOffset + select(n, interleaved, params.columnMode > 0u);
}

// Where word `row` of a column lies.
fn place(row: u32, column: u32) -> u32 { return (row / 4u * params.stride + column) * 4u + row % 4u; }

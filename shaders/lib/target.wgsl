// lib/target.wgsl — where a tensor's values go in a matrix
// needs     params.headRows, params.columnMode, params.columnOffset, params.stride

// Target column of a tensor row. llama GGUF files keep row j·E/2 + i of a head (j < 2) at 2i + j.
fn column_of(row: u32) -> u32 {
  let head = max(params.headRows, 1u);
  let inHead = row % head;
  let n = row - inHead + (inHead % 2u) * (head / 2u) + inHead / 2u;
  let interleaved = (n / 4u) * 8u + (n % 4u) + (params.columnMode - 1u) * 4u;
  return params.columnOffset + select(n, interleaved, params.columnMode > 0u);
}

// Where word `row` of a column lies.
fn place(row: u32, column: u32) -> u32 { return (row / 4u * params.stride + column) * 4u + row % 4u; }

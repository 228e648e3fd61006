// lib/quad_multiply.wgsl — a product whose left operand goes round a quad of lanes
// needs     params.rows, params.depth
// uses      lib/quads.wgsl

// Where a lane begins in a row of the left operand. Rows past T repeat the last one: they are not stored.
fn begin(row: u32, lane: u32) -> u32 {
  return min(row, params.rows - 1u) * params.depth + lane;
}

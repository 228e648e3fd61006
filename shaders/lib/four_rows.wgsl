// lib/four_rows.wgsl — a left operand whose rows lie one after another
// needs     params.rows, params.depth
// uses      lib/four_inputs.wgsl

// Where a row begins. Rows past T repeat the last one: they are not stored.
fn begin(row: u32) -> u32 {
  return min(row, params.rows - 1u) * params.depth;
}

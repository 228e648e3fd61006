// lib/four_rows.wgsl — a column of the left operand for a tile turned to [k][rows / 4]
// needs     fn input(at: u32) -> f32, params.rows, params.depth

// Input k of four rows from `row`. Rows past T repeat the last one: they are not stored.
fn load_a(row: u32, k: u32) -> vec4f {
  if (k >= params.depth) { return vec4f(); }
  let last = params.rows - 1u;
  let depth = params.depth;
  return vec4f(
    input(min(row, last) * depth + k),
    input(min(row + 1u, last) * depth + k),
    input(min(row + 2u, last) * depth + k),
    input(min(row + 3u, last) * depth + k),
  );
}

// lib/four_inputs.wgsl — a column of the left operand for a tile turned to [k][rows / 4]
// needs     fn input(at: u32) -> f32, fn begin(row: u32) -> u32, params.depth

// Input k of four rows from `row`.
fn load_a(row: u32, k: u32) -> vec4f {
  if (k >= params.depth) { return vec4f(); }
  return vec4f(
    input(begin(row) + k),
    input(begin(row + 1u) + k),
    input(begin(row + 2u) + k),
    input(begin(row + 3u) + k),
  );
}

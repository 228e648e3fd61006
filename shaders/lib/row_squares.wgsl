// lib/row_squares.wgsl — RMSNorm of the rows of a packed tile: x is weighed as it comes, the row's factor leaves the sum
// needs     NORM, params.eps, fn gamma_at(k4: u32) -> vec4f
// uses      lib/packed_tile.wgsl

override SQUARES: u32 = NORM * (X_COUNT - 1u) + 1u;
var<workgroup> rowSquares: array<f32, SQUARES>;  // [row, STEPS]

fn weighed(raw: vec4f, k4: u32) -> vec4f {
  if (NORM == 0u) { return raw; }
  return raw * gamma_at(min(k4, params.depth / 4u - 1u));
}

// Before factor_of, with a barrier between them.
fn share_squares(squares: array<f32, X_LOADS>, thread: u32) {
  for (var i = 0u; i < X_LOADS; i++) {
    if (NORM == 1u && thread + i * THREADS < X_COUNT) { rowSquares[thread + i * THREADS] = squares[i]; }
  }
}

// Factor of a row of the tile.
fn factor_of(row: u32) -> f32 {
  if (NORM == 0u) { return 1.0; }
  var sum = 0.0;
  for (var i = 0u; i < STEPS; i++) { sum += rowSquares[row * STEPS + i]; }
  return inverseSqrt(sum / f32(params.depth) + params.eps);
}

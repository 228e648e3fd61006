// lib/tile_output.wgsl — which columns a tile of y has, and its sums on their way there
// needs     y, bias, params.columns, EPILOGUE, BIAS, WX
// uses      lib/gate.wgsl

var<private> firstColumn: u32;  // of the tile

// Column of a place: of two runs of WX places one has gates and the other their ups, which are 4 columns apart.
fn column_at(place: u32) -> u32 {
  let i = place % WX;
  let column = firstColumn + place / (2u * WX) * (2u * WX) + i / 4u * 8u + place / WX % 2u * 4u + i % 4u;
  return min(column, params.columns - 1u);
}

fn with_bias(sum: f32, n: u32) -> f32 {
  if (BIAS == 1u) { return sum + bias[min(n, params.columns - 1u)]; }
  return sum;
}

fn store(at: u32, n: u32, value: f32) {
  if (n >= params.columns) { return; }
  if (EPILOGUE == 1u) { y[at + n] += value; } else { y[at + n] = value; }
}

// Sums of columns n and n + 4, into the row of y that begins at `at`.
fn put_two(at: u32, n: u32, first: f32, second: f32) {
  let even = with_bias(first, n);
  let odd = with_bias(second, n + 4u);
  if (EPILOGUE < 2u) {
    store(at, n, even);
    store(at, n + 4u, odd);
  } else if (n < params.columns) {
    y[at + n / 8u * 4u + n % 4u] = gated(even) * odd;
  }
}

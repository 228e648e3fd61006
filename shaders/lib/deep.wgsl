// lib/deep.wgsl — Σₖ W[n, k]·x[m, k] of a few columns by SLICES threads along K, the squares of x beside it
// needs     x: array<vec4f>, words, scales, params.rows, params.depth, params.stride, BITS, GROUP, NORM, ROWS, COLS, HALF,
//           SLICES (a multiple of 8; 4·(COLS + 1)·ROWS·SLICES ≤ 16384), fn gain_at(quad: u32) -> vec4f (the norm's weight)
//
// A thread's loads do not depend on each other: scales first, then COLS times 16 bytes, then x, which all columns share. Words
// are masked, and converted byte by byte: 4-bit numbers come as even and odd ones, and x in that order. Loops count to
// constants or down to 0, so that the compiler adds no guard against endless ones.

const QUADS = 32u / BITS;                       // vec4s of values in four words
const UNIT = min(4u * QUADS, GROUP);            // values of them that share a scale
const PARTS = 4u * QUADS / UNIT;
const PART_QUADS = QUADS / PARTS;
const SUMS = ROWS * COLS;
const EIGHTH = SLICES / 8u;
const ROUNDS = (SUMS + ROWS + 7u) / 8u;

var<workgroup> sums: array<f32, (SUMS + ROWS) * SLICES>;  // [row · column, then row's Σx²][slice]; then [ ][EIGHTH]

// Columns of the matrix: HALF neighbours from `first` on, then as many from `second` on.
struct Columns {
  first: u32,
  second: u32,
}

fn column_of(columns: Columns, c: u32) -> u32 { return select(columns.second + c - HALF, columns.first + c, c < HALF); }

// Quad j of the values in four words, not yet scaled; 4 bits: of a word's values the even ones (j even), then the odd ones.
fn weights(four: vec4u, j: u32) -> vec4f {
  if (BITS == 32u) { return bitcast<vec4f>(four); }
  if (BITS == 16u) {
    let pair = select(four.xy, four.zw, j == 1u);
    return vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
  }
  if (BITS == 8u) { return vec4f(unpack4xU8(four[j])); }
  return vec4f(unpack4xU8((four[j / 2u] >> (4u * (j % 2u))) & 0x0f0f0f0fu));
}

// The inputs of a word of 4-bit numbers in the order of `weights`.
fn even_ones(a: vec4f, b: vec4f) -> vec4f { return vec4f(a.xz, b.xz); }
fn odd_ones(a: vec4f, b: vec4f) -> vec4f { return vec4f(a.yw, b.yw); }

// Four inputs of row m from k on; f16 words may reach beyond K.
fn input(m: u32, k: u32) -> vec4f {
  let values = x[(min(m, params.rows - 1u) * params.depth + min(k, params.depth - 4u)) / 4u];
  return select(vec4f(), values, k < params.depth);
}

// (scale, minimum) of column n for inputs k ….
fn affine_of(k: u32, n: u32) -> vec2f {
  if (BITS > 8u) { return vec2f(1.0, 0.0); }
  return unpack2x16float(scales[k / GROUP * params.stride + n]);
}

// This thread's share of every sum, over inputs 0 … depth−1. `gain` = of the norm's weight, in quads.
fn accumulate(columns: Columns, depth: u32, gain: u32, slice: u32) {
  var sum: array<f32, SUMS>;
  var squares: array<f32, ROWS>;
  let fours = (depth + 4u * QUADS - 1u) / (4u * QUADS);
  for (var left = (fours + SLICES - 1u - slice) / SLICES; left > 0u; left--) {
    let four = slice + (left - 1u) * SLICES;
    let k = 4u * QUADS * four;
    var affine: array<vec2f, PARTS * COLS>;
    for (var p = 0u; p < PARTS; p++) { for (var c = 0u; c < COLS; c++) { affine[p * COLS + c] = affine_of(k + p * UNIT, column_of(columns, c)); } }  // unrolled
    var packed: array<vec4u, COLS>;
    for (var c = 0u; c < COLS; c++) { packed[c] = words[four * params.stride + column_of(columns, c)]; }  // unrolled
    for (var m = 0u; m < ROWS; m++) {
      var values: array<vec4f, QUADS>;
      for (var j = 0u; j < QUADS; j++) { values[j] = input(m, k + 4u * j); }  // unrolled
      if (NORM == 1u) {
        for (var j = 0u; j < QUADS; j++) { squares[m] += dot(values[j], values[j]); values[j] *= gain_at(gain + k / 4u + j); }  // unrolled
      }
      var ones = array<f32, PARTS>();  // Σx
      for (var j = 0u; j < QUADS; j++) { ones[j / PART_QUADS] += dot(values[j], vec4f(1.0)); }  // unrolled
      if (BITS == 4u) {
        for (var i = 0u; i < QUADS / 2u; i++) { let odd = odd_ones(values[2u * i], values[2u * i + 1u]); values[2u * i] = even_ones(values[2u * i], values[2u * i + 1u]); values[2u * i + 1u] = odd; }  // unrolled
      }
      var dots = array<f32, PARTS * COLS>();
      for (var j = 0u; j < QUADS; j++) { for (var c = 0u; c < COLS; c++) { dots[j / PART_QUADS * COLS + c] += dot(values[j], weights(packed[c], j)); } }  // unrolled
      for (var p = 0u; p < PARTS; p++) { for (var c = 0u; c < COLS; c++) { sum[m * COLS + c] += dot(affine[p * COLS + c], vec2f(dots[p * COLS + c], ones[p])); } }  // unrolled
    }
  }
  for (var i = 0u; i < SUMS; i++) { sums[i * SLICES + slice] = sum[i]; }
  if (NORM == 1u) {
    for (var m = 0u; m < ROWS; m++) { sums[(SUMS + m) * SLICES + slice] = squares[m]; }
  }
}

// Eight slices of a sum, then what is left of it.
fn eight(at: u32) -> f32 {
  var total = 0.0;
  for (var i = 0u; i < 8u; i++) { total += sums[at + i]; }
  return total;
}

fn whole(i: u32) -> f32 {
  var total = 0.0;
  for (var part = 0u; part < EIGHTH; part++) { total += sums[i * SLICES + part]; }
  return total;
}

// SLICES numbers of each sum to EIGHTH, for `whole`: a thread has part slice mod EIGHTH of the sums slice / EIGHTH, + 8, …
fn gather(slice: u32) {
  workgroupBarrier();
  var eighths: array<f32, ROUNDS>;
  for (var round = 0u; round < ROUNDS; round++) {
    let i = min(round * 8u + slice / EIGHTH, SUMS + ROWS - 1u);
    eighths[round] = eight(i * SLICES + slice % EIGHTH * 8u);
  }
  workgroupBarrier();
  for (var round = 0u; round < ROUNDS; round++) {
    let i = round * 8u + slice / EIGHTH;
    if (i < SUMS + ROWS) { sums[i * SLICES + slice % EIGHTH] = eighths[round]; }
  }
  workgroupBarrier();
}

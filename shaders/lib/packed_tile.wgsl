// lib/packed_tile.wgsl — Σₖ x[row, k]·W[column, k] of a tile, weights dequantised on their way into workgroup memory
// needs     x: array<vec4f>, words, scales, params.rows, params.depth, params.stride, BITS, GROUP, TM, TN, WX, WY, BK,
//           fn column_at(place: u32) -> u32, NORM, fn weighed(raw: vec4f, k4: u32) -> vec4f
// uses      lib/four_weights.wgsl
//
// Invocation (lane, line) has rows line + WY·i and places lane + WX·j of the tile. A place is where a column lies in `right`:
// column_at says which column, so that what an invocation has in the end is what its epilogue wants. Both operands lie as
// vec4 along k: so x comes from memory as it is, and each four words of a column, one load, go to as many places as they have
// fours. What is loaded for the next tile waits in registers, packed, while this one is multiplied.

const THREADS = WX * WY;
const ROWS = WY * TM;
const COLUMNS = WX * TN;
const STEPS = BK / 4u;                                // vec4 of a tile along k
const FOUR = 128u / BITS;                             // values in four words
const PART = min(FOUR, BK);                           // of which a tile takes so many
const X_COUNT = STEPS * ROWS;
const W_COUNT = COLUMNS * (BK / PART);
const X_LOADS = (X_COUNT + THREADS - 1u) / THREADS;   // per invocation, at most
const W_LOADS = (W_COUNT + THREADS - 1u) / THREADS;
const SWIZZLE = min(WY, 8u) - 1u;                     // against bank conflicts: WY is a power of two

alias Staged = vec4f;

var<workgroup> left: array<vec4f, STEPS * ROWS>;       // x: [k / 4, row ^ (k / 4 & SWIZZLE)]
var<workgroup> right: array<Staged, STEPS * COLUMNS>;  // W: [k / 4, place]; with HALF f16 (src/gpu/specialise.ts)

struct Product {
  sums: array<array<f32, TN>, TM>,  // [row line + WY·i, place lane + WX·j]
  squares: array<f32, X_LOADS>,     // NORM: Σx² of what this invocation brings; its i-th load is always of one row
}

// Four inputs of a row, 0 past the depth. Rows past T repeat the last one: they are not stored.
fn inputs_of(row: u32, k4: u32) -> vec4f {
  if (4u * k4 >= params.depth) { return vec4f(); }
  return x[min(row, params.rows - 1u) * (params.depth / 4u) + k4];
}

fn words_of(column: u32, k: u32) -> vec4u {
  if (k >= params.depth) { return vec4u(); }
  return words[k / FOUR * params.stride + column];
}

// (scale, minimum)
fn affine_of(column: u32, k: u32) -> vec2f {
  if (BITS > 8u) { return vec2f(1.0, 0.0); }
  return unpack2x16float(scales[min(k, params.depth - 1u) / GROUP * params.stride + column]);
}

// One round per tile of inputs, and one more: a tile is loaded in the round before it is multiplied.
fn round_count() -> u32 { return (params.depth + BK - 1u) / BK + 1u; }

// The tile whose first row is firstRow.
fn multiply(firstRow: u32, thread: u32) -> Product {
  let lane = thread % WX;
  let line = thread / WX;
  var product: Product;
  var nextX: array<vec4f, X_LOADS>;
  var nextWords: array<vec4u, W_LOADS>;
  var nextAffine: array<vec2f, W_LOADS>;
  let rounds = round_count();
  for (var more = rounds; more > 0u; more--) {
    let round = rounds - more;
    // The tile to multiply in the next round; past the end these are zeros nobody reads.
    for (var i = 0u; i < X_LOADS; i++) {
      let at = thread + i * THREADS;
      let k4 = round * STEPS + at % STEPS;
      if (at < X_COUNT) {
        let raw = inputs_of(firstRow + at / STEPS, k4);
        if (NORM == 1u) { product.squares[i] += dot(raw, raw); }
        nextX[i] = weighed(raw, k4);
      }
    }
    for (var i = 0u; i < W_LOADS; i++) {
      let at = thread + i * THREADS;
      if (at < W_COUNT) {
        let column = column_at(at % COLUMNS);
        nextWords[i] = words_of(column, round * BK + at / COLUMNS * PART);
        nextAffine[i] = affine_of(column, round * BK + at / COLUMNS * PART);
      }
    }

    if (round > 0u) {
      for (var step = 0u; step < STEPS; step++) {
        var b: array<vec4f, TN>;
        for (var j = 0u; j < TN; j++) { b[j] = vec4f(right[step * COLUMNS + j * WX + lane]); }
        for (var i = 0u; i < TM; i++) {
          let a = left[step * ROWS + i * WY + (line ^ (step & SWIZZLE))];
          for (var j = 0u; j < TN; j++) {
            product.sums[i][j] = fma(a.w, b[j].w, fma(a.z, b[j].z, fma(a.y, b[j].y, fma(a.x, b[j].x, product.sums[i][j]))));
          }
        }
      }
    }
    workgroupBarrier();

    for (var i = 0u; i < X_LOADS; i++) {
      let at = thread + i * THREADS;
      let step = at % STEPS;
      if (at < X_COUNT) { left[step * ROWS + ((at / STEPS) ^ (step & SWIZZLE))] = nextX[i]; }
    }
    for (var i = 0u; i < W_LOADS; i++) {
      let at = thread + i * THREADS;
      let first = (round * BK + at / COLUMNS * PART) % FOUR;
      let to = at / COLUMNS * (PART / 4u) * COLUMNS + at % COLUMNS;
      for (var j = 0u; j < PART / 4u; j++) {
        let weights = nextAffine[i].x * quad(nextWords[i], first + 4u * j) + nextAffine[i].y;
        if (at < W_COUNT) { right[to + j * COLUMNS] = Staged(weights); }
      }
    }
    workgroupBarrier();
  }
  return product;
}

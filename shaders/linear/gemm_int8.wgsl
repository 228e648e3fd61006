// gemm_int8 — y[first + t, n] = epilogue(Σₖ W[n, k]·x[t, k] + bias[n]) with x in int8: integer products by dot4I8Packed
//
//   x       [T, K/16]         vec4u read  int8, as quantise_rows packs them
//   pairs   [T, K/GROUP]      vec2f read  of a block of x (step, step · Σ of its units)
//   words   [K/·/4, stride]   vec4u read  four word rows side by side
//   scales  [K/GROUP, stride] u32  read   f16 pairs (scale, minimum)
//   bias    [N]               f32  read   unused for BIAS 0
//   y       [*, N or N/2]     f32  read_write
//
// dispatch  (⌈T / (WY·TM)⌉, ⌈N / (WX·TN)⌉, 1): one tile of y per workgroup
// cost      flops 2·T·N·K, bytes ⌈T / (WY·TM)⌉·N·K·(BITS/8 + 4/GROUP) + T·K·(1 + 8/GROUP)·N/(WX·TN) + 4·T·N: compute bound
// why       Four multiply-adds are one instruction where the GPU has it. The units u of a weight scale·u + minimum are the bytes
//           of the packed words as they are (8 bits: u − 128, and the minimum is 128·scale more), so opening eight weights of
//           4 bits costs two masks and a shift. A block of both operands has one scale each: its i32 sum, exact, is scaled once.
//           Both tiles lie as vec4u along k; what is loaded for the next one waits in registers while this one is multiplied.
// uses      lib/tile_output.wgsl

override EPILOGUE: u32 = 0;  // 0 store, 1 add to y, 2 silu(gate)·up of interleaved columns, 3 gelu(gate)·up
override BIAS: u32 = 0;      // 1: add bias
const BITS: u32 = 4;         // 4 or 8
const GROUP: u32 = 32;       // values that share a scale, 16 or 32
const TM: u32 = 4;           // rows per invocation
const TN: u32 = 4;           // columns per invocation, even
const WX: u32 = 16;          // invocations along columns, a multiple of 4
const WY: u32 = 16;          // invocations along rows
const BK: u32 = 64;          // inputs per tile, a multiple of 32

const THREADS = WX * WY;
const ROWS = WY * TM;
const COLUMNS = WX * TN;
const STEPS = BK / 16u;                               // vec4u of a tile along k
const BLOCKS = BK / GROUP;                            // blocks of a tile along k
const FOURS = GROUP / 16u;                            // vec4u of a block
const OPENED = 128u / BITS;                           // weights in four words
const X_COUNT = STEPS * ROWS;
const W_COUNT = BK / OPENED * COLUMNS;
const X_PAIRS = BLOCKS * ROWS;
const W_PAIRS = BLOCKS * COLUMNS;
const X_LOADS = (X_COUNT + THREADS - 1u) / THREADS;   // per invocation, at most
const W_LOADS = (W_COUNT + THREADS - 1u) / THREADS;
const X_PAIR_LOADS = (X_PAIRS + THREADS - 1u) / THREADS;
const W_PAIR_LOADS = (W_PAIRS + THREADS - 1u) / THREADS;

struct Params {
  rows: u32,     // T
  first: u32,    // row of y that row 0 of x is
  depth: u32,    // K
  columns: u32,  // N
  stride: u32,   // columns of `words` and `scales`
  yStride: u32,  // floats per row of y
}

@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read> pairs: array<vec2f>;
@group(0) @binding(2) var<storage, read> words: array<vec4u>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> left: array<vec4u, STEPS * ROWS>;       // x: [k / 16, row]
var<workgroup> right: array<vec4u, STEPS * COLUMNS>;   // W: [k / 16, place]
var<workgroup> leftPairs: array<vec2f, X_PAIRS>;       // [block, row] (step, step · Σ)
var<workgroup> rightPairs: array<vec2f, W_PAIRS>;      // [block, place] (scale, minimum)

struct Product {
  sums: array<array<f32, TN>, TM>,  // [row line + WY·i, place lane + WX·j]
}

// Sixteen units of a row, 0 past the depth. Rows past T repeat the last one: they are not stored.
fn units_of(row: u32, k: u32) -> vec4u {
  if (k >= params.depth) { return vec4u(); }
  return x[min(row, params.rows - 1u) * (params.depth / 16u) + k / 16u];
}

fn pair_of(row: u32, k: u32) -> vec2f {
  if (k >= params.depth) { return vec2f(); }
  return pairs[min(row, params.rows - 1u) * (params.depth / GROUP) + k / GROUP];
}

fn words_of(column: u32, k: u32) -> vec4u {
  if (k >= params.depth) { return vec4u(); }
  return words[k / OPENED * params.stride + column];
}

// (scale, minimum), as they belong to the bytes that the tile has.
fn affine_of(column: u32, k: u32) -> vec2f {
  let affine = unpack2x16float(scales[min(k, params.depth - 1u) / GROUP * params.stride + column]);
  if (BITS == 4u) { return affine; }
  return vec2f(affine.x, fma(128.0, affine.x, affine.y));
}

// Four words of a column into the tile, from vec4u `step` along k on.
fn open_words(four: vec4u, step: u32, place: u32) {
  let at = step * COLUMNS + place;
  if (BITS == 8u) {
    right[at] = four ^ vec4u(0x80808080u);
  } else {
    let even = four & vec4u(0x0f0f0f0fu);
    let odd = (four >> vec4u(4u)) & vec4u(0x0f0f0f0fu);
    right[at] = vec4u(even.x, odd.x, even.y, odd.y);
    right[at + COLUMNS] = vec4u(even.z, odd.z, even.w, odd.w);
  }
}

fn dot_16(a: vec4u, b: vec4u) -> i32 {
  return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

// One round per tile of inputs, and one more: a tile is loaded in the round before it is multiplied.
fn round_count() -> u32 { return (params.depth + BK - 1u) / BK + 1u; }

// The tile whose first row is firstRow.
fn multiply(firstRow: u32, thread: u32) -> Product {
  let lane = thread % WX;
  let line = thread / WX;
  var product: Product;
  var nextX: array<vec4u, X_LOADS>;
  var nextWords: array<vec4u, W_LOADS>;
  var nextPairs: array<vec2f, X_PAIR_LOADS>;
  var nextAffine: array<vec2f, W_PAIR_LOADS>;
  let rounds = round_count();
  for (var more = rounds; more > 0u; more--) {
    let k = (rounds - more) * BK;  // of the tile to multiply in the next round; past the end these are zeros
    for (var i = 0u; i < X_LOADS; i++) {
      let at = thread + i * THREADS;
      if (at < X_COUNT) { nextX[i] = units_of(firstRow + at / STEPS, k + at % STEPS * 16u); }
    }
    for (var i = 0u; i < W_LOADS; i++) {
      let at = thread + i * THREADS;
      if (at < W_COUNT) { nextWords[i] = words_of(column_at(at % COLUMNS), k + at / COLUMNS * OPENED); }
    }
    for (var i = 0u; i < X_PAIR_LOADS; i++) {
      let at = thread + i * THREADS;
      if (at < X_PAIRS) { nextPairs[i] = pair_of(firstRow + at % ROWS, k + at / ROWS * GROUP); }
    }
    for (var i = 0u; i < W_PAIR_LOADS; i++) {
      let at = thread + i * THREADS;
      if (at < W_PAIRS) { nextAffine[i] = affine_of(column_at(at % COLUMNS), k + at / COLUMNS * GROUP); }
    }

    if (more < rounds) {
      for (var part = 0u; part < BLOCKS; part++) {
        var b = array<vec4u, TN * FOURS>();
        var affine = array<vec2f, TN>();
        for (var j = 0u; j < TN; j++) {
          affine[j] = rightPairs[part * COLUMNS + j * WX + lane];
          for (var s = 0u; s < FOURS; s++) { b[j * FOURS + s] = right[(part * FOURS + s) * COLUMNS + j * WX + lane]; }
        }
        for (var i = 0u; i < TM; i++) {
          let row = i * WY + line;
          let pair = leftPairs[part * ROWS + row];
          var a = array<vec4u, FOURS>();
          for (var s = 0u; s < FOURS; s++) { a[s] = left[(part * FOURS + s) * ROWS + row]; }
          for (var j = 0u; j < TN; j++) {
            var sum = 0i;
            for (var s = 0u; s < FOURS; s++) { sum += dot_16(a[s], b[j * FOURS + s]); }
            product.sums[i][j] = fma(f32(sum) * pair.x, affine[j].x, fma(pair.y, affine[j].y, product.sums[i][j]));
          }
        }
      }
    }
    workgroupBarrier();

    for (var i = 0u; i < X_LOADS; i++) {
      let at = thread + i * THREADS;
      if (at < X_COUNT) { left[at % STEPS * ROWS + at / STEPS] = nextX[i]; }
    }
    for (var i = 0u; i < W_LOADS; i++) {
      let at = thread + i * THREADS;
      if (at < W_COUNT) { open_words(nextWords[i], at / COLUMNS * (OPENED / 16u), at % COLUMNS); }
    }
    for (var i = 0u; i < X_PAIR_LOADS; i++) {
      if (thread + i * THREADS < X_PAIRS) { leftPairs[thread + i * THREADS] = nextPairs[i]; }
    }
    for (var i = 0u; i < W_PAIR_LOADS; i++) {
      if (thread + i * THREADS < W_PAIRS) { rightPairs[thread + i * THREADS] = nextAffine[i]; }
    }
    workgroupBarrier();
  }
  return product;
}

@compute @workgroup_size(THREADS)
fn gemm_int8(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let firstRow = wg.x * ROWS;
  firstColumn = wg.y * COLUMNS;
  let product = multiply(firstRow, thread);

  let lane = thread % WX;
  for (var i = 0u; i < TM; i++) {
    let row = firstRow + thread / WX + i * WY;
    if (row >= params.rows) { continue; }
    for (var j = 0u; j < TN / 2u; j++) {
      let n = firstColumn + 2u * j * WX + lane / 4u * 8u + lane % 4u;  // of the even run; the odd one's is 4 further
      put_two((params.first + row) * params.yStride, n, product.sums[i][2u * j], product.sums[i][2u * j + 1u]);
    }
  }
}

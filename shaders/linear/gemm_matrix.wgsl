// gemm_matrix — y[first + t, n] = epilogue(factors[t]·Σₖ W[n, k]·x[t, k] + bias[n]) with x in f16: products of subgroup matrices
//
//   x        [T, K/4]          vec2u read  f16, as half_rows writes them
//   factors  [T]               f32   read
//   words    [K/·/4, stride]   vec4u read  four word rows side by side
//   scales   [K/GROUP, stride] u32   read  f16 pairs (scale, minimum); unused for BITS 16
//   bias     [N]               f32   read  unused for BIAS 0
//   y        [*, N or N/2]     f32   read_write
//
// dispatch  (⌈T / ROWS⌉, ⌈N / COLUMNS⌉, 1): one tile of y per workgroup
// cost      flops 2·T·N·K, bytes ⌈T / ROWS⌉·N·K·(BITS/8 + 4/GROUP) + 2·T·K·N/COLUMNS + 4·T·N: compute bound
// why       A subgroup multiplies small matrices by instructions of their own where the GPU has them, in f16 at several times the
//           rate of f32, with sums in f32. Both operands lie along k in workgroup memory, so that rows of x and columns of W are
//           lines of a matrix; 16 bytes between lines keep them apart in its banks. What is loaded for the next tile waits in
//           registers while this one is multiplied. Which lane holds what of a matrix is not known, so sums pass through
//           workgroup memory on their way to the epilogue.
// uses      lib/four_weights.wgsl lib/tile_output.wgsl

enable subgroups;
enable chromium_experimental_subgroup_matrix;

override GROUP: u32 = 32;    // values that share a scale, 16 or 32
override EPILOGUE: u32 = 0;  // 0 store, 1 add to y, 2 silu(gate)·up of interleaved columns, 3 gelu(gate)·up
override BIAS: u32 = 0;      // 1: add bias
const BITS: u32 = 4;         // 4, 8 or 16
const HALF: u32 = 0;         // 1: matrices of f16 (shader-f16), else of f32
const LANES: u32 = 32;       // of a subgroup, exactly
const M: u32 = 8;            // rows of a matrix of x
const N: u32 = 8;            // columns of a matrix of W
const D: u32 = 8;            // inputs of both, a multiple of 4
const SX: u32 = 2;           // subgroups along columns
const SY: u32 = 2;           // subgroups along rows
const TM: u32 = 4;           // matrices of a subgroup along rows
const TN: u32 = 4;           // matrices of a subgroup along columns; SX·TN·N is a multiple of 8
const BK: u32 = 32;          // inputs per tile, a multiple of D

const THREADS = SX * SY * LANES;
const ROWS = SY * TM * M;
const COLUMNS = SX * TN * N;
const WX = COLUMNS / 2u;                              // places of a run: of columns, or of gates and then of their ups
const STEPS = BK / 4u;                                // vec4 of a tile along k
const LINE = STEPS + 1u + HALF;                       // and 16 bytes
const FOUR = 128u / BITS;                             // values in four words
const PART = min(FOUR, BK);                           // of which a tile takes so many
const X_COUNT = STEPS * ROWS;
const W_COUNT = COLUMNS * (BK / PART);
const X_LOADS = (X_COUNT + THREADS - 1u) / THREADS;   // per invocation, at most
const W_LOADS = (W_COUNT + THREADS - 1u) / THREADS;

struct Params {
  rows: u32,     // T
  first: u32,    // row of y that row 0 of x is
  depth: u32,    // K
  columns: u32,  // N
  stride: u32,   // columns of `words` and `scales`
  yStride: u32,  // floats per row of y
}

@group(0) @binding(0) var<storage, read> x: array<vec2u>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
@group(0) @binding(2) var<storage, read> words: array<vec4u>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

// With HALF f16 (src/gpu/specialise.ts).
alias Staged = vec4f;
alias Part = f32;
alias Left = subgroup_matrix_left<Part, D, M>;
alias Right = subgroup_matrix_right<Part, N, D>;
alias Sums = subgroup_matrix_result<f32, N, M>;

var<workgroup> left: array<Staged, ROWS * LINE>;      // x: [row, k / 4]
var<workgroup> right: array<Staged, COLUMNS * LINE>;  // W: [place, k / 4]
var<workgroup> totals: array<f32, ROWS * COLUMNS>;    // [row, place]

// Four inputs of a row, 0 past the depth. Rows past T repeat the last one: they are not stored.
fn halves_of(row: u32, k4: u32) -> vec2u {
  if (4u * k4 >= params.depth) { return vec2u(); }
  return x[min(row, params.rows - 1u) * (params.depth / 4u) + k4];
}

fn packed_of(column: u32, k: u32) -> vec4u {
  if (k >= params.depth) { return vec4u(); }
  return words[k / FOUR * params.stride + column];
}

// (scale, minimum)
fn scale_of(column: u32, k: u32) -> vec2f {
  if (BITS == 16u) { return vec2f(1.0, 0.0); }
  return unpack2x16float(scales[min(k, params.depth - 1u) / GROUP * params.stride + column]);
}

// One round per tile of inputs, and one more: a tile is loaded in the round before it is multiplied.
fn round_count() -> u32 { return (params.depth + BK - 1u) / BK + 1u; }

// The sums of the tile whose first row is firstRow, into `totals`: of SY·SX blocks that of this subgroup.
fn multiply(firstRow: u32, thread: u32, subgroup: u32) {
  let top = subgroup / SX * TM * M;
  let start = subgroup % SX * TN * N;
  var sums: array<array<Sums, TN>, TM>;
  var nextX: array<vec2u, X_LOADS>;
  var nextWords: array<vec4u, W_LOADS>;
  var nextScale: array<vec2f, W_LOADS>;
  let rounds = round_count();
  for (var more = rounds; more > 0u; more--) {
    let k = (rounds - more) * BK;  // of the tile to multiply in the next round; past the end these are zeros
    for (var i = 0u; i < X_LOADS; i++) {
      let at = thread + i * THREADS;
      if (at < X_COUNT) { nextX[i] = halves_of(firstRow + at / STEPS, k / 4u + at % STEPS); }
    }
    for (var i = 0u; i < W_LOADS; i++) {
      let at = thread + i * THREADS;
      if (at < W_COUNT) {
        let column = column_at(at % COLUMNS);
        nextWords[i] = packed_of(column, k + at / COLUMNS * PART);
        nextScale[i] = scale_of(column, k + at / COLUMNS * PART);
      }
    }

    if (more < rounds) {
      for (var d = 0u; d < BK; d += D) {
        var b: array<Right, TN>;
        for (var j = 0u; j < TN; j++) {
          b[j] = subgroupMatrixLoad<Right, col_major>(&right, (start + j * N) * LINE + d / 4u, LINE);
        }
        for (var i = 0u; i < TM; i++) {
          let a = subgroupMatrixLoad<Left, row_major>(&left, (top + i * M) * LINE + d / 4u, LINE);
          for (var j = 0u; j < TN; j++) { sums[i][j] = subgroupMatrixMultiplyAccumulate(a, b[j], sums[i][j]); }
        }
      }
    }
    workgroupBarrier();

    for (var i = 0u; i < X_LOADS; i++) {
      let at = thread + i * THREADS;
      let four = vec4f(unpack2x16float(nextX[i].x), unpack2x16float(nextX[i].y));
      if (at < X_COUNT) { left[at / STEPS * LINE + at % STEPS] = Staged(four); }
    }
    for (var i = 0u; i < W_LOADS; i++) {
      let at = thread + i * THREADS;
      let first = (k + at / COLUMNS * PART) % FOUR;
      let to = at % COLUMNS * LINE + at / COLUMNS * (PART / 4u);
      for (var j = 0u; j < PART / 4u; j++) {
        let weights = nextScale[i].x * quad(nextWords[i], first + 4u * j) + nextScale[i].y;
        if (at < W_COUNT) { right[to + j] = Staged(weights); }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < TM; i++) {
    for (var j = 0u; j < TN; j++) {
      subgroupMatrixStore<row_major>(&totals, (top + i * M) * COLUMNS + start + j * N, sums[i][j], COLUMNS);
    }
  }
}

@compute @workgroup_size(THREADS)
fn gemm_matrix(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let firstRow = wg.x * ROWS;
  firstColumn = wg.y * COLUMNS;
  multiply(firstRow, thread, subgroup);
  workgroupBarrier();

  for (var at = thread; at < ROWS * WX; at += THREADS) {
    let row = firstRow + at / WX;
    if (row >= params.rows) { break; }
    let place = at / WX * COLUMNS + at % WX;
    let n = firstColumn + at % WX / 4u * 8u + at % 4u;  // of the even run; the odd one's is 4 further
    let factor = factors[row];
    put_two((params.first + row) * params.yStride, n, totals[place] * factor, totals[place + WX] * factor);
  }
}

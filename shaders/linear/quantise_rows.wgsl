// quantise_rows — rows of x, or of RMSNorm(x), in int8: blocks of GROUP inputs, each with a step of its own
//
//   x      [first + T, K]   f32   read
//   gamma  [K]              f32   read   RMSNorm weight; unused for NORM 0
//   units  [T, K/4]         u32   read_write  four to a word, lowest first, in the order of gemm_int8's weights
//   pairs  [T, K/GROUP]     vec2f read_write  of a block (step, step · Σ of its units): x ≈ step · unit
//
// dispatch  (T, 1, 1): one workgroup per row from row `first` on, a thread per block
// cost      bytes T·K·(5 + 8/GROUP): memory bound
// why       gemm_int8 reads a row once for each 64 columns, so it is rounded once, before. The step is the block's largest size
//           / 127, so nothing is cut off. Weights have a minimum beside their scale, which meets the sum of the units alone.
// uses      lib/row_sum.wgsl

override WG: u32 = 64;     // threads, a power of two
override NORM: u32 = 0;    // 1: x is normalised with gamma
override BITS: u32 = 4;    // of the weights: 4 or 8
const GROUP: u32 = 32;     // inputs of a block: those that share a scale of the weights, 16 or 32

const FOURS = GROUP / 4u;
const LEAST = 1e-30;       // blocks of smaller values are zeros: 127 / size would not be finite

struct Params {
  first: u32,  // row of x
  depth: u32,  // K
  eps: f32,    // RMSNorm
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gamma: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> units: array<u32>;
@group(0) @binding(3) var<storage, read_write> pairs: array<vec2f>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> partial: array<f32, WG>;

fn input_at(row: u32, k4: u32, factor: f32) -> vec4f {
  let raw = x[row * (params.depth / 4u) + k4];
  if (NORM == 0u) { return raw; }
  return raw * factor * gamma[k4];
}

fn packed(a: i32, b: i32, c: i32, d: i32) -> u32 {
  let bytes = vec4u(vec4i(a, b, c, d)) & vec4u(255u);
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

// Eight units: two words. Of weights of 4 bits those of even and of odd places come out of a word together.
fn put_eight(at: u32, a: vec4i, b: vec4i) {
  if (BITS == 4u) {
    units[at] = packed(a.x, a.z, b.x, b.z);
    units[at + 1u] = packed(a.y, a.w, b.y, b.w);
  } else {
    units[at] = packed(a.x, a.y, a.z, a.w);
    units[at + 1u] = packed(b.x, b.y, b.z, b.w);
  }
}

@compute @workgroup_size(WG)
fn quantise_rows(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = params.first + wg.x;
  var factor = 1.0;
  if (NORM == 1u) {
    var squares = 0.0;
    for (var k4 = thread; k4 < params.depth / 4u; k4 += WG) {
      let raw = x[row * (params.depth / 4u) + k4];
      squares += dot(raw, raw);
    }
    factor = inverseSqrt(row_sum(thread, squares) / f32(params.depth) + params.eps);
  }
  for (var part = thread; part < params.depth / GROUP; part += WG) {
    var inputs = array<vec4f, FOURS>();
    var sizes = vec4f();
    for (var i = 0u; i < FOURS; i++) {
      inputs[i] = input_at(row, part * FOURS + i, factor);
      sizes = max(sizes, abs(inputs[i]));
    }
    let size = max(max(sizes.x, sizes.y), max(sizes.z, sizes.w));
    let isZero = size < LEAST;
    let each = select(127.0 / size, 0.0, isZero);
    var sums = vec4i();
    for (var i = 0u; i < FOURS; i += 2u) {
      let a = vec4i(round(inputs[i] * each));
      let b = vec4i(round(inputs[i + 1u] * each));
      sums += a + b;
      put_eight(wg.x * (params.depth / 4u) + part * FOURS + i, a, b);
    }
    let step = select(size / 127.0, 0.0, isZero);
    pairs[wg.x * (params.depth / GROUP) + part] = vec2f(step, step * f32(sums.x + sums.y + sums.z + sums.w));
  }
}

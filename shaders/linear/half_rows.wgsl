// half_rows — rows of x, or of gamma·x, in f16, each scaled by a power of two: x[t, k] (normalised) ≈ factors[t]·halves[t, k]
//
//   x        [first + T, K]  f32   read
//   gamma    [K]             f32   read   RMSNorm weight; unused for NORM 0
//   halves   [T, K/4]        vec2u read_write  f16, four to an element
//   factors  [T]             f32   read_write
//
// dispatch  (T, 1, 1): one workgroup per row from row `first` on
// cost      bytes T·K·6, with the second look at x 10: memory bound
// why       gemm_matrix reads a row once for each 64 columns, so it is rounded once, before. The residual stream may be too large
//           for f16 and gated products too small. A row's largest value comes to lie between 2^14 and 2^15: nothing overflows,
//           what is at least 2^-28 of it keeps 11 bits, and scaling itself is exact. RMSNorm: the factor leaves the sum.

override WG: u32 = 64;   // threads, a power of two
override NORM: u32 = 0;  // 1: x is normalised with gamma

const TOP = 141u;     // 127 + 14: the exponent, as f32 has it, that the largest value of a row gets
const LEAST = 15u;    // rows whose largest exponent is smaller are scaled as if it were this: the factor stays normal

struct Params {
  first: u32,  // row of x
  depth: u32,  // K
  eps: f32,    // RMSNorm
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gamma: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> halves: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> factors: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> partial: array<vec2f, WG>;  // (Σx², largest size)

fn weighed_by_gamma(raw: vec4f, k4: u32) -> vec4f {
  if (NORM == 0u) { return raw; }
  return raw * gamma[k4];
}

@compute @workgroup_size(WG)
fn half_rows(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let fours = params.depth / 4u;
  let start = (params.first + wg.x) * fours;
  var squares = 0.0;
  var sizes = vec4f();
  for (var k4 = thread; k4 < fours; k4 += WG) {
    let raw = x[start + k4];
    squares += dot(raw, raw);
    sizes = max(sizes, abs(weighed_by_gamma(raw, k4)));
  }
  partial[thread] = vec2f(squares, max(max(sizes.x, sizes.y), max(sizes.z, sizes.w)));
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      let other = partial[thread + half];
      partial[thread] = vec2f(partial[thread].x + other.x, max(partial[thread].y, other.y));
    }
    workgroupBarrier();
  }
  let exponent = max(bitcast<u32>(partial[0].y) >> 23u, LEAST);
  let scale = bitcast<f32>((127u + TOP - exponent) << 23u);
  for (var k4 = thread; k4 < fours; k4 += WG) {
    let scaled = weighed_by_gamma(x[start + k4], k4) * scale;
    halves[wg.x * fours + k4] = vec2u(pack2x16float(scaled.xy), pack2x16float(scaled.zw));
  }
  var factor = bitcast<f32>((127u + exponent - TOP) << 23u);
  if (NORM == 1u) { factor *= inverseSqrt(partial[0].x / f32(params.depth) + params.eps); }
  if (thread == 0u) { factors[wg.x] = factor; }
}

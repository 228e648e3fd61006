// peak_fma — y[i] = the value of ROUNDS·64 chained multiply-adds, started from x[i]
//
//   x  [N]  f32  read
//   y  [N]  f32  write
//
// dispatch  (N / WG, 1, 1): one chain of sixteen independent sums per thread
// cost      bytes 8·N, flops 128·ROUNDS·N: compute bound, no memory in the loop
// why       the yardstick for every product. Sixteen sums hide the latency of the multiply-add;
//           named scalars, because some compilers keep arrays and vectors in memory.

override WG: u32 = 64;       // threads per workgroup
override ROUNDS: u32 = 256;  // times 64 multiply-adds

struct Params {
  factor: f32,  // below 1: the sums stay finite
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn peak_fma(@builtin(global_invocation_id) id: vec3u) {
  let f = params.factor;
  let start = x[id.x];
  var a = start; var b = start + 1.0; var c = start + 2.0; var d = start + 3.0;
  var e = start + 4.0; var g = start + 5.0; var h = start + 6.0; var i = start + 7.0;
  var j = start + 8.0; var k = start + 9.0; var l = start + 10.0; var m = start + 11.0;
  var n = start + 12.0; var o = start + 13.0; var p = start + 14.0; var q = start + 15.0;
  for (var round = 0u; round < ROUNDS * 4u; round++) {
    a = a * f + 1.0; b = b * f + 1.0; c = c * f + 1.0; d = d * f + 1.0;
    e = e * f + 1.0; g = g * f + 1.0; h = h * f + 1.0; i = i * f + 1.0;
    j = j * f + 1.0; k = k * f + 1.0; l = l * f + 1.0; m = m * f + 1.0;
    n = n * f + 1.0; o = o * f + 1.0; p = p * f + 1.0; q = q * f + 1.0;
  }
  y[id.x] = a + b + c + d + e + g + h + i + j + k + l + m + n + o + p + q;
}

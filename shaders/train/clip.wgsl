// clip — (factor, norm): the gradient's norm from sums of its squares, and what brings it down to a limit
//
//   squares  [N]  f32  read
//   factor   [2]  f32  write  min(1, limit / (norm + 1e-6)), norm
//
// dispatch  (1, 1, 1): one workgroup
// cost      bytes 4·N, flops N: latency bound
// why       The norm is of all gradients together, so one thread must see them all before any weight moves. The small
//           number is PyTorch's.
// uses      lib/row_sum.wgsl

override WG: u32 = 64;  // threads per workgroup, a power of two

struct Params {
  count: u32,  // N
  limit: f32,
}

@group(0) @binding(0) var<storage, read> squares: array<f32>;
@group(0) @binding(1) var<storage, read_write> factor: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> partial: array<f32, WG>;

@compute @workgroup_size(WG)
fn clip(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.count; i += WG) { sum += squares[i]; }
  let norm = sqrt(row_sum(lane, sum));
  if (lane == 0u) {
    factor[0] = min(1.0, params.limit / (norm + 1e-6));
    factor[1] = norm;
  }
}

// lib/row_max.wgsl — a maximum over the threads of a workgroup
// needs     WG, a power of two; var<workgroup> partial: array<f32, WG>

// The largest value of all threads, for each of them. The barrier before lets `partial` be used again.
fn row_max(lane: u32, value: f32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (lane < half) { partial[lane] = max(partial[lane], partial[lane + half]); }
    workgroupBarrier();
  }
  return partial[0];
}

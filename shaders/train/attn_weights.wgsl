// attn_weights — softmax over the keys that each row sees, in place, and the logarithm of its sum
//
//   scores  [T, S]  f32  read_write  q·k in, weights out; 0 for keys that a row does not see
//   sums    [T, H]  f32  write       log Σ exp(scale·q·k) of one head
//
// dispatch  (T, 1, 1): one workgroup per row, WG threads stride across it
// cost      bytes 12·T·S, flops 8·T·S: memory bound
// why       Training's windows begin at position 0 and are short, so a head's scores fit into memory and are products
//           that the GEMM kernels do; what is left is this. The sums are all that the way back needs of it.
// uses      lib/row_sum.wgsl lib/row_max.wgsl

override WG: u32 = 64;  // threads per workgroup, a power of two

struct Params {
  keys: u32,    // S
  heads: u32,   // H
  head: u32,
  window: u32,  // keys that a row sees, its own included; 0: all up to its own
  scale: f32,
}

@group(0) @binding(0) var<storage, read_write> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> partial: array<f32, WG>;

@compute @workgroup_size(WG)
fn attn_weights(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = wg.x;
  let start = row * params.keys;
  let lane = local.x;
  let last = row + 1u;
  let first = select(0u, last - params.window, params.window > 0u && params.window < last);

  var most = -3.4e38;
  for (var s = first + lane; s < last; s += WG) { most = max(most, scores[start + s]); }
  let top = row_max(lane, most) * params.scale;
  var part = 0.0;
  for (var s = first + lane; s < last; s += WG) { part += exp(scores[start + s] * params.scale - top); }
  let sum = row_sum(lane, part);

  let factor = 1.0 / sum;
  for (var s = lane; s < params.keys; s += WG) {
    var weight = 0.0;
    if (s >= first && s < last) { weight = exp(scores[start + s] * params.scale - top) * factor; }
    scores[start + s] = weight;
  }
  if (lane == 0u) { sums[row * params.heads + params.head] = top + log(sum); }
}

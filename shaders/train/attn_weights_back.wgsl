// attn_weights_back — attention weights of one head once more, and the gradient of its scores q·k, both turned: [key, row]
//
//   weights  [S, T]  f32  read_write  q·k in, weights out; 0 where the row does not see the key
//   scores   [S, T]  f32  read_write  gradient of the weights in, of q·k out
//   sums     [T, H]  f32  read        log Σ exp(scale·q·k), as attn_weights left it
//   deltas   [T, H]  f32  read        Σₑ of the head's output times its gradient
//
// dispatch  (ceil(T / WG), S, 1): one row and key per invocation
// cost      bytes 16·S·T, flops 8·S·T: memory bound
// why       dS = P∘(dP − δ)·scale with P = exp(scale·q·k − log Σ): nothing of T×S outlives its head. Turned, because the
//           gradients of keys and values are sums over rows: P·dO and dS·Q are then products as they stand.

override WG: u32 = 64;  // threads per workgroup

struct Params {
  rows: u32,    // T
  heads: u32,   // H
  head: u32,
  window: u32,  // keys that a row sees, its own included; 0: all up to its own
  scale: f32,
}

@group(0) @binding(0) var<storage, read_write> weights: array<f32>;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;
@group(0) @binding(2) var<storage, read> sums: array<f32>;
@group(0) @binding(3) var<storage, read> deltas: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn attn_weights_back(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  let key = id.y;
  if (row >= params.rows) { return; }
  let at = key * params.rows + row;
  if (key > row || (params.window > 0u && row - key >= params.window)) {
    weights[at] = 0.0;
    scores[at] = 0.0;
    return;
  }
  let place = row * params.heads + params.head;
  let weight = exp(params.scale * weights[at] - sums[place]);
  weights[at] = weight;
  scores[at] = weight * (scores[at] - deltas[place]) * params.scale;
}

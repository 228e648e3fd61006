// shadow_maps — from keys to factors and back: factors = x·down + shift, keys = factors·up[0 … RANK−1] + up[RANK]
//
//   gram   [D + 1, D]       f32  read   row D: Σ x over tokens
//   pivot  [D]              f32  read   what was taken off keys to make x
//   q      [D, M]           f32  read   orthonormal columns
//   sigma  [M]              f32  read   their weights; 0: the factor is 0
//   down   [D, RANK]        f32  write  column j: that of q, divided by its weight
//   shift  [RANK]           f32  write  −mean·down
//   up     [*, RANK + 1, D] f32  write  row j: column j of q times its weight; row RANK: mean + pivot
//
// dispatch  (RANK + 1, 1, 1): one workgroup per row of `up`
// cost      bytes 12·D·RANK: latency bound, once per prompt and store
// why       Factors have unit variance, so f16 holds them whatever the keys' spectrum; what they vary by is in `up`.

override WG: u32 = 64;  // threads
override D: u32 = 192;
override M: u32 = 56;
override RANK: u32 = 48;  // at most M

struct Params {
  tokens: f32,
  sequence: u32,  // of `up`
}

@group(0) @binding(0) var<storage, read> gram: array<f32>;
@group(0) @binding(1) var<storage, read> pivot: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(3) var<storage, read> sigma: array<f32>;
@group(0) @binding(4) var<storage, read_write> down: array<f32>;
@group(0) @binding(5) var<storage, read_write> shift: array<f32>;
@group(0) @binding(6) var<storage, read_write> up: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn shadow_maps(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let j = wg.x;
  let row = (params.sequence * (RANK + 1u) + j) * D;
  var along = 0.0;
  for (var k = local; k < D; k += WG) {
    let mean = gram[D * D + k] / params.tokens;
    if (j == RANK) {
      up[row + k] = mean + pivot[k];
    } else {
      let weight = sigma[j];
      let to = q[k * M + j] * select(0.0, 1.0 / weight, weight > 0.0);
      down[k * RANK + j] = to;
      up[row + k] = q[k * M + j] * weight;
      along += mean * to;
    }
  }
  sums[local] = along;
  workgroupBarrier();
  if (local > 0u || j == RANK) { return; }
  var total = 0.0;
  for (var i = 0u; i < WG; i++) { total += sums[i]; }
  shift[j] = -total;
}

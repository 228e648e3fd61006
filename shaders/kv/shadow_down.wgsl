// shadow_down — from keys to factors, as the way back says: factors = (key − pivot)·down + shift
//
//   up     [*, RANK + 1, D] f32  read   rows orthogonal, or 0; see shadow_maps
//   down   [D, RANK]        f32  write  column j: row j of up, divided by the square of its length; 0 where that is 0
//   shift  [RANK]           f32  write  0
//   pivot  [D]              f32  write  the last row of up
//
// dispatch  (RANK + 1, 1, 1): one workgroup per row of `up`
// cost      bytes 8·D·RANK: latency bound, once per page that retires, and once per later prompt, per store
// why       Tokens that come after a prompt get factors of the same map, so what is kept of the map is enough: rows are
//           directions times their weight, and the mean is taken off keys before anything is summed.

override WG: u32 = 64;  // threads
override D: u32 = 192;
override RANK: u32 = 48;

struct Params {
  sequence: u32,  // of `up`
}

@group(0) @binding(0) var<storage, read> up: array<f32>;
@group(0) @binding(1) var<storage, read_write> down: array<f32>;
@group(0) @binding(2) var<storage, read_write> shift: array<f32>;
@group(0) @binding(3) var<storage, read_write> pivot: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn shadow_down(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let j = wg.x;
  let row = (params.sequence * (RANK + 1u) + j) * D;
  if (j == RANK) {
    for (var k = local; k < D; k += WG) { pivot[k] = up[row + k]; }
    return;
  }
  var square = 0.0;
  for (var k = local; k < D; k += WG) { square += up[row + k] * up[row + k]; }
  sums[local] = square;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < WG; i++) { total += sums[i]; }
  let scale = select(0.0, 1.0 / total, total > 0.0);
  for (var k = local; k < D; k += WG) { down[k * RANK + j] = up[row + k] * scale; }
  if (local == 0u) { shift[j] = 0.0; }
}

// attn_combine — out[m, h, :] = Σᵢ accᵢ · exp(maxᵢ − max) / Σᵢ sumᵢ · exp(maxᵢ − max): joins attention partials
//
//   partials  [M, H, entries, E+2]  f32  read
//   out       [T, H, E]             f32  write
//
// dispatch  (H, M, 1): one workgroup per head of one row, WG threads stride across E
// cost      bytes 4·M·H·(entries·(E+2) + E), flops 2·M·H·entries·E: memory bound
// why       An entry is (acc [E], max, sum); one that saw no key has max −3e38 and sum 0 and weighs nothing. A row
//           that saw no key at all becomes 0. Every thread reads all maxima itself: they are few, and cached.

override WG: u32 = 64;  // threads per workgroup
override H: u32 = 9;    // query heads
override E: u32 = 64;   // head width

struct Params {
  firstRow: u32,  // row of out that the first row of partials belongs to
  entries: u32,   // partials of a row and head
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn attn_combine(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let width = E + 2u;
  let source = (wg.y * H + wg.x) * params.entries * width;
  var top = -3e38;
  for (var i = 0u; i < params.entries; i++) { top = max(top, partials[source + i * width + E]); }
  var sum = 0.0;
  for (var i = 0u; i < params.entries; i++) {
    let entry = source + i * width + E;
    sum += partials[entry + 1u] * exp(partials[entry] - top);
  }
  let scale = select(0.0, 1.0 / sum, sum > 0.0);
  let to = ((params.firstRow + wg.y) * H + wg.x) * E;
  for (var e = local.x; e < E; e += WG) {
    var acc = 0.0;
    for (var i = 0u; i < params.entries; i++) {
      let entry = source + i * width;
      acc += partials[entry + e] * exp(partials[entry + E] - top);
    }
    out[to + e] = acc * scale;
  }
}

// shadow_rank — ranks[m·G + g, n] = the largest logarithm of the weight that a query head of KV head g gives to chunk n
//
//   products  [M, H, stride]    f32  read   −3e38: not to be chosen
//   ranks     [M·G, stride]     f32  write
//
// dispatch  (G, M, 1): one workgroup per KV head and row
// cost      bytes 8·M·H·span: memory bound
// why       The weight is a softmax over the chunks, and its largest over the query heads says which chunks a KV head needs:
//           that is max over heads of product − log Σ exp product, without an exponential per chunk and head.
// uses      lib/joined.wgsl

override WG: u32 = 64;  // threads
override G: u32 = 3;    // KV heads
const R: u32 = 3;       // query heads of a KV head

struct Params {
  span: u32,    // chunks that there are
  stride: u32,  // chunks that there is room for
}

@group(0) @binding(0) var<storage, read> products: array<f32>;
@group(0) @binding(1) var<storage, read_write> ranks: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const NEVER = -3e38;

var<workgroup> parts: array<vec2f, WG>;

@compute @workgroup_size(WG)
fn shadow_rank(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let list = wg.y * G + wg.x;
  let first = list * R * params.stride;
  var logs: array<f32, R>;
  for (var h = 0u; h < R; h++) {
    var own = vec2f(NEVER, 0.0);
    for (var n = local; n < params.span; n += WG) {
      let product = products[first + h * params.stride + n];
      if (product > -1e38) { own = joined(own, vec2f(product, 1.0)); }
    }
    parts[local] = own;
    workgroupBarrier();
    var all = parts[0];
    for (var i = 1u; i < WG; i++) { all = joined(all, parts[i]); }
    logs[h] = all.x + log(max(all.y, 1.0));
    workgroupBarrier();
  }
  for (var n = local; n < params.span; n += WG) {
    var best = NEVER;
    for (var h = 0u; h < R; h++) {
      let product = products[first + h * params.stride + n];
      if (product > -1e38) { best = max(best, product - logs[h]); }
    }
    ranks[list * params.stride + n] = best;
  }
}

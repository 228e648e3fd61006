// think_queries — squares[first + g, e] = Σ over a prompt's last rows and the query heads of KV head g of q²
//
//   q        [T, H, E]  f32  read
//   squares  [*, E]     f32  write
//
// dispatch  (G, 1, 1): one workgroup per KV head, threads along channels
// cost      bytes 4·rows·H·E, flops 2·rows·H·E: latency bound, once per layer and prompt
// why       What layers that read one store ask of its keys adds up (ADD).

override WG: u32 = 64;       // threads per workgroup
override E: u32 = 64;        // head width
override H: u32 = 9;         // query heads
override R: u32 = 3;         // query heads of a KV head
override ADD: bool = false;  // add to what `squares` holds

struct Params {
  firstRow: u32,  // the first of the rows
  rows: u32,
  first: u32,     // row of `squares` of KV head 0
}

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read_write> squares: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn think_queries(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var e = local; e < E; e += WG) {
    var sum = 0.0;
    for (var i = 0u; i < params.rows * R; i++) {
      let x = q[((params.firstRow + i / R) * H + wg.x * R + i % R) * E + e];
      sum += x * x;
    }
    let at = (params.first + wg.x) * E + e;
    if (ADD) { squares[at] += sum; } else { squares[at] = sum; }
  }
}

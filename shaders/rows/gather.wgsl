// gather — hidden[first + i, :] = hidden[source[first + i], :]: moves the rows that continue into the upper layers to the front
//
//   hidden  [T, D]  f32  read_write
//   source  [M]     u32  read
//
// dispatch  (M − first, 1, 1): one workgroup per moved row
// cost      bytes 8·(M − first)·D, flops 0: latency bound
// why       SwiftKV runs its later layers on few rows: in front, they are rows 0 … M−1 of every kernel. In place,
//           because no row that moves lies where another one goes to: source[i] ≥ M for every i ≥ first.

override D: u32 = 576;
override WG: u32 = 64;  // threads per workgroup

struct Params {
  first: u32,  // rows before it stay
}

@group(0) @binding(0) var<storage, read_write> hidden: array<f32>;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn gather(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let to = params.first + group.x;
  let at = source[to];
  for (var i = local; i < D; i += WG) { hidden[to * D + i] = hidden[at * D + i]; }
}

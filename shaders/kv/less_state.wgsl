// less_state — state[first + g, :] = Σ over entries of sums[g, entry, :]
//
//   sums   [G, entries, NUMBERS]  f32  read   from less_absorb
//   state  [*, NUMBERS]           f32  write
//
// dispatch  (⌈NUMBERS / WG⌉, G, 1): one number per invocation
// cost      bytes 4·G·NUMBERS·(entries + 1): memory bound, once per prompt and store
// why       The state of a sequence is made once, at its prompt's end: it takes the place of what stood there.

override WG: u32 = 64;         // threads per workgroup
override NUMBERS: u32 = 520u;  // 8·(E + 1)

struct Params {
  entries: u32,  // sums of a KV head
  first: u32,    // row of `state` of KV head 0
}

@group(0) @binding(0) var<storage, read> sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> state: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn less_state(@builtin(workgroup_id) wg: vec3u, @builtin(global_invocation_id) id: vec3u) {
  if (id.x >= NUMBERS) { return; }
  var sum = 0.0;
  for (var i = 0u; i < params.entries; i++) { sum += sums[(wg.y * params.entries + i) * NUMBERS + id.x]; }
  state[(params.first + wg.y) * NUMBERS + id.x] = sum;
}

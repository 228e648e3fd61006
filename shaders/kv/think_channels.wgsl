// think_channels — of each list the KEYS channels with the largest (Σ q²)·(Σ k²), ascending, four to a word
//
//   squares   [*, E]           f32  read   from think_queries
//   sums      [G, entries, E]  f32  read   from think_keys
//   channels  [*, KEYS/4]      u32  write  a row per list: channel i in byte i % 4 of word i / 4
//
// dispatch  (G, 1, 1): one workgroup per KV head, a thread per channel
// cost      bytes 4·G·(entries + 1)·E, flops G·E²: latency bound, once per store and prompt
// why       A channel stays if fewer than KEYS are before it; of equal ones the earlier channel is before. Its place is the
//           number of channels before it that stay.

override WG: u32 = 64;    // threads: E
override E: u32 = 64;     // head width
override KEYS: u32 = 40;  // channels that stay, a multiple of 4

struct Params {
  first: u32,    // row of `squares` of KV head 0
  entries: u32,  // sums of a KV head
  list: u32,     // row of `channels` of KV head 0
}

@group(0) @binding(0) var<storage, read> squares: array<f32>;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> channels: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> scores: array<f32, E>;
var<workgroup> stays: array<u32, E>;
var<workgroup> order: array<u32, KEYS>;

@compute @workgroup_size(WG)
fn think_channels(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) e: u32) {
  var keys = 0.0;
  for (var i = 0u; i < params.entries; i++) { keys += sums[(wg.x * params.entries + i) * E + e]; }
  let score = squares[(params.first + wg.x) * E + e] * keys;
  scores[e] = score;
  workgroupBarrier();

  var before = 0u;
  for (var i = 0u; i < E; i++) {
    let other = scores[i];
    before += select(0u, 1u, other > score || (other == score && i < e));
  }
  stays[e] = select(0u, 1u, before < KEYS);
  workgroupBarrier();

  var place = 0u;
  for (var i = 0u; i < e; i++) { place += stays[i]; }
  if (stays[e] == 1u) { order[place] = e; }
  workgroupBarrier();
  if (e < KEYS / 4u) {
    let at = 4u * e;
    let word = order[at] | (order[at + 1u] << 8u) | (order[at + 2u] << 16u) | (order[at + 3u] << 24u);
    channels[(params.list + wg.x) * (KEYS / 4u) + e] = word;
  }
}

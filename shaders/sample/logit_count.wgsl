// logit_count — counts[sequence, tokens[sequence]] += 1 for every row that has a penalty
//
//   settings  [M]             Settings  read
//   tokens    [sequences]     u32       read
//   counts    [sequences, V]  u32       read_write  bits 0..15: occurrences in the reply; bit 31: occurs in the prompt
//
// dispatch  (ceil(M / WG), 1, 1): one thread per row
// cost      bytes 60·M, flops 0: latency bound
// why       After sample_merge, not inside it: counts exist only while some request has a penalty.
//           Rows of one step belong to different sequences, so no atomics. The count stays at 65535.
// uses      lib/settings.wgsl lib/penalised.wgsl

override WG: u32 = 64;  // threads per workgroup

struct Params {
  rows: u32,        // M
  vocabulary: u32,  // V
}

@group(0) @binding(0) var<storage, read> settings: array<Settings>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn logit_count(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  if (row >= params.rows) { return; }
  if (!is_penalised(row) || settings[row].forced != NONE) { return; }
  let sequence = settings[row].sequence;
  let at = sequence * params.vocabulary + tokens[sequence];
  if ((counts[at] & 0xffffu) < 0xffffu) { counts[at] += 1u; }
}

// logit_prompt — sets bit 31 of counts[slot, ids[i]]: these tokens occur in the prompt
//
//   ids     [N]         u32  read
//   counts  [slots, V]  u32  read_write  bits 0..15: occurrences in the reply; bit 31: occurs in the prompt
//
// dispatch  (ceil(N / WG), 1, 1): one thread per id
// cost      bytes 12·N, flops 0: memory bound
// why       Once per request, after the slot was zeroed with clearBuffer. An id may occur
//           many times, hence the atomic. Ids beyond V are left out.

override WG: u32 = 64;  // threads per workgroup

struct Params {
  idCount: u32,     // N
  slot: u32,
  vocabulary: u32,  // V
}

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> params: Params;

const PROMPT_BIT = 0x80000000u;

@compute @workgroup_size(WG)
fn logit_prompt(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.idCount) { return; }
  let token = ids[id.x];
  if (token >= params.vocabulary) { return; }
  atomicOr(&counts[params.slot * params.vocabulary + token], PROMPT_BIT);
}

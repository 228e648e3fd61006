// shadow_keep — keep[column + g, :] = the tokens of the outlier chunks and of the resident ones of KV head g
//
//   outliers  [*, OUTLIERS]     u32  read   chunks, by sequence and KV head
//   resident  [*, SELECTED]     u32  read
//   keep      [*, keepStride]   u32  write
//
// dispatch  (⌈(OUTLIERS + SELECTED)·CHUNK / WG⌉, G, 1): one thread per token
// cost      bytes 4·G·(OUTLIERS + SELECTED)·CHUNK: latency bound, once per prompt and store
// why       `compact` then copies them to private pages as they are: the first selection is exact until a chunk goes.

override WG: u32 = 64;  // threads
override OUTLIERS: u32 = 24;
override SELECTED: u32 = 128;
override CHUNK: u32 = 8;  // tokens of a chunk

struct Params {
  list: u32,    // row of `outliers` and `resident` of KV head 0
  column: u32,  // row of `keep`
  keepStride: u32,
}

@group(0) @binding(0) var<storage, read> outliers: array<u32>;
@group(0) @binding(1) var<storage, read> resident: array<u32>;
@group(0) @binding(2) var<storage, read_write> keep: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn shadow_keep(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x / CHUNK;
  if (at >= OUTLIERS + SELECTED) { return; }
  let list = params.list + id.y;
  var chunk = 0u;
  if (at < OUTLIERS) { chunk = outliers[list * OUTLIERS + at]; } else { chunk = resident[list * SELECTED + at - OUTLIERS]; }
  keep[(params.column + id.y) * params.keepStride + id.x] = chunk * CHUNK + id.x % CHUNK;
}

// shadow_scores — products[m, h, n] = query of row m and head h · landmark n · scale, −3e38 where chunk n cannot be recalled
//
//   q          [T, H, E/2]               vec2f  read
//   rows       [T]                       vec4u  read
//   table      [*, listLength, columns]  vec4u  read
//   landmarks  [*, G, E/2, stride]       u32    read   pairs of f16
//   outliers   [*, G, OUTLIERS]          u32    read   chunks that are always there
//   products   [M, H, stride]            f32    write
//
// dispatch  (⌈stride / WG⌉, G, M): one thread per chunk
// cost      bytes 2·M·G·E·stride, flops 2·M·H·E·stride: memory bound
// why       All query heads of a KV head share what is read. A list that has given up nothing has no chunks to recall.

override WG: u32 = 64;       // threads
override E: u32 = 64;        // head width, even
override G: u32 = 3;         // KV heads
override OUTLIERS: u32 = 24;
const R: u32 = 3;            // query heads of a KV head

struct Params {
  firstRow: u32,
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  chunks: u32,      // of the sequence; 0: those before the first live page, as the list's head says
  perPage: u32,     // chunks of a page
  stride: u32,      // chunks that a sequence has room for
  scale: f32,       // 1/√E
}

@group(0) @binding(0) var<storage, read> q: array<vec2f>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> landmarks: array<u32>;
@group(0) @binding(4) var<storage, read> outliers: array<u32>;
@group(0) @binding(5) var<storage, read_write> products: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn shadow_scores(@builtin(workgroup_id) wg: vec3u, @builtin(global_invocation_id) id: vec3u) {
  let chunk = id.x;
  if (chunk >= params.stride) { return; }
  let row = params.firstRow + wg.z;
  let sequence = rows[row].z;
  let head = table[sequence * params.listLength * params.columns + params.column + wg.y];
  let listed = select(0u, head.y * params.perPage, head.x > 0u);
  let chunks = select(params.chunks, listed, params.chunks == 0u);
  let list = sequence * G + wg.y;
  var recallable = chunk < chunks;
  for (var i = 0u; i < OUTLIERS; i++) { recallable = recallable && outliers[list * OUTLIERS + i] != chunk; }
  var sums: array<f32, R>;
  for (var h = 0u; h < R; h++) { sums[h] = 0.0; }
  let query = (row * G + wg.y) * R * (E / 2u);
  if (recallable) {
    for (var e2 = 0u; e2 < E / 2u; e2++) {
      let pair = unpack2x16float(landmarks[(list * (E / 2u) + e2) * params.stride + chunk]);
      for (var h = 0u; h < R; h++) { sums[h] += dot(q[query + h * (E / 2u) + e2], pair); }
    }
  }
  for (var h = 0u; h < R; h++) {
    let at = ((wg.z * G + wg.y) * R + h) * params.stride + chunk;
    products[at] = select(-3e38, sums[h] * params.scale, recallable);
  }
}

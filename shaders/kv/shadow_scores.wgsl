// shadow_scores — products[m, h, n] = query of row m and head h · landmark n · scale, −3e38 where chunk n cannot be recalled
//
//   q          [T, H, E/4]               vec4f  read
//   rows       [T]                       vec4u  read
//   table      [*, listLength, columns]  vec4u  read
//   landmarks  [G, ROWS, room/4]         vec4u  read   see shadow_landmarks
//   outliers   [*, G, OUTLIERS]          u32    read   chunks that are always there
//   products   [M, H, stride/4]          vec4f  write
//
// dispatch  (⌈span / (4·WG)⌉, G, M): four chunks per thread
// cost      bytes M·G·E·BITS/8·span, flops 2·M·H·E·span: memory bound
// why       All query heads of a KV head share what is read, and four chunks what is read of a query: on a CPU adapter loads
//           cost most. Codes of 8 bits are multiplied as they are: scale and minimum are the same for all channels of a chunk.
//           A list that has given up nothing has no chunks to recall.
// uses      lib/four_keys.wgsl

override WG: u32 = 64;       // threads per workgroup
override E: u32 = 64;        // head width, a multiple of 4
override G: u32 = 3;         // KV heads
override OUTLIERS: u32 = 24;
override BITS: u32 = 16;     // of a number of a landmark: 16 or 8
const R: u32 = 3;            // query heads of a KV head

struct Params {
  firstRow: u32,
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  chunks: u32,      // of the sequence; 0: those before the first live page, as the list's head says
  region: u32,      // block of chunk 0; also from the head where `chunks` is 0
  perPage: u32,     // chunks of a page
  span: u32,        // chunks that are written, up to the next multiple of 4
  room: u32,        // chunks that there is room for in `landmarks`, a multiple of 4
  stride: u32,      // and in `products`
  scale: f32,       // 1/√E
}

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> landmarks: array<vec4u>;
@group(0) @binding(4) var<storage, read> outliers: array<u32>;
@group(0) @binding(5) var<storage, read_write> products: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;

override ROWS: u32 = E * BITS / 32u + select(0u, 1u, BITS == 8u);

// One code of each of four chunks.
fn codes_at(words: vec4u, low: u32) -> vec4f { return vec4f((words >> vec4u(low)) & vec4u(0xffu)); }

@compute @workgroup_size(WG)
fn shadow_scores(@builtin(workgroup_id) wg: vec3u, @builtin(global_invocation_id) id: vec3u) {
  if (4u * id.x >= params.span) { return; }
  let row = params.firstRow + wg.z;
  let sequence = rows[row].z;
  let head = table[sequence * params.listLength * params.columns + params.column + wg.y];
  let listed = select(0u, head.y * params.perPage, head.x > 0u);
  let chunks = select(params.chunks, listed, params.chunks == 0u);
  let first = select(params.region, head.z, params.chunks == 0u) * params.perPage / 4u;
  let list = sequence * G + wg.y;
  let four = 4u * id.x + vec4u(0u, 1u, 2u, 3u);
  var recallable = four < vec4u(chunks);
  for (var i = 0u; i < OUTLIERS; i++) { recallable = recallable & (four != vec4u(outliers[list * OUTLIERS + i])); }
  var sums: array<vec4f, R>;
  let query = (row * G + wg.y) * R * (E / 4u);
  let fours = params.room / 4u;  // from one row of landmarks to the next
  let at = wg.y * ROWS * fours + first + id.x;
  if (4u * id.x < chunks && BITS == 16u) {
    for (var e4 = 0u; e4 < E / 4u; e4++) {
      let a = landmarks[at + 2u * e4 * fours];
      let b = landmarks[at + (2u * e4 + 1u) * fours];
      let key0 = half_floats(a);
      let key1 = half_floats(a >> vec4u(16u));
      let key2 = half_floats(b);
      let key3 = half_floats(b >> vec4u(16u));
      for (var h = 0u; h < R; h++) { sums[h] = plus(sums[h], q[query + h * (E / 4u) + e4], key0, key1, key2, key3); }  // unrolled
    }
  }
  if (4u * id.x < chunks && BITS == 8u) {
    var queries: array<f32, R>;  // the sum of its channels, which the minimum is multiplied with
    for (var e4 = 0u; e4 < E / 4u; e4++) {
      let words = landmarks[at + e4 * fours];
      let code0 = codes_at(words, 0u);
      let code1 = codes_at(words, 8u);
      let code2 = codes_at(words, 16u);
      let code3 = codes_at(words, 24u);
      for (var h = 0u; h < R; h++) { sums[h] = plus(sums[h], q[query + h * (E / 4u) + e4], code0, code1, code2, code3); }  // unrolled
      for (var h = 0u; h < R; h++) { queries[h] += dot(q[query + h * (E / 4u) + e4], vec4f(1.0)); }  // unrolled
    }
    let pairs = landmarks[at + E / 4u * fours];
    let scales = half_floats(pairs);
    let minima = half_floats(pairs >> vec4u(16u));
    for (var h = 0u; h < R; h++) { sums[h] = sums[h] * scales + queries[h] * minima; }  // unrolled
  }
  for (var h = 0u; h < R; h++) {
    products[((wg.z * G + wg.y) * R + h) * (params.stride / 4u) + id.x] = select(vec4f(-3e38), sums[h] * params.scale, recallable);
  }
}

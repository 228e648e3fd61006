// shadow_landmarks — of each chunk of CHUNK tokens its landmark, the mean of its keys, and how unlike it the least like of them is
//
//   table      [*, listLength, columns]  vec4u  read
//   kv         [*]                       u32    read
//   landmarks  [G, ROWS, room]           u32    write  by KV head, channels and chunk: pairs of f16; or fours of codes, then a pair
//   unlike     [G, stride]               f32    write  −(least cosine of a key of the chunk and the landmark); of chunk 0: 2
//
// dispatch  (⌈chunks / WG⌉, G, 1): one thread per chunk, from chunk `begin` on
// cost      bytes 32·pages·G·E·KV_BITS/8, flops 5·32·pages·G·E: memory bound, once per prompt and store
// why       Keys are those that attention sees, rotated. Chunks whose keys point apart are not well stood for by a mean: they are
//           kept as they are. So is chunk 0, which queries look at whatever they look for. Chunks lie innermost in
//           `landmarks`, where each is a thread's of shadow_scores. Codes of 8 bits have a scale and a minimum (f16) for the channels of a
//           landmark, so means are taken twice. Pages of another arena are another dispatch's.
// uses      lib/page_key.wgsl lib/pack_half.wgsl lib/codes.wgsl

override WG: u32 = 64;       // threads
override E: u32 = 64;        // head width, a multiple of 8
override G: u32 = 3;         // KV heads
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4
override BITS: u32 = 16;     // of a number of a landmark: 16 or 8
const CHUNK: u32 = 8;        // tokens of a chunk, a divisor of 32

struct Params {
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  row: u32,         // row of the table, whose pages with these chunks have not been given up
  arena: u32,       // number of the buffer bound as `kv`
  begin: u32,       // first chunk, and how many there are
  chunks: u32,
  first: u32,       // place of chunk 0 in `landmarks`
  room: u32,        // chunks that there is room for in `landmarks`
  stride: u32,      // and in `unlike`
}

@group(0) @binding(0) var<storage, read> table: array<vec4u>;
@group(0) @binding(1) var<storage, read> kv: array<u32>;
@group(0) @binding(2) var<storage, read_write> landmarks: array<u32>;
@group(0) @binding(3) var<storage, read_write> unlike: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

override ROWS: u32 = E * BITS / 32u + select(0u, 1u, BITS == 8u);

// Channels 4·e4 … 4·e4 + 3 of the landmark of the chunk that begins at `slot` of a page.
fn mean_key(page: u32, e4: u32, slot: u32) -> vec4f {
  var mean = vec4f();
  for (var i = 0u; i < CHUNK; i++) { mean += page_key(page, e4, slot + i); }
  return mean / f32(CHUNK);
}

// The landmark as codes and their pair; `at` is its first word.
fn write_codes(page: u32, slot: u32, at: u32, least: f32, most: f32) {
  let pair = code_pair(least, most, 8u);
  for (var e4 = 0u; e4 < E / 4u; e4++) {
    let mean = mean_key(page, e4, slot);
    landmarks[at + e4 * params.room] = u32(code(mean.x, pair, 8u)) | (u32(code(mean.y, pair, 8u)) << 8u)
      | (u32(code(mean.z, pair, 8u)) << 16u) | (u32(code(mean.w, pair, 8u)) << 24u);
  }
  landmarks[at + E / 4u * params.room] = pair;
}

@compute @workgroup_size(WG)
fn shadow_landmarks(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.chunks) { return; }
  let chunk = params.begin + id.x;
  let list = params.row * params.listLength * params.columns + params.column + id.y;
  let entry = table[list + (1u + chunk * CHUNK / 32u) * params.columns];
  if (entry.z != params.arena) { return; }
  let slot = chunk * CHUNK % 32u;
  let at = id.y * ROWS * params.room + params.first + chunk;
  var products: array<f32, CHUNK>;  // of each key and the landmark
  var squares: array<f32, CHUNK>;
  var square = 0.0;                 // of the landmark
  var least = 3e38;                 // of its channels
  var most = -3e38;
  for (var i = 0u; i < CHUNK; i++) { products[i] = 0.0; squares[i] = 0.0; }
  for (var e4 = 0u; e4 < E / 4u; e4++) {
    var keys: array<vec4f, CHUNK>;
    var mean = vec4f();
    for (var i = 0u; i < CHUNK; i++) {
      keys[i] = page_key(entry.x, e4, slot + i);
      mean += keys[i];
    }
    mean /= f32(CHUNK);
    for (var i = 0u; i < CHUNK; i++) {
      products[i] += dot(keys[i], mean);
      squares[i] += dot(keys[i], keys[i]);
    }
    square += dot(mean, mean);
    least = min(least, min(min(mean.x, mean.y), min(mean.z, mean.w)));
    most = max(most, max(max(mean.x, mean.y), max(mean.z, mean.w)));
    if (BITS == 8u) { continue; }
    landmarks[at + 2u * e4 * params.room] = pack_half(mean.xy);
    landmarks[at + (2u * e4 + 1u) * params.room] = pack_half(mean.zw);
  }
  if (BITS == 8u) { write_codes(entry.x, slot, at, least, most); }
  var cosine = 1.0;
  for (var i = 0u; i < CHUNK; i++) { cosine = min(cosine, products[i] / max(sqrt(squares[i] * square), 1e-8)); }
  unlike[id.y * params.stride + chunk] = select(-cosine, 2.0, chunk == 0u);
}

// shadow_landmarks — of each chunk of CHUNK tokens its landmark, the mean of its keys, and how unlike it the least like of them is
//
//   table      [*, listLength, columns]  vec4u  read
//   kv         [*]                       u32    read
//   landmarks  [G, E/2, stride]          u32    write  pairs of f16, by KV head, pair of channels and chunk
//   unlike     [G, stride]               f32    write  −(least cosine of a key of the chunk and the landmark); of chunk 0: 2
//
// dispatch  (⌈chunks / WG⌉, G, 1): one thread per chunk
// cost      bytes 32·pages·G·E·KV_BITS/8, flops 5·32·pages·G·E: memory bound, once per prompt and store
// why       Keys are those that attention sees, rotated. Chunks whose keys point apart are not well stood for by a mean: they are
//           kept as they are. So is chunk 0, which queries look at whatever they look for. Chunks lie innermost in
//           `landmarks`, where each is a thread's of shadow_scores. Pages of another arena are another dispatch's.
// uses      lib/page_key.wgsl lib/pack_half.wgsl

override WG: u32 = 64;       // threads
override E: u32 = 64;        // head width, a multiple of 8
override G: u32 = 3;         // KV heads
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4
const CHUNK: u32 = 8;        // tokens of a chunk, a divisor of 32

struct Params {
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  row: u32,         // row of the table, of which no page has been given up
  arena: u32,       // number of the buffer bound as `kv`
  chunks: u32,
  first: u32,       // place of chunk 0 in `landmarks`
  stride: u32,      // chunks that there is room for
}

@group(0) @binding(0) var<storage, read> table: array<vec4u>;
@group(0) @binding(1) var<storage, read> kv: array<u32>;
@group(0) @binding(2) var<storage, read_write> landmarks: array<u32>;
@group(0) @binding(3) var<storage, read_write> unlike: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn shadow_landmarks(@builtin(global_invocation_id) id: vec3u) {
  let chunk = id.x;
  if (chunk >= params.chunks) { return; }
  let list = params.row * params.listLength * params.columns + params.column + id.y;
  let entry = table[list + (1u + chunk * CHUNK / 32u) * params.columns];
  if (entry.z != params.arena) { return; }
  let slot = chunk * CHUNK % 32u;
  let at = id.y * (E / 2u) * params.stride + params.first + chunk;
  var products: array<f32, CHUNK>;  // of each key and the landmark
  var squares: array<f32, CHUNK>;
  var square = 0.0;                 // of the landmark
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
    landmarks[at + 2u * e4 * params.stride] = pack_half(mean.xy);
    landmarks[at + (2u * e4 + 1u) * params.stride] = pack_half(mean.zw);
  }
  var least = 1.0;
  for (var i = 0u; i < CHUNK; i++) { least = min(least, products[i] / max(sqrt(squares[i] * square), 1e-8)); }
  unlike[id.y * params.stride + chunk] = select(-least, 2.0, chunk == 0u);
}

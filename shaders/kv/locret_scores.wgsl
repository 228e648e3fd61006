// locret_scores — scores[column + g, room + i] = (SiLU([q; k; v]·W1)·W2)[g] of row i of a chunk, q and k before their rotation
//
//   q        [T, H, E]                f32      read
//   table    [*, listLength, columns] vec4u    read
//   source   [*]                      u32      read
//   rope     [*, E/2]                 vec2f    read   (cos, sin) by position
//   weights  [*]                      f32      read   of all layers: W1, then W2
//   scores   [*, stride]              f32      write
//
// dispatch  (tokens / 8, 1, 1): one workgroup per eight tokens, a thread per hidden unit
// cost      bytes 4·tokens·(H + 2·G)·E + tokens / 8·(H + 2·G)·E·HIDDEN·4, flops 2·tokens·(H + 2·G)·E·HIDDEN: compute bound
// why       Queries lie where attention reads them, keys and values in the pages just written: turning back is exact. Eight
//           tokens share each weight, and lie in one page, since a chunk is made of whole pages. Those of another arena than
//           `source` are another dispatch's. W1 is [(H + 2·G)·E, HIDDEN], W2 [HIDDEN, G].
// uses      lib/source_number.wgsl lib/silu.wgsl

override E: u32 = 64;        // head width, a multiple of 8
override H: u32 = 9;         // query heads
override G: u32 = 3;         // KV heads
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4
override HIDDEN: u32 = 64;   // hidden units, and threads

struct Params {
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  row: u32,         // row of the table that the chunk's pages are listed in
  arena: u32,       // number of the buffer bound as `source`
  firstRow: u32,    // row of `q` of the chunk's first token
  first: u32,       // cache slot of that token, a multiple of 32
  weightAt: u32,    // the layer's first weight
  stride: u32,
  room: u32,        // place in a row of `scores` of the chunk's first token
}

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> table: array<vec4u>;
@group(0) @binding(2) var<storage, read> source: array<u32>;
@group(0) @binding(3) var<storage, read> rope: array<vec2f>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> scores: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

override HALF: u32 = E / 2u;
override CHANNELS: u32 = 2u * E;    // of a head, by four tokens
override UNITS: u32 = 2u * HIDDEN;  // likewise

var<workgroup> inputs: array<vec4f, CHANNELS>;  // [E, 2] of one head, four tokens side by side
var<workgroup> hidden: array<vec4f, UNITS>;     // [HIDDEN, 2]

// Channel e of head `head` of [q; k; v], of the token at `slot` of its page and row `row` of q.
fn stored(page: u32, slot: u32, row: u32, head: u32, e: u32) -> f32 {
  if (head < H) { return q[(row * H + head) * E + e]; }
  return source_number(page, slot, e, head >= H + G);
}

@compute @workgroup_size(HIDDEN)
fn locret_scores(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let begin = params.first + 8u * wg.x;
  let at = params.row * params.listLength * params.columns + params.column + (1u + begin / 32u) * params.columns;
  if (table[at].z != params.arena) { return; }
  var sum0 = vec4f();
  var sum1 = vec4f();
  for (var head = 0u; head < H + 2u * G; head++) {
    let page = table[at + (head + G - H % G) % G].x;  // of queries not read
    for (var i = local; i < E; i += HIDDEN) {
      let channel = i % HALF;
      let four = i / HALF;
      var low: vec4f;
      var high: vec4f;
      for (var j = 0u; j < 4u; j++) {
        let token = 4u * four + j;
        let slot = begin % 32u + token;
        let row = params.firstRow + 8u * wg.x + token;
        let a = stored(page, slot, row, head, channel);
        let b = stored(page, slot, row, head, channel + HALF);
        let turn = rope[(begin + token) * HALF + channel];
        let shrink = 1.0 / (turn.x * turn.x + turn.y * turn.y);  // turns may lengthen
        let isValue = head >= H + G;
        low[j] = select((a * turn.x + b * turn.y) * shrink, a, isValue);
        high[j] = select((b * turn.x - a * turn.y) * shrink, b, isValue);
      }
      inputs[2u * channel + four] = low;
      inputs[2u * (channel + HALF) + four] = high;
    }
    workgroupBarrier();
    let weightAt = params.weightAt + head * E * HIDDEN + local;
    for (var e = 0u; e < E; e++) {
      let weight = weights[weightAt + e * HIDDEN];
      sum0 += inputs[2u * e] * weight;
      sum1 += inputs[2u * e + 1u] * weight;
    }
    workgroupBarrier();
  }
  hidden[2u * local] = vec4f(silu(sum0.x), silu(sum0.y), silu(sum0.z), silu(sum0.w));
  hidden[2u * local + 1u] = vec4f(silu(sum1.x), silu(sum1.y), silu(sum1.z), silu(sum1.w));
  workgroupBarrier();
  for (var i = local; i < 2u * G; i += HIDDEN) {
    let head = i / 2u;
    var score = vec4f();
    let weightAt = params.weightAt + (H + 2u * G) * E * HIDDEN + head;
    for (var j = 0u; j < HIDDEN; j++) { score += hidden[2u * j + i % 2u] * weights[weightAt + j * G]; }
    let to = (params.column + head) * params.stride + params.room + 8u * wg.x + 4u * (i % 2u);
    for (var j = 0u; j < 4u; j++) { scores[to + j] = score[j]; }
  }
}

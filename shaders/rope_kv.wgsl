// rope_kv — q and k of every row RMS-normalised (QK_NORM) and rotated; q to `q`, k and v into their cache slots
//
//   qkv       [T, (H+2G)·E]        f32    read
//   rows      [T]                  vec4u  read
//   rope      [positions, E/2]     vec2f  read
//   table     [*, maxPages, stride]  vec4u  read
//   headNorm  [2·E]                f32    read
//   q         [T, H, E]            f32    write
//   kv        [*]                  u32    write
//
// dispatch  (⌈(H+2G)·E/2 / WG⌉, T, 1): one invocation per two neighbouring values of one head
// cost      bytes 4·T·(H+2G)·E·2, flops 6·T·(H+G)·E: memory bound
// why       A word of an f16 page holds values 2j and 2j+1 while the rotation pairs i with i + E/2, so an
//           invocation opens two rotation pairs and writes one word: no two invocations share a word. The sum of
//           squares is taken by every invocation alone (E cached reads) rather than behind a barrier.
//           A row's slot is rows[t] = (position, cacheIndex, tableRow, token): list index cacheIndex / 32, slot
//           cacheIndex % 32. Pages of another arena part are left to that part's dispatch.

override WG: u32 = 64;       // threads per workgroup
override H: u32 = 9;         // query heads
override G: u32 = 3;         // key/value heads
override E: u32 = 64;        // head width, even
override KV_BITS: u32 = 16;  // 32: pages of f32, 16: of f16 pairs
override QK_NORM: u32 = 0;   // 1: q and k are RMS-normalised per head, weights headNorm = (q [E], k [E])

struct Params {
  maxPages: u32,  // pages per table row
  stride: u32,    // table entries per page: lanes of all stores
  lane0: u32,     // first lane of this store
  part: u32,      // arena part bound as kv
  writeQ: u32,    // 1: write q too
  eps: f32,
}

@group(0) @binding(0) var<storage, read> qkv: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> rope: array<vec2f>;
@group(0) @binding(3) var<storage, read> table: array<vec4u>;
@group(0) @binding(4) var<storage, read> headNorm: array<f32>;
@group(0) @binding(5) var<storage, read_write> q: array<f32>;
@group(0) @binding(6) var<storage, read_write> kv: array<u32>;
@group(0) @binding(7) var<uniform> params: Params;

// Factor of the RMS norm of the head at qkv[source .. source + E).
fn norm_scale(source: u32) -> f32 {
  var sum = 0.0;
  for (var e = 0u; e < E; e++) { sum += qkv[source + e] * qkv[source + e]; }
  return inverseSqrt(sum / f32(E) + params.eps);
}

// Value e of that head after norm (weights from headNorm[weight]) and rotation.
fn rotated(source: u32, e: u32, scale: f32, weight: u32, position: u32) -> f32 {
  let pairs = E / 2u;
  let i = e % pairs;
  var a = qkv[source + i];
  var b = qkv[source + i + pairs];
  if (QK_NORM == 1u) {
    a *= scale * headNorm[weight + i];
    b *= scale * headNorm[weight + i + pairs];
  }
  let turn = rope[position * pairs + i];
  return select(a * turn.x - b * turn.y, b * turn.x + a * turn.y, e >= pairs);
}

// The pair as f16, to nearest, ties to even, at most ±65504: pack2x16float alone may round and overflow as it likes.
fn pack_half(pair: vec2f) -> u32 {
  let value = clamp(pair, vec2f(-65504.0), vec2f(65504.0));
  let bits = bitcast<vec2u>(value);
  let normal = bitcast<vec2f>((bits + 0xfffu + ((bits >> vec2u(13u)) & vec2u(1u))) & vec2u(0xffffe000u));
  let small = round(value * 16777216.0) / 16777216.0;  // below 2⁻¹⁴ f16 counts in steps of 2⁻²⁴
  return pack2x16float(select(normal, small, abs(value) < vec2f(6.103515625e-5)));
}

@compute @workgroup_size(WG)
fn rope_kv(@builtin(global_invocation_id) id: vec3u) {
  let pairs = E / 2u;
  let heads = H + 2u * G;
  let head = id.x / pairs;
  let j = id.x % pairs;
  if (head >= heads) { return; }
  if (head < H && params.writeQ == 0u) { return; }
  let row = rows[id.y];
  let source = (id.y * heads + head) * E;

  var pair = vec2f();
  if (head >= H + G) {
    pair = vec2f(qkv[source + 2u * j], qkv[source + 2u * j + 1u]);
  } else {
    var scale = 1.0;
    if (QK_NORM == 1u) { scale = norm_scale(source); }
    let weight = select(0u, E, head >= H);
    pair = vec2f(rotated(source, 2u * j, scale, weight, row.x), rotated(source, 2u * j + 1u, scale, weight, row.x));
  }
  if (head < H) {
    let to = (id.y * H + head) * E + 2u * j;
    q[to] = pair.x;
    q[to + 1u] = pair.y;
    return;
  }

  let lane = params.lane0 + (head - H) % G;
  let entry = table[(row.z * params.maxPages + row.y / 32u) * params.stride + lane];
  if (entry.z != params.part) { return; }
  let slot = row.y % 32u;
  let words = E * KV_BITS / 32u;  // of one slot
  let isValue = head >= H + G;
  if (KV_BITS == 16u) {
    let word = pack_half(pair);
    let at = select(j * 32u + slot, words * 32u + slot * words + j, isValue);
    kv[entry.x + at] = word;
  } else {
    let at = select(j * 64u + slot, words * 32u + slot * words + 2u * j, isValue);
    kv[entry.x + at] = bitcast<u32>(pair.x);
    kv[entry.x + at + select(32u, 1u, isValue)] = bitcast<u32>(pair.y);
  }
}

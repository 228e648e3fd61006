// rope_kv8 — rope_kv for int8 pages: q to `q`, k and v quantised into their cache slots with a scale each
//
//   qkv       [T, (H+2G)·E]        f32    read
//   rows      [T]                  vec4u  read
//   rope      [positions, E/2]     vec2f  read
//   table     [*, maxPages, stride]  vec4u  read
//   headNorm  [2·E]                f32    read
//   q         [T, H, E]            f32    write
//   kv        [*]                  u32    write
//
// dispatch  (⌈(H·E/2 + G) / WG⌉, T, 1): one invocation per two neighbouring values of q, then one per key/value head
// cost      bytes 4·T·(2H+2G)·E, flops 6·T·(H+G)·E: memory bound
// why       A scale needs the largest of E values, and the scales of k and v share a word: so one invocation does both
//           of a head, without a barrier; a decode step has few heads, a prompt has rows enough. It computes k twice
//           (largest, then bytes) instead of keeping E values. Its work is in loops that run zero times for the
//           invocations of q: CPU adapters do not skip branches.

override WG: u32 = 64;       // threads per workgroup
override H: u32 = 9;         // query heads
override G: u32 = 3;         // key/value heads
override E: u32 = 64;        // head width, a multiple of 8
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

// Bytes 1 … 255 of four values, lowest first; 128 is zero.
fn quantise(values: vec4f, step: f32) -> u32 {
  let bytes = vec4u(clamp(round(values / step), vec4f(-127.0), vec4f(127.0)) + vec4f(128.0));
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

@compute @workgroup_size(WG)
fn rope_kv8(@builtin(global_invocation_id) id: vec3u) {
  let pairs = E / 2u;
  let queries = H * pairs;
  if (id.x >= queries + G) { return; }
  let isQuery = id.x < queries;
  if (isQuery && params.writeQ == 0u) { return; }
  let row = rows[id.y];
  let group = select(id.x - queries, 0u, isQuery);
  let head = select(H + group, id.x / pairs, isQuery);
  let heads = H + 2u * G;
  let source = (id.y * heads + head) * E;
  var scale = 1.0;
  if (QK_NORM == 1u) { scale = norm_scale(source); }
  if (isQuery) {
    let j = id.x % pairs;
    let to = (id.y * H + head) * E + 2u * j;
    q[to] = rotated(source, 2u * j, scale, 0u, row.x);
    q[to + 1u] = rotated(source, 2u * j + 1u, scale, 0u, row.x);
  }

  let entry = table[(row.z * params.maxPages + row.y / 32u) * params.stride + params.lane0 + group];
  let end = select(E, 0u, isQuery || entry.z != params.part);
  if (end == 0u) { return; }
  let value = source + G * E;
  var largest = vec2f();  // of k and v
  for (var e = 0u; e < end; e++) {
    largest = max(largest, abs(vec2f(rotated(source, e, scale, E, row.x), qkv[value + e])));
  }
  let steps = pack_half(largest / 127.0);
  let opened = unpack2x16float(steps);
  let step = select(opened, vec2f(1.0), opened == vec2f());
  let slot = row.y % 32u;
  let valueWord = entry.x + E * 8u + slot * (E / 4u);
  for (var e = 0u; e < end; e += 4u) {
    var k = vec4f();
    var v = vec4f();
    for (var i = 0u; i < 4u; i++) {
      k[i] = rotated(source, e + i, scale, E, row.x);
      v[i] = qkv[value + e + i];
    }
    kv[entry.x + e * 8u + slot] = quantise(k, step.x);
    kv[valueWord + e / 4u] = quantise(v, step.y);
  }
  kv[entry.x + E * 16u + slot] = steps;
}

// attn_prefill_regs — softmax(q · Kᵀ · scale) · V of consecutive rows of one sequence, all in registers
//
//   q         [T, H, E]                 f32    read
//   rows      [T]                       vec4u  read
//   table     [*, maxPages, stride]     vec4u  read
//   kv        [*]                       u32    read
//   partials  [count, H, parts, E+2]    f32    write
//   out       [T, H, E]                 f32    write
//
// dispatch  (⌈count / 4·WG⌉, H, 1): one invocation per four rows of one head
// cost      bytes 4·count·H·E·2 + ⌈count/4⌉·H·S·E·KV_BITS/4, flops 4·count·H·S·E: compute bound
// why       For adapters whose lanes are SIMD lanes of a processor (SwiftShader), where workgroup memory is slow.
//           Every product is 4×4×4 as one matrix product: K is e-major, so four loads of four slots are a factor as
//           they lie; V is slot-major, so four loads of four values are one too. All lanes of a workgroup read the
//           same K and V, which is one load for all of them. Rows see a page whole unless it is the diagonal, has
//           holes or straddles the window; only then are scores masked and unseen V (which may be NaN) zeroed.

override WG: u32 = 4;        // threads per workgroup: the SIMD width
override H: u32 = 9;         // query heads
override G: u32 = 3;         // key/value heads
override KV_BITS: u32 = 16;  // 32: pages of f32, 16: of f16 pairs
const E: u32 = 64;           // head width, a multiple of 8

struct Params {
  firstRow: u32,
  count: u32,     // rows: consecutive positions and cache indices of one sequence
  maxPages: u32,  // pages per table row
  stride: u32,    // table entries per page: lanes of all stores
  lane0: u32,     // first lane of this store
  part: u32,      // arena part bound as kv
  parts: u32,
  window: u32,    // keys a query sees, itself included; 0: all
  scale: f32,     // 1/√E
}

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> kv: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;

const UNSEEN = -3e38;
const E4 = E / 4u;
const LOG2E = 1.4426950408889634;

// Bit s is set if slot s of the page is at or before `position`, and so written. NaN may lie in all others.
fn past(entry: vec4u, position: u32) -> u32 {
  if (entry.w > position) { return 0u; }
  let newest = position - entry.w;
  return select(entry.y, entry.y & ((2u << (newest % 32u)) - 1u), newest < 31u);
}

// Of those, the slots that the query at `position` sees through the window.
fn seen(entry: vec4u, position: u32) -> u32 {
  let bits = past(entry, position);
  if (params.window == 0u || entry.w + params.window > position) { return bits; }
  let gone = position - entry.w - params.window + 1u;
  return select(0u, bits & (0xffffffffu << (gone % 32u)), gone < 32u);
}

// Columns: values 4·e4 .. 4·e4+3; in each, slots 4·s4 .. 4·s4+3. `page` in vec4s.
fn keys(page: u32, e4: u32, s4: u32) -> mat4x4f {
  if (KV_BITS == 16u) {
    let at = page + e4 * 16u + s4;
    let a = kv[at];
    let b = kv[at + 8u];
    let a0 = unpack2x16float(a.x);
    let a1 = unpack2x16float(a.y);
    let a2 = unpack2x16float(a.z);
    let a3 = unpack2x16float(a.w);
    let b0 = unpack2x16float(b.x);
    let b1 = unpack2x16float(b.y);
    let b2 = unpack2x16float(b.z);
    let b3 = unpack2x16float(b.w);
    return mat4x4f(
      vec4f(a0.x, a1.x, a2.x, a3.x), vec4f(a0.y, a1.y, a2.y, a3.y),
      vec4f(b0.x, b1.x, b2.x, b3.x), vec4f(b0.y, b1.y, b2.y, b3.y),
    );
  }
  let at = page + e4 * 32u + s4;
  return mat4x4f(bitcast<vec4f>(kv[at]), bitcast<vec4f>(kv[at + 8u]), bitcast<vec4f>(kv[at + 16u]), bitcast<vec4f>(kv[at + 24u]));
}

// Values 4·e4 .. 4·e4+3 of a slot.
fn value(page: u32, e4: u32, slot: u32) -> vec4f {
  if (KV_BITS == 16u) {
    let both = kv[page + E * 4u + slot * (E / 8u) + e4 / 2u];
    let pair = select(both.xy, both.zw, e4 % 2u == 1u);
    return vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
  }
  return bitcast<vec4f>(kv[page + E * 8u + slot * E4 + e4]);
}

fn max4(x: vec4f) -> f32 {
  return max(max(x.x, x.y), max(x.z, x.w));
}

// Slots of one row's score that must not be seen become UNSEEN.
fn masked(score: vec4f, bits: u32) -> vec4f {
  return select(vec4f(UNSEEN), score, (vec4u(bits) & vec4u(1u, 2u, 4u, 8u)) != vec4u());
}

@compute @workgroup_size(WG)
fn attn_prefill_regs(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let head = wg.y;
  let oldest = wg.x * WG * 4u;                            // of the workgroup's rows
  let newest = min(oldest + WG * 4u, params.count) - 1u;
  let first = oldest + local * 4u;                        // of this invocation's rows
  var at = vec4u(first, first + 1u, first + 2u, first + 3u);
  at = min(at, vec4u(params.count - 1u)) + params.firstRow;
  let row = rows[params.firstRow];
  let position = vec4u(row.x) + at - params.firstRow;
  let firstPosition = row.x + oldest;
  let lastPosition = row.x + newest;
  let listed = (row.y + newest) / 32u + 1u;
  let entry0 = row.z * params.maxPages * params.stride + params.lane0 + head / (H / G);

  var queries: array<mat4x4f, E4>;  // columns: rows
  var acc: array<mat4x4f, E4>;      // columns: rows
  let query = (at * H + head) * E4;
  for (var e4 = 0u; e4 < E4; e4++) {
    queries[e4] = mat4x4f(q[query.x + e4], q[query.y + e4], q[query.z + e4], q[query.w + e4]) * (params.scale * LOG2E);
    acc[e4] = mat4x4f();
  }
  var top = vec4f(UNSEEN);  // of each row, in powers of two
  var sum = vec4f();

  for (var list = 0u; list < listed; list++) {
    let entry = table[entry0 + list * params.stride];
    if (entry.y == 0u || entry.z != params.part || entry.w > lastPosition) { continue; }
    if (params.window != 0u && entry.w + 31u + params.window <= firstPosition) { continue; }
    let whole = entry.y == 0xffffffffu && entry.w + 31u <= firstPosition
      && (params.window == 0u || entry.w + params.window > lastPosition);
    let page = entry.x / 4u;

    var scores: array<mat4x4f, 8>;  // columns: rows; in each, four slots
    for (var s4 = 0u; s4 < 8u; s4++) {
      var tile = mat4x4f();
      for (var e4 = 0u; e4 < E4; e4++) { tile += keys(page, e4, s4) * queries[e4]; }
      scores[s4] = tile;
    }
    if (!whole) {
      let bits = vec4u(seen(entry, position.x), seen(entry, position.y), seen(entry, position.z), seen(entry, position.w));
      for (var s4 = 0u; s4 < 8u; s4++) {
        let shifted = bits >> vec4u(4u * s4);
        let tile = scores[s4];
        scores[s4] = mat4x4f(masked(tile[0], shifted.x), masked(tile[1], shifted.y), masked(tile[2], shifted.z), masked(tile[3], shifted.w));
      }
    }

    var newTop = top;
    for (var s4 = 0u; s4 < 8u; s4++) {
      let tile = scores[s4];
      newTop = max(newTop, vec4f(max4(tile[0]), max4(tile[1]), max4(tile[2]), max4(tile[3])));
    }
    let keep = exp2(top - newTop);
    top = newTop;
    sum *= keep;
    // A row that has seen nothing yet has top = UNSEEN, as all its scores: their weight is 0, not exp2(0).
    let base = select(top, vec4f(), top < vec4f(-1e38));
    for (var s4 = 0u; s4 < 8u; s4++) {
      let tile = scores[s4];
      let weights = mat4x4f(exp2(tile[0] - base.x), exp2(tile[1] - base.y), exp2(tile[2] - base.z), exp2(tile[3] - base.w));
      sum += vec4f(1.0) * weights;
      scores[s4] = weights;
    }

    let written = past(entry, lastPosition);
    for (var e4 = 0u; e4 < E4; e4++) {
      let old = acc[e4];
      var tile = mat4x4f(old[0] * keep.x, old[1] * keep.y, old[2] * keep.z, old[3] * keep.w);
      for (var s4 = 0u; s4 < 8u; s4++) {
        let slot = 4u * s4;
        var values = mat4x4f(value(page, e4, slot), value(page, e4, slot + 1u), value(page, e4, slot + 2u), value(page, e4, slot + 3u));
        if (!whole) {
          for (var i = 0u; i < 4u; i++) {
            values[i] = select(vec4f(), values[i], ((written >> (slot + i)) & 1u) == 1u);
          }
        }
        tile += values * scores[s4];
      }
      acc[e4] = tile;
    }
  }

  for (var r = 0u; r < 4u; r++) {
    if (first + r >= params.count) { continue; }
    if (params.parts == 1u) {
      let scale = select(0.0, 1.0 / sum[r], sum[r] > 0.0);
      for (var e4 = 0u; e4 < E4; e4++) { out[query[r] + e4] = acc[e4][r] * scale; }
    } else {
      let to = (((first + r) * H + head) * params.parts + params.part) * (E + 2u);
      for (var e4 = 0u; e4 < E4; e4++) {
        for (var i = 0u; i < 4u; i++) { partials[to + 4u * e4 + i] = acc[e4][r][i]; }
      }
      partials[to + E] = select(UNSEEN, top[r] / LOG2E, top[r] > -1e38);
      partials[to + E + 1u] = sum[r];
    }
  }
}

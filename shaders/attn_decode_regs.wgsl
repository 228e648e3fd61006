// attn_decode_regs — softmax(q · Kᵀ · scale) · V of single rows over their pages, on one quad of lanes
//
//   q         [T, H, E]                  f32    read
//   rows      [T]                        vec4u  read
//   table     [*, maxPages, stride]      vec4u  read
//   kv        [*]                        u32    read
//   partials  [M, H, splits·parts, E+2]  f32    write
//   out       [T, H, E]                  f32    write
//
// dispatch  (G, splits, M): one workgroup of 4 threads per key/value head, split of the page list and row
// cost      bytes 2·M·G·S·E·KV_BITS/8, flops 4·M·H·S·E: bound by loads
// why       attn_prefill_regs with the R heads of one row in the place of 16 rows of one head: all share each load,
//           and no lane loads what another has. For adapters that run shaders on a CPU (SwiftShader), where a load
//           costs as much as ten multiply-adds.

enable subgroups;

override H: u32 = 9;         // query heads
override G: u32 = 3;         // key/value heads
override KV_BITS: u32 = 16;  // 32: pages of f32, 16: of f16 pairs
const R: u32 = 3;            // H / G, at most 8
const E: u32 = 64;           // head width, a multiple of 8, at most 128

struct Params {
  firstRow: u32,       // row of workgroup z = 0
  maxPages: u32,       // pages per table row
  stride: u32,         // table entries per page: lanes of all stores
  lane0: u32,          // first lane of this store
  part: u32,           // arena part bound as kv
  parts: u32,
  splits: u32,
  pagesPerSplit: u32,
  window: u32,         // keys a query sees, itself included; 0: all
  scale: f32,          // 1/√E
}

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> kv: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const UNSEEN = -3e38;
const LOG2E = 1.4426950408889634;
const ALL = 0xffffffffu;

// One vec4 per query head of the group.
struct Heads {
  h0: vec4f, h1: vec4f, h2: vec4f, h3: vec4f, h4: vec4f, h5: vec4f, h6: vec4f, h7: vec4f,
}

// Softmax of one head so far, and its weights of the four slots at hand.
struct Soft {
  weights: vec4f,
  top: f32,   // in powers of two
  sum: f32,   // of this lane's slots
  keep: f32,  // factor of what was summed under the old top
}

// Bit s is set if the query at `position` sees slot s of the page.
fn seen(entry: vec4u, position: u32) -> u32 {
  if (entry.w > position || entry.z != params.part) { return 0u; }
  let newest = position - entry.w;
  let bits = select(entry.y, entry.y & ((2u << (newest % 32u)) - 1u), newest < 31u);
  if (params.window == 0u || newest < params.window) { return bits; }
  let gone = newest - params.window + 1u;
  return select(0u, bits & (0xffffffffu << (gone % 32u)), gone < 32u);
}

// Keys of four slots: value e + (lane ^ s) of each in ks.
struct Keys {
  k0: vec4f,
  k1: vec4f,
  k2: vec4f,
  k3: vec4f,
}

// Even (low) and odd values of e of four slots, from their words.
fn low4(a: vec2u, b: vec2u) -> vec4f {
  return vec4f(unpack2x16float(a.x).x, unpack2x16float(a.y).x, unpack2x16float(b.x).x, unpack2x16float(b.y).x);
}

fn high4(a: vec2u, b: vec2u) -> vec4f {
  return vec4f(unpack2x16float(a.x).y, unpack2x16float(a.y).y, unpack2x16float(b.x).y, unpack2x16float(b.y).y);
}

fn float4(at: u32) -> vec4f {
  return vec4f(bitcast<vec2f>(kv[at]), bitcast<vec2f>(kv[at + 1u]));
}

// `page` in vec2s; slots 4·quad .. 4·quad+3.
fn keys(page: u32, e: u32, quad: u32, lane: u32) -> Keys {
  if (KV_BITS == 16u) {
    // Words of values (e, e+1) and (e+2, e+3); which half comes first depends on the lane.
    let near = page + (e + (lane & 2u)) * 8u + quad * 2u;
    let far = page + (e + ((lane & 2u) ^ 2u)) * 8u + quad * 2u;
    let a = kv[near];
    let b = kv[near + 1u];
    let c = kv[far];
    let d = kv[far + 1u];
    let even = vec4<bool>((lane & 1u) == 0u);
    return Keys(
      select(high4(a, b), low4(a, b), even),
      select(low4(a, b), high4(a, b), even),
      select(high4(c, d), low4(c, d), even),
      select(low4(c, d), high4(c, d), even),
    );
  }
  let at = page + e * 16u + quad * 2u;
  return Keys(
    float4(at + lane * 16u),
    float4(at + (lane ^ 1u) * 16u),
    float4(at + (lane ^ 2u) * 16u),
    float4(at + (lane ^ 3u) * 16u),
  );
}

// Values 4·column .. 4·column+3 of a slot; 0 unless visible = ALL.
fn values(page: u32, column: u32, slot: u32, visible: u32) -> vec4f {
  if (KV_BITS == 16u) {
    let words = kv[page + E * 8u + slot * (E / 4u) + column] & vec2u(visible);
    return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
  }
  let at = page + E * 16u + slot * (E / 2u) + 2u * column;
  return vec4f(bitcast<vec2f>(kv[at] & vec2u(visible)), bitcast<vec2f>(kv[at + 1u] & vec2u(visible)));
}

// Adds four products to each sum of one head: this lane holds x of `lane` (value of q or weight of a slot), v0 … v3 are
// what it meets of lane, lane ^ 1, lane ^ 2, lane ^ 3.
fn meet(sum: vec4f, x: f32, v0: vec4f, v1: vec4f, v2: vec4f, v3: vec4f) -> vec4f {
  let y = quadSwapX(x);
  let z = quadSwapY(x);
  let w = quadSwapDiagonal(x);
  return vec4f(
    sum.x + x * v0.x + y * v1.x + z * v2.x + w * v3.x,
    sum.y + x * v0.y + y * v1.y + z * v2.y + w * v3.y,
    sum.z + x * v0.z + y * v1.z + z * v2.z + w * v3.z,
    sum.w + x * v0.w + y * v1.w + z * v2.w + w * v3.w,
  );
}

// Masks one head's scores and turns them into weights.
fn soften(old: Soft, score: vec4f, shown: vec4<bool>) -> Soft {
  let seen = select(vec4f(UNSEEN), score, shown);
  var best = max(max(seen.x, seen.y), max(seen.z, seen.w));
  best = max(best, quadSwapX(best));
  best = max(best, quadSwapY(best));
  let top = max(old.top, best);
  // A head that has seen nothing yet has top = UNSEEN, as all its scores: their weight is 0, not exp2(0).
  let base = select(top, 0.0, top < -1e38);
  let weights = exp2(seen - base);
  let keep = exp2(old.top - top);
  return Soft(weights, top, old.sum * keep + (weights.x + weights.y) + (weights.z + weights.w), keep);
}

// The output of columns `column` after 16 more slots, 4·lane + i from `slot0` on.
fn advance(sums: Heads, soft: array<Soft, 8>, page: u32, column: u32, slot0: u32, lane: u32, shown: vec4u) -> Heads {
  var next = sums;
  next.h0 *= soft[0].keep;
  if (R > 1u) { next.h1 *= soft[1].keep; }
  if (R > 2u) { next.h2 *= soft[2].keep; }
  if (R > 3u) { next.h3 *= soft[3].keep; }
  if (R > 4u) { next.h4 *= soft[4].keep; }
  if (R > 5u) { next.h5 *= soft[5].keep; }
  if (R > 6u) { next.h6 *= soft[6].keep; }
  if (R > 7u) { next.h7 *= soft[7].keep; }
  // One slot of each group at a time; the weights rotate so that its are .x.
  var visible = shown;
  var w0 = soft[0].weights;
  var w1 = soft[1].weights;
  var w2 = soft[2].weights;
  var w3 = soft[3].weights;
  var w4 = soft[4].weights;
  var w5 = soft[5].weights;
  var w6 = soft[6].weights;
  var w7 = soft[7].weights;
  for (var i = 0u; i < 4u; i++) {
    let v0 = values(page, column, slot0 + i + 4u * lane, visible.x);
    let v1 = values(page, column, slot0 + i + 4u * (lane ^ 1u), quadSwapX(visible.x));
    let v2 = values(page, column, slot0 + i + 4u * (lane ^ 2u), quadSwapY(visible.x));
    let v3 = values(page, column, slot0 + i + 4u * (lane ^ 3u), quadSwapDiagonal(visible.x));
    next.h0 = meet(next.h0, w0.x, v0, v1, v2, v3);
    if (R > 1u) { next.h1 = meet(next.h1, w1.x, v0, v1, v2, v3); }
    if (R > 2u) { next.h2 = meet(next.h2, w2.x, v0, v1, v2, v3); }
    if (R > 3u) { next.h3 = meet(next.h3, w3.x, v0, v1, v2, v3); }
    if (R > 4u) { next.h4 = meet(next.h4, w4.x, v0, v1, v2, v3); }
    if (R > 5u) { next.h5 = meet(next.h5, w5.x, v0, v1, v2, v3); }
    if (R > 6u) { next.h6 = meet(next.h6, w6.x, v0, v1, v2, v3); }
    if (R > 7u) { next.h7 = meet(next.h7, w7.x, v0, v1, v2, v3); }
    visible = visible.yzwx;
    w0 = w0.yzwx;
    if (R > 1u) { w1 = w1.yzwx; }
    if (R > 2u) { w2 = w2.yzwx; }
    if (R > 3u) { w3 = w3.yzwx; }
    if (R > 4u) { w4 = w4.yzwx; }
    if (R > 5u) { w5 = w5.yzwx; }
    if (R > 6u) { w6 = w6.yzwx; }
    if (R > 7u) { w7 = w7.yzwx; }
  }
  return next;
}

// Writes one column of four values of one head.
fn store(to: u32, column: u32, sum: vec4f, direct: bool) {
  if (column >= E / 4u) { return; }
  for (var i = 0u; i < 4u; i++) {
    if (direct) { out[to + 4u * column + i] = sum[i]; } else { partials[to + 4u * column + i] = sum[i]; }
  }
}

// Writes one head: its output in columns lane, lane + 4, … and, where the result is partial, max and sum.
fn finish(m: u32, split: u32, head: u32, lane: u32, soft: Soft, o0: vec4f, o1: vec4f, o2: vec4f, o3: vec4f, o4: vec4f, o5: vec4f, o6: vec4f, o7: vec4f) {
  var total = soft.sum + quadSwapX(soft.sum);
  total += quadSwapY(total);
  let entries = params.splits * params.parts;
  let direct = entries == 1u;
  var to = ((params.firstRow + m) * H + head) * E;
  var scale = 1.0;
  if (direct) {
    scale = select(0.0, 1.0 / total, total > 0.0);
  } else {
    to = ((m * H + head) * entries + split * params.parts + params.part) * (E + 2u);
    if (lane == 0u) {
      partials[to + E] = select(UNSEEN, soft.top / LOG2E, soft.top > -1e38);
      partials[to + E + 1u] = total;
    }
  }
  store(to, lane, o0 * scale, direct);
  if (E > 16u) { store(to, lane + 4u * 1u, o1 * scale, direct); }
  if (E > 32u) { store(to, lane + 4u * 2u, o2 * scale, direct); }
  if (E > 48u) { store(to, lane + 4u * 3u, o3 * scale, direct); }
  if (E > 64u) { store(to, lane + 4u * 4u, o4 * scale, direct); }
  if (E > 80u) { store(to, lane + 4u * 5u, o5 * scale, direct); }
  if (E > 96u) { store(to, lane + 4u * 6u, o6 * scale, direct); }
  if (E > 112u) { store(to, lane + 4u * 7u, o7 * scale, direct); }
}

@compute @workgroup_size(4)
fn attn_decode_regs(@builtin(workgroup_id) wg: vec3u, @builtin(subgroup_invocation_id) subgroup: u32) {
  let lane = subgroup & 3u;
  let row = rows[params.firstRow + wg.z];
  let head0 = wg.x * R;
  let query = ((params.firstRow + wg.z) * H + head0) * E + lane;
  let firstPage = wg.y * params.pagesPerSplit;
  let endPage = min(firstPage + params.pagesPerSplit, row.y / 32u + 1u);
  let entry0 = row.z * params.maxPages * params.stride + params.lane0 + wg.x;
  let laneBits = vec4u(1u, 2u, 4u, 8u) << vec4u(4u * lane);
  let factor = params.scale * LOG2E;

  let none = Soft(vec4f(), UNSEEN, 0.0, 1.0);
  var soft = array<Soft, 8>(none, none, none, none, none, none, none, none);
  var o0 = Heads();
  var o1 = Heads();
  var o2 = Heads();
  var o3 = Heads();
  var o4 = Heads();
  var o5 = Heads();
  var o6 = Heads();
  var o7 = Heads();

  for (var list = firstPage; list < endPage; list++) {
    let entry = table[entry0 + list * params.stride];
    let bits = seen(entry, row.x);
    let page = entry.x / 2u;
    // A branch would not skip: it costs what is in it whether taken or not.
    for (var half = select(0u, 2u, bits == 0u); half < 2u; half++) {
      var s = Heads();
      for (var e = 0u; e < E; e += 4u) {
        let k = keys(page, e, half * 4u + lane, lane);
        s.h0 = meet(s.h0, q[query + 0u * E + e], k.k0, k.k1, k.k2, k.k3);
        if (R > 1u) { s.h1 = meet(s.h1, q[query + 1u * E + e], k.k0, k.k1, k.k2, k.k3); }
        if (R > 2u) { s.h2 = meet(s.h2, q[query + 2u * E + e], k.k0, k.k1, k.k2, k.k3); }
        if (R > 3u) { s.h3 = meet(s.h3, q[query + 3u * E + e], k.k0, k.k1, k.k2, k.k3); }
        if (R > 4u) { s.h4 = meet(s.h4, q[query + 4u * E + e], k.k0, k.k1, k.k2, k.k3); }
        if (R > 5u) { s.h5 = meet(s.h5, q[query + 5u * E + e], k.k0, k.k1, k.k2, k.k3); }
        if (R > 6u) { s.h6 = meet(s.h6, q[query + 6u * E + e], k.k0, k.k1, k.k2, k.k3); }
        if (R > 7u) { s.h7 = meet(s.h7, q[query + 7u * E + e], k.k0, k.k1, k.k2, k.k3); }
      }
      let shown = ((laneBits * select(1u, 65536u, half == 1u)) & vec4u(bits)) != vec4u();
      soft[0] = soften(soft[0], s.h0 * factor, shown);
      if (R > 1u) { soft[1] = soften(soft[1], s.h1 * factor, shown); }
      if (R > 2u) { soft[2] = soften(soft[2], s.h2 * factor, shown); }
      if (R > 3u) { soft[3] = soften(soft[3], s.h3 * factor, shown); }
      if (R > 4u) { soft[4] = soften(soft[4], s.h4 * factor, shown); }
      if (R > 5u) { soft[5] = soften(soft[5], s.h5 * factor, shown); }
      if (R > 6u) { soft[6] = soften(soft[6], s.h6 * factor, shown); }
      if (R > 7u) { soft[7] = soften(soft[7], s.h7 * factor, shown); }
      let masks = select(vec4u(), vec4u(ALL), shown);
      o0 = advance(o0, soft, page, min(lane, E / 4u - 1u), half * 16u, lane, masks);
      if (E > 16u) { o1 = advance(o1, soft, page, min(lane + 4u * 1u, E / 4u - 1u), half * 16u, lane, masks); }
      if (E > 32u) { o2 = advance(o2, soft, page, min(lane + 4u * 2u, E / 4u - 1u), half * 16u, lane, masks); }
      if (E > 48u) { o3 = advance(o3, soft, page, min(lane + 4u * 3u, E / 4u - 1u), half * 16u, lane, masks); }
      if (E > 64u) { o4 = advance(o4, soft, page, min(lane + 4u * 4u, E / 4u - 1u), half * 16u, lane, masks); }
      if (E > 80u) { o5 = advance(o5, soft, page, min(lane + 4u * 5u, E / 4u - 1u), half * 16u, lane, masks); }
      if (E > 96u) { o6 = advance(o6, soft, page, min(lane + 4u * 6u, E / 4u - 1u), half * 16u, lane, masks); }
      if (E > 112u) { o7 = advance(o7, soft, page, min(lane + 4u * 7u, E / 4u - 1u), half * 16u, lane, masks); }
    }
  }

  finish(wg.z, wg.y, head0 + 0u, lane, soft[0], o0.h0, o1.h0, o2.h0, o3.h0, o4.h0, o5.h0, o6.h0, o7.h0);
  if (R > 1u) { finish(wg.z, wg.y, head0 + 1u, lane, soft[1], o0.h1, o1.h1, o2.h1, o3.h1, o4.h1, o5.h1, o6.h1, o7.h1); }
  if (R > 2u) { finish(wg.z, wg.y, head0 + 2u, lane, soft[2], o0.h2, o1.h2, o2.h2, o3.h2, o4.h2, o5.h2, o6.h2, o7.h2); }
  if (R > 3u) { finish(wg.z, wg.y, head0 + 3u, lane, soft[3], o0.h3, o1.h3, o2.h3, o3.h3, o4.h3, o5.h3, o6.h3, o7.h3); }
  if (R > 4u) { finish(wg.z, wg.y, head0 + 4u, lane, soft[4], o0.h4, o1.h4, o2.h4, o3.h4, o4.h4, o5.h4, o6.h4, o7.h4); }
  if (R > 5u) { finish(wg.z, wg.y, head0 + 5u, lane, soft[5], o0.h5, o1.h5, o2.h5, o3.h5, o4.h5, o5.h5, o6.h5, o7.h5); }
  if (R > 6u) { finish(wg.z, wg.y, head0 + 6u, lane, soft[6], o0.h6, o1.h6, o2.h6, o3.h6, o4.h6, o5.h6, o6.h6, o7.h6); }
  if (R > 7u) { finish(wg.z, wg.y, head0 + 7u, lane, soft[7], o0.h7, o1.h7, o2.h7, o3.h7, o4.h7, o5.h7, o6.h7, o7.h7); }
}

// attn_decode_regs8 — attn_decode_regs for int8 pages: softmax(q · Kᵀ · scale) · V of single rows, on one quad of lanes
//
//   q         [T, H, E]                  f32    read
//   rows      [T]                        vec4u  read
//   table     [*, maxPages, stride]      vec4u  read
//   kv        [*]                        u32    read
//   partials  [M, H, splits·parts, E+2]  f32    write
//   out       [T, H, E]                  f32    write
//
// dispatch  (G, splits, M): one workgroup of 4 threads per key/value head, split of the page list and row
// cost      bytes 2·M·G·S·E, flops 4·M·H·S·E: bound by multiply-adds
// why       For adapters that run shaders on a CPU (SwiftShader): a word holds four values of e, so a page takes a quarter
//           of the loads, and with neighbouring lanes on neighbouring words each is one SIMD load. Scores have lanes
//           along slots, output has lanes along e; q and the weights are handed round by quad broadcasts. Shifts are
//           dear there: bytes stay in place, mask and convert give 256^i·byte, and the other factor (q) or the end
//           result (output) carries 256^-i, which is exact. A byte is value + 128; the highest is opened as signed,
//           the others' 128 is taken off the sums: 128·Σq of a score, 128·Σweight of the output. Scales of slots
//           that nobody wrote may be NaN: they are zeroed, their bytes are numbers whatever they hold.

enable subgroups;

override H: u32 = 9;         // query heads
override G: u32 = 3;         // key/value heads
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
@group(0) @binding(3) var<storage, read> kv: array<u32>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const UNSEEN = -3e38;
const LOG2E = 1.4426950408889634;
const DOWN = vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24);  // factors of the bytes of a word

// One vec4 per query head of the group.
struct Heads {
  h0: vec4f, h1: vec4f, h2: vec4f, h3: vec4f, h4: vec4f, h5: vec4f, h6: vec4f, h7: vec4f,
}

// Softmax of one head so far, and its weights times the scales of V, of slots 4i + lane and 16 + 4i + lane.
struct Soft {
  near: vec4f,
  far: vec4f,
  top: f32,       // in powers of two
  sum: f32,       // of this lane's slots
  weighted: f32,  // the same, with the scales of V
  keep: f32,      // factor of what was summed under the old top
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

// Keys of four slots 4i + lane: byte b of each in bs, times 256^s; b3 is signed.
struct Keys {
  b0: vec4f,
  b1: vec4f,
  b2: vec4f,
  b3: vec4f,
}

fn column4(at: u32) -> vec4u { return vec4u(kv[at], kv[at + 4u], kv[at + 8u], kv[at + 12u]); }

fn keys(at: u32) -> Keys {
  let words = column4(at);
  return Keys(
    vec4f(vec4i(words & vec4u(0xffu))),  // signed converts faster
    vec4f(vec4i(words & vec4u(0xff00u))),
    vec4f(vec4i(words & vec4u(0xff0000u))),
    vec4f(vec4i((words & vec4u(0xff000000u)) ^ vec4u(0x80000000u))),
  );
}

// Four values of V of a slot, times 256^i; the last is signed.
fn values(at: u32) -> vec4f {
  let word = kv[at];
  return vec4f(vec4i((vec4u(word) & vec4u(0xffu, 0xff00u, 0xff0000u, 0xff000000u)) ^ vec4u(0u, 0u, 0u, 0x80000000u)));
}

// Adds four values of e to one head's scores of four slots; x are the values of q, times 256^-i.
fn score(sum: vec4f, x: f32, k: Keys) -> vec4f {
  return sum + quadBroadcast(x, 0u) * k.b0 + quadBroadcast(x, 1u) * k.b1 + quadBroadcast(x, 2u) * k.b2 + quadBroadcast(x, 3u) * k.b3;
}

fn total(x: f32) -> f32 {
  let pair = x + quadSwapX(x);
  return pair + quadSwapY(pair);
}

// 128·Σ of the q that meet unsigned bytes.
fn excess(query: u32, q128: f32) -> f32 {
  var sum = 0.0;
  for (var e = 0u; e < E; e += 4u) { sum += q[query + e] * q128; }
  return total(sum);
}

// The scales of K and V of this lane's slots; 0 where nothing may be seen.
struct Scales {
  keyNear: vec4f,
  keyFar: vec4f,
  valueNear: vec4f,
  valueFar: vec4f,
  near: vec4<bool>,  // shown
  far: vec4<bool>,
}

fn scales(page: u32, bits: u32, lane: u32) -> Scales {
  let mine = (vec4u(1u, 16u, 256u, 4096u) << vec4u(lane)) & vec4u(0xffffu);
  let near = (mine & vec4u(bits)) != vec4u();
  let far = (mine & vec4u(bits >> 16u)) != vec4u();
  let a = select(vec4u(), column4(page + E * 16u + lane), near);
  let b = select(vec4u(), column4(page + E * 16u + 16u + lane), far);
  let a0 = unpack2x16float(a.x);
  let a1 = unpack2x16float(a.y);
  let a2 = unpack2x16float(a.z);
  let a3 = unpack2x16float(a.w);
  let b0 = unpack2x16float(b.x);
  let b1 = unpack2x16float(b.y);
  let b2 = unpack2x16float(b.z);
  let b3 = unpack2x16float(b.w);
  return Scales(
    vec4f(a0.x, a1.x, a2.x, a3.x),
    vec4f(b0.x, b1.x, b2.x, b3.x),
    vec4f(a0.y, a1.y, a2.y, a3.y),
    vec4f(b0.y, b1.y, b2.y, b3.y),
    near,
    far,
  );
}

// Scales and masks one head's scores and turns them into weights.
fn soften(old: Soft, near: vec4f, far: vec4f, excess: f32, page: Scales) -> Soft {
  let seenNear = select(vec4f(UNSEEN), (near - excess) * page.keyNear, page.near);
  let seenFar = select(vec4f(UNSEEN), (far - excess) * page.keyFar, page.far);
  let most = max(seenNear, seenFar);
  var best = max(max(most.x, most.y), max(most.z, most.w));
  best = max(best, quadSwapX(best));
  best = max(best, quadSwapY(best));
  let top = max(old.top, best);
  // A head that has seen nothing yet has top = UNSEEN, as all its scores: their weight is 0, not exp2(0).
  let base = select(top, 0.0, top < -1e38);
  let a = exp2(seenNear - base);
  let b = exp2(seenFar - base);
  let keep = exp2(old.top - top);
  let sum = a + b;
  let valueNear = a * page.valueNear;
  let valueFar = b * page.valueFar;
  let weighted = valueNear + valueFar;
  return Soft(
    valueNear,
    valueFar,
    top,
    old.sum * keep + (sum.x + sum.y) + (sum.z + sum.w),
    old.weighted * keep + (weighted.x + weighted.y) + (weighted.z + weighted.w),
    keep,
  );
}

// Adds four slots to the output of one head.
fn meet(sum: vec4f, weight: f32, v0: vec4f, v1: vec4f, v2: vec4f, v3: vec4f) -> vec4f {
  return sum + quadBroadcast(weight, 0u) * v0 + quadBroadcast(weight, 1u) * v1 + quadBroadcast(weight, 2u) * v2 + quadBroadcast(weight, 3u) * v3;
}

// The output of columns `column` after 16 more slots, from word `at0` on; w are their weights.
fn pass16(sums: Heads, w: Heads, at0: u32) -> Heads {
  var next = sums;
  var turning = w;
  for (var i = 0u; i < 4u; i++) {
    let at = at0 + i * E;
    let v0 = values(at);
    let v1 = values(at + E / 4u);
    let v2 = values(at + E / 2u);
    let v3 = values(at + E / 4u * 3u);
    next.h0 = meet(next.h0, turning.h0.x, v0, v1, v2, v3);
    if (R > 1u) { next.h1 = meet(next.h1, turning.h1.x, v0, v1, v2, v3); }
    if (R > 2u) { next.h2 = meet(next.h2, turning.h2.x, v0, v1, v2, v3); }
    if (R > 3u) { next.h3 = meet(next.h3, turning.h3.x, v0, v1, v2, v3); }
    if (R > 4u) { next.h4 = meet(next.h4, turning.h4.x, v0, v1, v2, v3); }
    if (R > 5u) { next.h5 = meet(next.h5, turning.h5.x, v0, v1, v2, v3); }
    if (R > 6u) { next.h6 = meet(next.h6, turning.h6.x, v0, v1, v2, v3); }
    if (R > 7u) { next.h7 = meet(next.h7, turning.h7.x, v0, v1, v2, v3); }
    turning.h0 = turning.h0.yzwx;
    if (R > 1u) { turning.h1 = turning.h1.yzwx; }
    if (R > 2u) { turning.h2 = turning.h2.yzwx; }
    if (R > 3u) { turning.h3 = turning.h3.yzwx; }
    if (R > 4u) { turning.h4 = turning.h4.yzwx; }
    if (R > 5u) { turning.h5 = turning.h5.yzwx; }
    if (R > 6u) { turning.h6 = turning.h6.yzwx; }
    if (R > 7u) { turning.h7 = turning.h7.yzwx; }
  }
  return next;
}

// The output of columns `column` after a page.
fn advance(sums: Heads, soft: array<Soft, 8>, page: u32, column: u32) -> Heads {
  var next = sums;
  next.h0 *= soft[0].keep;
  if (R > 1u) { next.h1 *= soft[1].keep; }
  if (R > 2u) { next.h2 *= soft[2].keep; }
  if (R > 3u) { next.h3 *= soft[3].keep; }
  if (R > 4u) { next.h4 *= soft[4].keep; }
  if (R > 5u) { next.h5 *= soft[5].keep; }
  if (R > 6u) { next.h6 *= soft[6].keep; }
  if (R > 7u) { next.h7 *= soft[7].keep; }
  let at = page + E * 8u + min(column, E / 4u - 1u);
  next = pass16(next, Heads(soft[0].near, soft[1].near, soft[2].near, soft[3].near, soft[4].near, soft[5].near, soft[6].near, soft[7].near), at);
  return pass16(next, Heads(soft[0].far, soft[1].far, soft[2].far, soft[3].far, soft[4].far, soft[5].far, soft[6].far, soft[7].far), at + E * 4u);
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
  let sum = total(soft.sum);
  let excess = total(soft.weighted) * vec4f(128.0, 128.0, 128.0, 0.0);
  let entries = params.splits * params.parts;
  let direct = entries == 1u;
  var to = ((params.firstRow + m) * H + head) * E;
  var scale = 1.0;
  if (direct) {
    scale = select(0.0, 1.0 / sum, sum > 0.0);
  } else {
    to = ((m * H + head) * entries + split * params.parts + params.part) * (E + 2u);
    if (lane == 0u) {
      partials[to + E] = select(UNSEEN, soft.top / LOG2E, soft.top > -1e38);
      partials[to + E + 1u] = sum;
    }
  }
  store(to, lane, (o0 * DOWN - excess) * scale, direct);
  if (E > 16u) { store(to, lane + 4u * 1u, (o1 * DOWN - excess) * scale, direct); }
  if (E > 32u) { store(to, lane + 4u * 2u, (o2 * DOWN - excess) * scale, direct); }
  if (E > 48u) { store(to, lane + 4u * 3u, (o3 * DOWN - excess) * scale, direct); }
  if (E > 64u) { store(to, lane + 4u * 4u, (o4 * DOWN - excess) * scale, direct); }
  if (E > 80u) { store(to, lane + 4u * 5u, (o5 * DOWN - excess) * scale, direct); }
  if (E > 96u) { store(to, lane + 4u * 6u, (o6 * DOWN - excess) * scale, direct); }
  if (E > 112u) { store(to, lane + 4u * 7u, (o7 * DOWN - excess) * scale, direct); }
}

@compute @workgroup_size(4)
fn attn_decode_regs8(@builtin(workgroup_id) wg: vec3u, @builtin(subgroup_invocation_id) subgroup: u32) {
  let lane = subgroup & 3u;
  let row = rows[params.firstRow + wg.z];
  let head0 = wg.x * R;
  let query = ((params.firstRow + wg.z) * H + head0) * E + lane;
  let firstPage = wg.y * params.pagesPerSplit;
  let endPage = min(firstPage + params.pagesPerSplit, row.y / 32u + 1u);
  let entry0 = row.z * params.maxPages * params.stride + params.lane0 + wg.x;
  // What a lane's q is multiplied with to meet bytes in place.
  let factor = params.scale * LOG2E * select(select(1.0, 0x1p-8, lane == 1u), select(0x1p-16, 0x1p-24, lane == 3u), lane > 1u);
  let q128 = select(params.scale * LOG2E * 128.0, 0.0, lane == 3u);
  let x0 = excess(query + min(0u, R - 1u) * E, q128);
  let x1 = excess(query + min(1u, R - 1u) * E, q128);
  let x2 = excess(query + min(2u, R - 1u) * E, q128);
  let x3 = excess(query + min(3u, R - 1u) * E, q128);
  let x4 = excess(query + min(4u, R - 1u) * E, q128);
  let x5 = excess(query + min(5u, R - 1u) * E, q128);
  let x6 = excess(query + min(6u, R - 1u) * E, q128);
  let x7 = excess(query + min(7u, R - 1u) * E, q128);

  let none = Soft(vec4f(), vec4f(), UNSEEN, 0.0, 0.0, 1.0);
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
    // A branch would not skip: it costs what is in it whether taken or not.
    for (var once = select(0u, 1u, bits == 0u); once < 1u; once++) {
      var near = Heads();
      var far = Heads();
      for (var e = 0u; e < E; e += 4u) {
        let a = keys(entry.x + e * 8u + lane);
        let b = keys(entry.x + e * 8u + 16u + lane);
        let y0 = q[query + 0u * E + e] * factor; near.h0 = score(near.h0, y0, a); far.h0 = score(far.h0, y0, b);
        if (R > 1u) { let y1 = q[query + 1u * E + e] * factor; near.h1 = score(near.h1, y1, a); far.h1 = score(far.h1, y1, b); }
        if (R > 2u) { let y2 = q[query + 2u * E + e] * factor; near.h2 = score(near.h2, y2, a); far.h2 = score(far.h2, y2, b); }
        if (R > 3u) { let y3 = q[query + 3u * E + e] * factor; near.h3 = score(near.h3, y3, a); far.h3 = score(far.h3, y3, b); }
        if (R > 4u) { let y4 = q[query + 4u * E + e] * factor; near.h4 = score(near.h4, y4, a); far.h4 = score(far.h4, y4, b); }
        if (R > 5u) { let y5 = q[query + 5u * E + e] * factor; near.h5 = score(near.h5, y5, a); far.h5 = score(far.h5, y5, b); }
        if (R > 6u) { let y6 = q[query + 6u * E + e] * factor; near.h6 = score(near.h6, y6, a); far.h6 = score(far.h6, y6, b); }
        if (R > 7u) { let y7 = q[query + 7u * E + e] * factor; near.h7 = score(near.h7, y7, a); far.h7 = score(far.h7, y7, b); }
      }
      let opened = scales(entry.x, bits, lane);
      soft[0] = soften(soft[0], near.h0, far.h0, x0, opened);
      if (R > 1u) { soft[1] = soften(soft[1], near.h1, far.h1, x1, opened); }
      if (R > 2u) { soft[2] = soften(soft[2], near.h2, far.h2, x2, opened); }
      if (R > 3u) { soft[3] = soften(soft[3], near.h3, far.h3, x3, opened); }
      if (R > 4u) { soft[4] = soften(soft[4], near.h4, far.h4, x4, opened); }
      if (R > 5u) { soft[5] = soften(soft[5], near.h5, far.h5, x5, opened); }
      if (R > 6u) { soft[6] = soften(soft[6], near.h6, far.h6, x6, opened); }
      if (R > 7u) { soft[7] = soften(soft[7], near.h7, far.h7, x7, opened); }
      o0 = advance(o0, soft, entry.x, lane + 0u);
      if (E > 16u) { o1 = advance(o1, soft, entry.x, lane + 4u); }
      if (E > 32u) { o2 = advance(o2, soft, entry.x, lane + 8u); }
      if (E > 48u) { o3 = advance(o3, soft, entry.x, lane + 12u); }
      if (E > 64u) { o4 = advance(o4, soft, entry.x, lane + 16u); }
      if (E > 80u) { o5 = advance(o5, soft, entry.x, lane + 20u); }
      if (E > 96u) { o6 = advance(o6, soft, entry.x, lane + 24u); }
      if (E > 112u) { o7 = advance(o7, soft, entry.x, lane + 28u); }
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

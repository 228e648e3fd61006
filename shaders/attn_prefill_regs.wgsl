// attn_prefill_regs — softmax(q · Kᵀ · scale) · V of consecutive rows of one sequence, on one quad of lanes
//
//   q         [T, H, E]                 f32    read
//   rows      [T]                       vec4u  read
//   table     [*, maxPages, stride]     vec4u  read
//   kv        [*]                       u32    read
//   partials  [count, H, parts, E+2]    f32    write
//   out       [T, H, E]                 f32    write
//
// dispatch  (⌈count / 16⌉, H, 1): one workgroup of 4 threads per 16 rows of one head
// cost      bytes 4·count·H·E·2 + ⌈count/16⌉·H·S·E·KV_BITS/4, flops 4·count·H·S·E: compute bound
// why       For adapters that run shaders on a CPU (SwiftShader), as gemm_regs_sg: named sums spelled out by component,
//           and no lane loads what another has. 16 slots at a time: scores with lanes along slots (four each), output
//           with lanes along e (four each); q, then the weights, go round by quad swaps, lane l meeting what lane
//           l ^ s holds with the row of K or V that belongs to it. There a branch costs what is in it whether taken
//           or not, and only a loop can skip: hence masks everywhere and a loop over the halves of a page that runs
//           zero times for pages nobody sees. A slot that must not be seen may hold NaN: its score is replaced, the
//           words of its V are zeroed; of int8 and int4 slots, the pair that opens them.

enable subgroups;

override WG: u32 = 4;        // threads per workgroup: always one quad
override H: u32 = 9;         // query heads
override G: u32 = 3;         // key/value heads
override KV_BITS: u32 = 16;  // 32: pages of f32, 16: of f16 pairs, 8 and 4: of units, a scale and a minimum per slot
const E: u32 = 64;           // head width, a multiple of 8, at most 128

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

struct Rows {
  r0: vec4f, r1: vec4f, r2: vec4f, r3: vec4f, r4: vec4f, r5: vec4f, r6: vec4f, r7: vec4f,
  r8: vec4f, r9: vec4f, r10: vec4f, r11: vec4f, r12: vec4f, r13: vec4f, r14: vec4f, r15: vec4f,
}

// Softmax of one row so far, and its weights of the four slots at hand.
struct Soft {
  weights: vec4f,
  top: f32,   // in powers of two
  sum: f32,   // of this lane's slots
  keep: f32,  // factor of what was summed under the old top
}

// Keys of four slots: value e + (lane ^ s) of each in ks.
struct Keys {
  k0: vec4f,
  k1: vec4f,
  k2: vec4f,
  k3: vec4f,
}

// value = minimum + scale·unit, of four slots.
struct Affine {
  scale: vec4f,
  minimum: vec4f,
}

// Where a word has unit lane ^ s of four (component s).
struct Places {
  mask: vec4u,
  down: vec4f,  // 2^-(KV_BITS·i)
  zero: vec4f,  // what a 0 reads as; the highest unit is opened as signed
}

fn places_of(lane: u32) -> Places {
  let place = vec4u(lane) ^ vec4u(0u, 1u, 2u, 3u);
  return Places(
    vec4u((1u << (KV_BITS % 32u)) - 1u) << (place * KV_BITS),
    bitcast<vec4f>((vec4u(127u) - place * KV_BITS) << vec4u(23u)),
    select(vec4f(), vec4f(-f32((1u << (KV_BITS % 32u)) / 2u)), place == vec4u(3u)),
  );
}

// Those of values e .. e+3: an int4 word has two times four.
fn places_at(places: Places, e: u32) -> Places {
  if (KV_BITS == 8u) { return places; }
  let high = e % 8u == 4u;
  return Places(
    places.mask * select(1u, 65536u, high),
    places.down * select(1.0, 0x1p-16, high),
    places.zero * select(0.0, 1.0, high),
  );
}

// One unit of the words of four slots, opened. It stays where it is: shifts are dear on a CPU.
fn unit4(words: vec4u, mask: u32, down: f32, zero: f32, affine: Affine) -> vec4f {
  return (vec4f(vec4i(words & vec4u(mask))) * down - zero) * affine.scale + affine.minimum;
}

// Four neighbouring units of V.
fn units(word: u32, high: bool) -> vec4f {
  let signed = word ^ 0x80000000u;  // the highest alone
  if (KV_BITS == 8u) {
    let bytes = vec4i(vec4u(signed) & vec4u(0xffu, 0xff00u, 0xff0000u, 0xff000000u));
    return vec4f(bytes) * vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24) + vec4f(0.0, 0.0, 0.0, 128.0);
  }
  let near = vec4i(vec4u(word) & vec4u(0xfu, 0xf0u, 0xf00u, 0xf000u));
  let far = vec4i(vec4u(signed) & vec4u(0xf0000u, 0xf00000u, 0xf000000u, 0xf0000000u));
  let down = vec4f(1.0, 0x1p-4, 0x1p-8, 0x1p-12);
  return select(vec4f(near) * down, vec4f(far) * (down * 0x1p-16) + vec4f(0.0, 0.0, 0.0, 8.0), high);
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

// `page` in vec2s; slots 4·quad .. 4·quad+3, which `affine` opens.
fn keys(page: u32, e: u32, quad: u32, lane: u32, places: Places, affine: Affine) -> Keys {
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
  if (KV_BITS <= 8u) {
    let at = page + e * KV_BITS / 32u * 16u + quad * 2u;
    let words = vec4u(kv[at], kv[at + 1u]) ^ vec4u(select(0u, 0x80000000u, KV_BITS == 8u || e % 8u == 4u));
    let p = places_at(places, e);
    return Keys(
      unit4(words, p.mask.x, p.down.x, p.zero.x, affine),
      unit4(words, p.mask.y, p.down.y, p.zero.y, affine),
      unit4(words, p.mask.z, p.down.z, p.zero.z, affine),
      unit4(words, p.mask.w, p.down.w, p.zero.w, affine),
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

// Values 4·column .. 4·column+3 of a slot; 0 unless visible = ALL or (affine) its scale and minimum are not 0.
fn values(page: u32, column: u32, slot: u32, visible: u32, scale: f32, minimum: f32) -> vec4f {
  if (KV_BITS == 16u) {
    let words = kv[page + E * 8u + slot * (E / 4u) + column] & vec2u(visible);
    return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
  }
  if (KV_BITS <= 8u) {
    let word = slot * (E * KV_BITS / 32u) + column * KV_BITS / 8u;
    let pair = kv[page + E * KV_BITS / 2u + word / 2u];
    return units(select(pair.x, pair.y, word % 2u == 1u), column % 2u == 1u) * scale + minimum;
  }
  let at = page + E * 16u + slot * (E / 2u) + 2u * column;
  return vec4f(bitcast<vec2f>(kv[at] & vec2u(visible)), bitcast<vec2f>(kv[at + 1u] & vec2u(visible)));
}

// What opens K (block 0) or V (block 1) of slots 4·quad .. 4·quad+3; `page` in vec2s. What nobody sees may be NaN: 0.
fn affine_of(page: u32, which: u32, quad: u32, shown: vec4u) -> Affine {
  if (KV_BITS > 8u) { return Affine(vec4f(1.0), vec4f()); }
  let at = page + E * KV_BITS + which * 16u + quad * 2u;
  let a = kv[at] & shown.xy;
  let b = kv[at + 1u] & shown.zw;
  return Affine(low4(a, b), high4(a, b));
}

// Adds four products to each sum of one row: this lane holds x of `lane` (value of q or weight of a slot), v0 … v3 are
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

// Masks one row's scores and turns them into weights. Positions are f32 here (exact to 2²⁴): comparing them is one
// instruction, comparing u32 is six.
fn soften(old: Soft, score: vec4f, position: vec4f, newest: f32, window: f32) -> Soft {
  let age = vec4f(newest) - position;
  let seen = select(vec4f(UNSEEN), score, (age >= vec4f()) & (age < vec4f(window)));
  var best = max(max(seen.x, seen.y), max(seen.z, seen.w));
  best = max(best, quadSwapX(best));
  best = max(best, quadSwapY(best));
  let top = max(old.top, best);
  // A row that has seen nothing yet has top = UNSEEN, as all its scores: their weight is 0, not exp2(0).
  let base = select(top, 0.0, top < -1e38);
  let weights = exp2(seen - base);
  let keep = exp2(old.top - top);
  return Soft(weights, top, old.sum * keep + (weights.x + weights.y) + (weights.z + weights.w), keep);
}

// The output of columns `column` after 16 more slots, 4·lane + i from `slot0` on.
fn advance(sums: Rows, soft: array<Soft, 16>, page: u32, column: u32, slot0: u32, lane: u32, shown: vec4u, affine: Affine) -> Rows {
  var next = Rows(
    sums.r0 * soft[0].keep, sums.r1 * soft[1].keep, sums.r2 * soft[2].keep, sums.r3 * soft[3].keep,
    sums.r4 * soft[4].keep, sums.r5 * soft[5].keep, sums.r6 * soft[6].keep, sums.r7 * soft[7].keep,
    sums.r8 * soft[8].keep, sums.r9 * soft[9].keep, sums.r10 * soft[10].keep, sums.r11 * soft[11].keep,
    sums.r12 * soft[12].keep, sums.r13 * soft[13].keep, sums.r14 * soft[14].keep, sums.r15 * soft[15].keep,
  );
  // One slot of each group at a time; the weights rotate so that its are .x.
  var visible = shown;
  var scale = affine.scale;
  var minimum = affine.minimum;
  var w0 = soft[0].weights; var w1 = soft[1].weights; var w2 = soft[2].weights; var w3 = soft[3].weights;
  var w4 = soft[4].weights; var w5 = soft[5].weights; var w6 = soft[6].weights; var w7 = soft[7].weights;
  var w8 = soft[8].weights; var w9 = soft[9].weights; var w10 = soft[10].weights; var w11 = soft[11].weights;
  var w12 = soft[12].weights; var w13 = soft[13].weights; var w14 = soft[14].weights; var w15 = soft[15].weights;
  for (var i = 0u; i < 4u; i++) {
    let x = scale.x;
    let m = minimum.x;
    let v0 = values(page, column, slot0 + i + 4u * lane, visible.x, x, m);
    let v1 = values(page, column, slot0 + i + 4u * (lane ^ 1u), quadSwapX(visible.x), quadSwapX(x), quadSwapX(m));
    let v2 = values(page, column, slot0 + i + 4u * (lane ^ 2u), quadSwapY(visible.x), quadSwapY(x), quadSwapY(m));
    let v3 = values(
      page, column, slot0 + i + 4u * (lane ^ 3u), quadSwapDiagonal(visible.x), quadSwapDiagonal(x), quadSwapDiagonal(m),
    );
    next.r0 = meet(next.r0, w0.x, v0, v1, v2, v3);
    next.r1 = meet(next.r1, w1.x, v0, v1, v2, v3);
    next.r2 = meet(next.r2, w2.x, v0, v1, v2, v3);
    next.r3 = meet(next.r3, w3.x, v0, v1, v2, v3);
    next.r4 = meet(next.r4, w4.x, v0, v1, v2, v3);
    next.r5 = meet(next.r5, w5.x, v0, v1, v2, v3);
    next.r6 = meet(next.r6, w6.x, v0, v1, v2, v3);
    next.r7 = meet(next.r7, w7.x, v0, v1, v2, v3);
    next.r8 = meet(next.r8, w8.x, v0, v1, v2, v3);
    next.r9 = meet(next.r9, w9.x, v0, v1, v2, v3);
    next.r10 = meet(next.r10, w10.x, v0, v1, v2, v3);
    next.r11 = meet(next.r11, w11.x, v0, v1, v2, v3);
    next.r12 = meet(next.r12, w12.x, v0, v1, v2, v3);
    next.r13 = meet(next.r13, w13.x, v0, v1, v2, v3);
    next.r14 = meet(next.r14, w14.x, v0, v1, v2, v3);
    next.r15 = meet(next.r15, w15.x, v0, v1, v2, v3);
    visible = visible.yzwx;
    scale = scale.yzwx;
    minimum = minimum.yzwx;
    w0 = w0.yzwx; w1 = w1.yzwx; w2 = w2.yzwx; w3 = w3.yzwx;
    w4 = w4.yzwx; w5 = w5.yzwx; w6 = w6.yzwx; w7 = w7.yzwx;
    w8 = w8.yzwx; w9 = w9.yzwx; w10 = w10.yzwx; w11 = w11.yzwx;
    w12 = w12.yzwx; w13 = w13.yzwx; w14 = w14.yzwx; w15 = w15.yzwx;
  }
  return next;
}

// Writes one block of 16 values of one row.
fn store(to: u32, column: u32, sum: vec4f, direct: bool) {
  if (column >= E / 4u) { return; }
  for (var i = 0u; i < 4u; i++) {
    if (direct) { out[to + 4u * column + i] = sum[i]; } else { partials[to + 4u * column + i] = sum[i]; }
  }
}

// Writes one row: its output in columns lane, lane + 4, … and, where the result is partial, max and sum.
fn finish(r: u32, head: u32, lane: u32, soft: Soft, o0: vec4f, o1: vec4f, o2: vec4f, o3: vec4f, o4: vec4f, o5: vec4f, o6: vec4f, o7: vec4f) {
  var total = soft.sum + quadSwapX(soft.sum);
  total += quadSwapY(total);
  if (r >= params.count) { return; }
  let direct = params.parts == 1u;
  var to = ((params.firstRow + r) * H + head) * E;
  var scale = 1.0;
  if (direct) {
    scale = select(0.0, 1.0 / total, total > 0.0);
  } else {
    to = ((r * H + head) * params.parts + params.part) * (E + 2u);
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

@compute @workgroup_size(WG)
fn attn_prefill_regs(@builtin(workgroup_id) wg: vec3u, @builtin(subgroup_invocation_id) subgroup: u32) {
  let lane = subgroup & 3u;
  let head = wg.y;
  let first = wg.x * 16u;
  let last = min(first + 16u, params.count) - 1u;
  let row = rows[params.firstRow];
  let position0 = row.x + first;
  let lastPosition = row.x + last;
  let listed = (row.y + last) / 32u + 1u;
  let entry0 = row.z * params.maxPages * params.stride + params.lane0 + head / (H / G);
  let window = select(params.window, ALL, params.window == 0u);
  let laneBits = vec4u(1u, 2u, 4u, 8u) << vec4u(4u * lane);
  let query = ((params.firstRow + first) * H + head) * E + lane;
  let width = H * E;
  let most = last - first;
  let at0 = query + min(0u, most) * width; let at1 = query + min(1u, most) * width;
  let at2 = query + min(2u, most) * width; let at3 = query + min(3u, most) * width;
  let at4 = query + min(4u, most) * width; let at5 = query + min(5u, most) * width;
  let at6 = query + min(6u, most) * width; let at7 = query + min(7u, most) * width;
  let at8 = query + min(8u, most) * width; let at9 = query + min(9u, most) * width;
  let at10 = query + min(10u, most) * width; let at11 = query + min(11u, most) * width;
  let at12 = query + min(12u, most) * width; let at13 = query + min(13u, most) * width;
  let at14 = query + min(14u, most) * width; let at15 = query + min(15u, most) * width;
  let places = places_of(lane);
  let factor = params.scale * LOG2E;
  let newest = f32(position0);  // key of row 0
  let farthest = select(f32(params.window), 3e38, params.window == 0u);

  var soft: array<Soft, 16>;
  for (var r = 0u; r < 16u; r++) { soft[r] = Soft(vec4f(), UNSEEN, 0.0, 1.0); }
  var o0 = Rows();
  var o1 = Rows();
  var o2 = Rows();
  var o3 = Rows();
  var o4 = Rows();
  var o5 = Rows();
  var o6 = Rows();
  var o7 = Rows();

  for (var list = 0u; list < listed; list++) {
    let entry = table[entry0 + list * params.stride];
    let newestSlot = entry.w + 31u;
    let skip = entry.y == 0u || entry.z != params.part || entry.w > lastPosition || newestSlot < position0 - min(position0, window - 1u);
    let page = entry.x / 2u;
    for (var half = select(0u, 2u, skip); half < 2u; half++) {
      // Positions of this lane's slots; holes lie in the future.
      let bits = laneBits * select(1u, 65536u, half == 1u);
      let slots = entry.w + half * 16u + lane * 4u + vec4u(0u, 1u, 2u, 3u);
      let position = select(vec4f(3e38), vec4f(slots), (bits & vec4u(entry.y)) != vec4u());
      let shown = select(vec4u(), vec4u(ALL), position <= vec4f(f32(lastPosition)));
      let keyAffine = affine_of(page, 0u, half * 4u + lane, shown);
      let valueAffine = affine_of(page, 1u, half * 4u + lane, shown);

      var s = Rows();
      for (var e = 0u; e < E; e += 4u) {
        let k = keys(page, e, half * 4u + lane, lane, places, keyAffine);
        s.r0 = meet(s.r0, q[at0 + e], k.k0, k.k1, k.k2, k.k3);
        s.r1 = meet(s.r1, q[at1 + e], k.k0, k.k1, k.k2, k.k3);
        s.r2 = meet(s.r2, q[at2 + e], k.k0, k.k1, k.k2, k.k3);
        s.r3 = meet(s.r3, q[at3 + e], k.k0, k.k1, k.k2, k.k3);
        s.r4 = meet(s.r4, q[at4 + e], k.k0, k.k1, k.k2, k.k3);
        s.r5 = meet(s.r5, q[at5 + e], k.k0, k.k1, k.k2, k.k3);
        s.r6 = meet(s.r6, q[at6 + e], k.k0, k.k1, k.k2, k.k3);
        s.r7 = meet(s.r7, q[at7 + e], k.k0, k.k1, k.k2, k.k3);
        s.r8 = meet(s.r8, q[at8 + e], k.k0, k.k1, k.k2, k.k3);
        s.r9 = meet(s.r9, q[at9 + e], k.k0, k.k1, k.k2, k.k3);
        s.r10 = meet(s.r10, q[at10 + e], k.k0, k.k1, k.k2, k.k3);
        s.r11 = meet(s.r11, q[at11 + e], k.k0, k.k1, k.k2, k.k3);
        s.r12 = meet(s.r12, q[at12 + e], k.k0, k.k1, k.k2, k.k3);
        s.r13 = meet(s.r13, q[at13 + e], k.k0, k.k1, k.k2, k.k3);
        s.r14 = meet(s.r14, q[at14 + e], k.k0, k.k1, k.k2, k.k3);
        s.r15 = meet(s.r15, q[at15 + e], k.k0, k.k1, k.k2, k.k3);
      }

      soft[0] = soften(soft[0], s.r0 * factor, position, newest + 0.0, farthest);
      soft[1] = soften(soft[1], s.r1 * factor, position, newest + 1.0, farthest);
      soft[2] = soften(soft[2], s.r2 * factor, position, newest + 2.0, farthest);
      soft[3] = soften(soft[3], s.r3 * factor, position, newest + 3.0, farthest);
      soft[4] = soften(soft[4], s.r4 * factor, position, newest + 4.0, farthest);
      soft[5] = soften(soft[5], s.r5 * factor, position, newest + 5.0, farthest);
      soft[6] = soften(soft[6], s.r6 * factor, position, newest + 6.0, farthest);
      soft[7] = soften(soft[7], s.r7 * factor, position, newest + 7.0, farthest);
      soft[8] = soften(soft[8], s.r8 * factor, position, newest + 8.0, farthest);
      soft[9] = soften(soft[9], s.r9 * factor, position, newest + 9.0, farthest);
      soft[10] = soften(soft[10], s.r10 * factor, position, newest + 10.0, farthest);
      soft[11] = soften(soft[11], s.r11 * factor, position, newest + 11.0, farthest);
      soft[12] = soften(soft[12], s.r12 * factor, position, newest + 12.0, farthest);
      soft[13] = soften(soft[13], s.r13 * factor, position, newest + 13.0, farthest);
      soft[14] = soften(soft[14], s.r14 * factor, position, newest + 14.0, farthest);
      soft[15] = soften(soft[15], s.r15 * factor, position, newest + 15.0, farthest);
      o0 = advance(o0, soft, page, min(lane, E / 4u - 1u), half * 16u, lane, shown, valueAffine);
      if (E > 16u) { o1 = advance(o1, soft, page, min(lane + 4u * 1u, E / 4u - 1u), half * 16u, lane, shown, valueAffine); }
      if (E > 32u) { o2 = advance(o2, soft, page, min(lane + 4u * 2u, E / 4u - 1u), half * 16u, lane, shown, valueAffine); }
      if (E > 48u) { o3 = advance(o3, soft, page, min(lane + 4u * 3u, E / 4u - 1u), half * 16u, lane, shown, valueAffine); }
      if (E > 64u) { o4 = advance(o4, soft, page, min(lane + 4u * 4u, E / 4u - 1u), half * 16u, lane, shown, valueAffine); }
      if (E > 80u) { o5 = advance(o5, soft, page, min(lane + 4u * 5u, E / 4u - 1u), half * 16u, lane, shown, valueAffine); }
      if (E > 96u) { o6 = advance(o6, soft, page, min(lane + 4u * 6u, E / 4u - 1u), half * 16u, lane, shown, valueAffine); }
      if (E > 112u) { o7 = advance(o7, soft, page, min(lane + 4u * 7u, E / 4u - 1u), half * 16u, lane, shown, valueAffine); }
    }
  }

  finish(first + 0u, head, lane, soft[0], o0.r0, o1.r0, o2.r0, o3.r0, o4.r0, o5.r0, o6.r0, o7.r0);
  finish(first + 1u, head, lane, soft[1], o0.r1, o1.r1, o2.r1, o3.r1, o4.r1, o5.r1, o6.r1, o7.r1);
  finish(first + 2u, head, lane, soft[2], o0.r2, o1.r2, o2.r2, o3.r2, o4.r2, o5.r2, o6.r2, o7.r2);
  finish(first + 3u, head, lane, soft[3], o0.r3, o1.r3, o2.r3, o3.r3, o4.r3, o5.r3, o6.r3, o7.r3);
  finish(first + 4u, head, lane, soft[4], o0.r4, o1.r4, o2.r4, o3.r4, o4.r4, o5.r4, o6.r4, o7.r4);
  finish(first + 5u, head, lane, soft[5], o0.r5, o1.r5, o2.r5, o3.r5, o4.r5, o5.r5, o6.r5, o7.r5);
  finish(first + 6u, head, lane, soft[6], o0.r6, o1.r6, o2.r6, o3.r6, o4.r6, o5.r6, o6.r6, o7.r6);
  finish(first + 7u, head, lane, soft[7], o0.r7, o1.r7, o2.r7, o3.r7, o4.r7, o5.r7, o6.r7, o7.r7);
  finish(first + 8u, head, lane, soft[8], o0.r8, o1.r8, o2.r8, o3.r8, o4.r8, o5.r8, o6.r8, o7.r8);
  finish(first + 9u, head, lane, soft[9], o0.r9, o1.r9, o2.r9, o3.r9, o4.r9, o5.r9, o6.r9, o7.r9);
  finish(first + 10u, head, lane, soft[10], o0.r10, o1.r10, o2.r10, o3.r10, o4.r10, o5.r10, o6.r10, o7.r10);
  finish(first + 11u, head, lane, soft[11], o0.r11, o1.r11, o2.r11, o3.r11, o4.r11, o5.r11, o6.r11, o7.r11);
  finish(first + 12u, head, lane, soft[12], o0.r12, o1.r12, o2.r12, o3.r12, o4.r12, o5.r12, o6.r12, o7.r12);
  finish(first + 13u, head, lane, soft[13], o0.r13, o1.r13, o2.r13, o3.r13, o4.r13, o5.r13, o6.r13, o7.r13);
  finish(first + 14u, head, lane, soft[14], o0.r14, o1.r14, o2.r14, o3.r14, o4.r14, o5.r14, o6.r14, o7.r14);
  finish(first + 15u, head, lane, soft[15], o0.r15, o1.r15, o2.r15, o3.r15, o4.r15, o5.r15, o6.r15, o7.r15);
}

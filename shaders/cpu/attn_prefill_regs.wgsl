// attn_prefill_regs — softmax(q · Kᵀ · scale) · V of consecutive rows of one sequence, on one quad of lanes
//
//   q         [T, H, E]                 f32    read
//   rows      [T]                       vec4u  read
//   table     [*, listLength, columns]  vec4u  read
//   kv        [*]                       u32    read
//   partials  [count, H, entries, E+2]  f32    write
//   out       [T, H, E]                 f32    write
//
// dispatch  (⌈count / 16⌉, H, 1): one workgroup of 4 threads per 16 rows of one head
// cost      bytes 4·count·H·E·2 + ⌈count/16⌉·H·S·E·KV_BITS/4, flops 4·count·H·S·E: compute bound
// why       docs/kernels.md, CPU tricks. 16 rows and 16 slots at a time: scores with lanes along slots (four each), output
//           with lanes along e (four each); q, then the weights, go round by quad swaps, lane l meeting what lane
//           l ^ s holds with the row of K or V that belongs to it. The loop over the halves of a page runs zero times for
//           pages nobody sees. A slot that must not be seen may hold NaN: its score is replaced, the words of its V are
//           zeroed; of int8 and int4 slots, the pair that opens them.
// family    attn_prefill
// uses      lib/list.wgsl lib/quad_total.wgsl

enable subgroups;

override WG: u32 = 4;        // threads per workgroup: always one quad
override H: u32 = 9;         // query heads
override G: u32 = 3;         // key/value heads
override KV_BITS: u32 = 16;  // 32: pages of f32, 16: of f16 (subnormals are 0), 8 and 4: of units, scale and minimum per slot
const E: u32 = 64;           // head width, a multiple of 8, at most 128

struct Params {
  firstRow: u32,
  count: u32,       // rows: consecutive positions and cache indices of one sequence
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of key/value head 0
  arena: u32,       // number of the buffer bound as kv
  entries: u32,     // partials of a row and head; 1: the result is written to `out`
  entry: u32,       // the one written here
  window: u32,      // keys a query sees, itself included; 0: all
  scale: f32,       // 1/√E
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
const COLUMNS = (E + 15u) / 16u;  // of four values, per lane

// By row. Arrays stay in registers while their indices are constants, hence "unrolled".
alias Rows = array<vec4f, 16>;

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

// One unit of the words of four slots, not shifted into place: shifts are expensive on a CPU.
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

// f16 u of a word, which unpack2x16float decodes three times as slowly there: its bits go from 31…16 to 31 and 27…13 by way
// of the mantissa of 1.5·2^39, which takes whole multiples of 2^16. Subnormals are 0; a number whatever the bits.
fn half(word: u32, u: u32) -> f32 {
  let high = select(word & 0xffff0000u, word * 65536u, u == 0u);
  let mantissa = bitcast<u32>(f32(bitcast<i32>(high)) + 0x1.8p39f);
  return bitcast<f32>((mantissa * 8192u) & 0x8fffffffu) * 0x1p112f;
}

// Even (u = 0) and odd (1) values of e of four slots, from their words.
fn half4(a: vec2u, b: vec2u, u: u32) -> vec4f {
  return vec4f(half(a.x, u), half(a.y, u), half(b.x, u), half(b.y, u));
}

fn float4(at: u32) -> vec4f {
  return vec4f(bitcast<vec2f>(kv[at]), bitcast<vec2f>(kv[at + 1u]));
}

// Of four slots, whose first words are at `first`, in vec2s; `affine` opens them.
fn keys(first: u32, e: u32, lane: u32, places: Places, affine: Affine) -> Keys {
  if (KV_BITS == 16u) {
    // Words of values (e, e+1) and (e+2, e+3); which half comes first depends on the lane.
    let near = first + (e + (lane & 2u)) * 2u;
    let far = first + (e + ((lane & 2u) ^ 2u)) * 2u;
    let a = kv[near];
    let b = kv[near + 1u];
    let c = kv[far];
    let d = kv[far + 1u];
    let even = vec4<bool>((lane & 1u) == 0u);
    return Keys(
      select(half4(a, b, 1u), half4(a, b, 0u), even),
      select(half4(a, b, 0u), half4(a, b, 1u), even),
      select(half4(c, d, 1u), half4(c, d, 0u), even),
      select(half4(c, d, 0u), half4(c, d, 1u), even),
    );
  }
  if (KV_BITS <= 8u) {
    let at = first + e * KV_BITS / 32u * 4u;
    let words = vec4u(kv[at], kv[at + 1u]) ^ vec4u(select(0u, 0x80000000u, KV_BITS == 8u || e % 8u == 4u));
    let p = places_at(places, e);
    return Keys(
      unit4(words, p.mask.x, p.down.x, p.zero.x, affine),
      unit4(words, p.mask.y, p.down.y, p.zero.y, affine),
      unit4(words, p.mask.z, p.down.z, p.zero.z, affine),
      unit4(words, p.mask.w, p.down.w, p.zero.w, affine),
    );
  }
  let at = first + e * 4u;
  return Keys(
    float4(at + lane * 4u),
    float4(at + (lane ^ 1u) * 4u),
    float4(at + (lane ^ 2u) * 4u),
    float4(at + (lane ^ 3u) * 4u),
  );
}

// Values 4·column .. 4·column+3 of a slot; 0 unless visible = ALL or (affine) its scale and minimum are not 0.
fn values(page: u32, column: u32, slot: u32, visible: u32, scale: f32, minimum: f32) -> vec4f {
  if (KV_BITS == 16u) {
    let words = kv[page + E * 8u + slot * (E / 4u) + column] & vec2u(visible);
    return vec4f(half(words.x, 0u), half(words.x, 1u), half(words.y, 0u), half(words.y, 1u));
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
  let pairs = vec4u(kv[at], kv[at + 1u]) & shown;
  return Affine(bitcast<vec4f>(pairs * 65536u), bitcast<vec4f>(pairs & vec4u(0xffff0000u)));
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

// The output of column `column` after 16 more slots, 4·lane + i from `slot0` on.
fn advance(sums: Rows, soft: array<Soft, 16>, page: u32, column: u32, slot0: u32, lane: u32, shown: vec4u, affine: Affine) -> Rows {
  var next = sums;
  for (var r = 0u; r < 16u; r++) { next[r] = sums[r] * soft[r].keep; }  // unrolled
  // One slot of each group at a time; the weights rotate so that its are .x.
  var visible = shown;
  var scale = affine.scale;
  var minimum = affine.minimum;
  var weights = Rows();
  for (var r = 0u; r < 16u; r++) { weights[r] = soft[r].weights; }  // unrolled
  for (var i = 0u; i < 4u; i++) {
    let x = scale.x;
    let m = minimum.x;
    let v0 = values(page, column, slot0 + i + 4u * lane, visible.x, x, m);
    let v1 = values(page, column, slot0 + i + 4u * (lane ^ 1u), quadSwapX(visible.x), quadSwapX(x), quadSwapX(m));
    let v2 = values(page, column, slot0 + i + 4u * (lane ^ 2u), quadSwapY(visible.x), quadSwapY(x), quadSwapY(m));
    let v3 = values(
      page, column, slot0 + i + 4u * (lane ^ 3u), quadSwapDiagonal(visible.x), quadSwapDiagonal(x), quadSwapDiagonal(m),
    );
    for (var r = 0u; r < 16u; r++) { next[r] = meet(next[r], weights[r].x, v0, v1, v2, v3); }  // unrolled
    visible = visible.yzwx;
    scale = scale.yzwx;
    minimum = minimum.yzwx;
    for (var r = 0u; r < 16u; r++) { weights[r] = weights[r].yzwx; }  // unrolled
  }
  return next;
}

// Where the output of a row goes, and what it is multiplied with there.
struct Output { at: u32, columns: u32, scale: f32, direct: bool }

// Of one row, whose weights sum to `sum`; no columns past the last row. Writes max and sum where the result is partial.
fn output_of(r: u32, head: u32, lane: u32, sum: f32, top: f32) -> Output {
  let columns = select(E / 4u, 0u, r >= params.count);
  if (params.entries == 1u) {
    return Output(((params.firstRow + r) * H + head) * E, columns, select(0.0, 1.0 / sum, sum > 0.0), true);
  }
  let at = ((r * H + head) * params.entries + params.entry) * (E + 2u);
  if (lane == 0u && columns > 0u) {
    partials[at + E] = select(UNSEEN, top / LOG2E, top > -1e38);
    partials[at + E + 1u] = sum;
  }
  return Output(at, columns, 1.0, false);
}

// Writes four values of one row.
fn store(output: Output, column: u32, sum: vec4f) {
  if (column >= output.columns) { return; }
  let value = sum * output.scale;
  let at = output.at + 4u * column;
  for (var i = 0u; i < 4u; i++) {
    if (output.direct) { out[at + i] = value[i]; } else { partials[at + i] = value[i]; }
  }
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
  let list = row.z * params.listLength * params.columns + params.column + head / (H / G);
  let listHead = table[list];
  let listed = (row.y + last) / 32u + 1u + listHead.x - listHead.y;
  let window = select(params.window, ALL, params.window == 0u);
  let laneBits = vec4u(1u, 2u, 4u, 8u) << vec4u(4u * lane);
  let query = ((params.firstRow + first) * H + head) * E + lane;
  let width = H * E;
  let most = last - first;
  var at = array<u32, 16>();
  for (var r = 0u; r < 16u; r++) { at[r] = query + min(r, most) * width; }  // unrolled
  let places = places_of(lane);
  let factor = params.scale * LOG2E;
  let newest = f32(position0);  // key of row 0
  let farthest = select(f32(params.window), 3e38, params.window == 0u);

  var soft: array<Soft, 16>;
  for (var r = 0u; r < 16u; r++) { soft[r] = Soft(vec4f(), UNSEEN, 0.0, 1.0); }  // a loop: too many for registers
  var o = array<Rows, COLUMNS>();

  for (var index = 0u; index < listed; index++) {
    let entry = listed_entry(list, listHead, index);
    let newestSlot = entry.w + 31u;
    let skip = entry.y == 0u || entry.z != params.arena || entry.w > lastPosition || newestSlot < position0 - min(position0, window - 1u);
    let page = entry.x / 2u;
    for (var half = select(0u, 2u, skip); half < 2u; half++) {
      let quad = half * 4u + lane;
      // Positions of this lane's slots; holes lie in the future.
      let bits = laneBits * select(1u, 65536u, half == 1u);
      let slots = entry.w + half * 16u + lane * 4u + vec4u(0u, 1u, 2u, 3u);
      let position = select(vec4f(3e38), vec4f(slots), (bits & vec4u(entry.y)) != vec4u());
      let shown = select(vec4u(), vec4u(ALL), position <= vec4f(f32(lastPosition)));
      let keyAffine = affine_of(page, 0u, quad, shown);
      let valueAffine = affine_of(page, 1u, quad, shown);

      var s = Rows();
      let key = page + (quad & 6u) * (E * KV_BITS / 16u) + (quad & 1u) * 2u;
      for (var e = 0u; e < E; e += 4u) {
        let k = keys(key, e, lane, places, keyAffine);
        for (var r = 0u; r < 16u; r++) { s[r] = meet(s[r], q[at[r] + e], k.k0, k.k1, k.k2, k.k3); }  // unrolled
      }

      for (var r = 0u; r < 16u; r++) { soft[r] = soften(soft[r], s[r] * factor, position, newest + f32(r), farthest); }  // unrolled
      for (var c = 0u; c < COLUMNS; c++) { o[c] = advance(o[c], soft, page, min(lane + 4u * c, E / 4u - 1u), half * 16u, lane, shown, valueAffine); }  // unrolled
    }
  }

  var outputs = array<Output, 16>();
  for (var r = 0u; r < 16u; r++) { outputs[r] = output_of(first + r, head, lane, total(soft[r].sum), soft[r].top); }  // unrolled
  for (var r = 0u; r < 16u; r++) { for (var c = 0u; c < COLUMNS; c++) { store(outputs[r], lane + 4u * c, o[c][r]); } }  // unrolled
}

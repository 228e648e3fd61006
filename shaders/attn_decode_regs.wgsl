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
const COLUMNS = (E + 15u) / 16u;  // of four values, per lane

// By query head of the group. Arrays stay in registers while their indices are constants, hence "unrolled".
alias Heads = array<vec4f, R>;

// Softmax of one head so far, and its weights of the four slots at hand.
struct Soft {
  weights: vec4f,
  top: f32,   // in powers of two
  sum: f32,   // of this lane's slots
  keep: f32,  // factor of what was summed under the old top
}

alias Softs = array<Soft, R>;

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

// The output of column `column` after 16 more slots, 4·lane + i from `slot0` on.
fn advance(sums: Heads, soft: Softs, page: u32, column: u32, slot0: u32, lane: u32, shown: vec4u) -> Heads {
  var next = sums;
  for (var h = 0u; h < R; h++) { next[h] *= soft[h].keep; }  // unrolled
  // One slot of each group at a time; the weights rotate so that its are .x.
  var visible = shown;
  var weights = Heads();
  for (var h = 0u; h < R; h++) { weights[h] = soft[h].weights; }  // unrolled
  for (var i = 0u; i < 4u; i++) {
    let v0 = values(page, column, slot0 + i + 4u * lane, visible.x);
    let v1 = values(page, column, slot0 + i + 4u * (lane ^ 1u), quadSwapX(visible.x));
    let v2 = values(page, column, slot0 + i + 4u * (lane ^ 2u), quadSwapY(visible.x));
    let v3 = values(page, column, slot0 + i + 4u * (lane ^ 3u), quadSwapDiagonal(visible.x));
    for (var h = 0u; h < R; h++) { next[h] = meet(next[h], weights[h].x, v0, v1, v2, v3); }  // unrolled
    visible = visible.yzwx;
    for (var h = 0u; h < R; h++) { weights[h] = weights[h].yzwx; }  // unrolled
  }
  return next;
}

// Where the output of a head goes, and what it is multiplied with there.
struct Output { at: u32, scale: f32, direct: bool }

// Of one head, whose weights sum to `sum`; writes max and sum where the result is partial.
fn output_of(m: u32, split: u32, head: u32, lane: u32, sum: f32, top: f32) -> Output {
  let entries = params.splits * params.parts;
  if (entries == 1u) { return Output(((params.firstRow + m) * H + head) * E, select(0.0, 1.0 / sum, sum > 0.0), true); }
  let at = ((m * H + head) * entries + split * params.parts + params.part) * (E + 2u);
  if (lane == 0u) {
    partials[at + E] = select(UNSEEN, top / LOG2E, top > -1e38);
    partials[at + E + 1u] = sum;
  }
  return Output(at, 1.0, false);
}

// Writes four values of one head, unless they lie beyond E.
fn store(output: Output, column: u32, sum: vec4f) {
  if (column >= E / 4u) { return; }
  let value = sum * output.scale;
  let at = output.at + 4u * column;
  for (var i = 0u; i < 4u; i++) {
    if (output.direct) { out[at + i] = value[i]; } else { partials[at + i] = value[i]; }
  }
}

fn total(x: f32) -> f32 {
  let pair = x + quadSwapX(x);
  return pair + quadSwapY(pair);
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

  var soft = Softs();
  for (var h = 0u; h < R; h++) { soft[h] = Soft(vec4f(), UNSEEN, 0.0, 1.0); }  // unrolled
  var o = array<Heads, COLUMNS>();

  for (var list = firstPage; list < endPage; list++) {
    let entry = table[entry0 + list * params.stride];
    let bits = seen(entry, row.x);
    let page = entry.x / 2u;
    // A branch would not skip: it costs what is in it whether taken or not.
    for (var half = select(0u, 2u, bits == 0u); half < 2u; half++) {
      var s = Heads();
      for (var e = 0u; e < E; e += 4u) {
        let k = keys(page, e, half * 4u + lane, lane);
        for (var h = 0u; h < R; h++) { s[h] = meet(s[h], q[query + h * E + e], k.k0, k.k1, k.k2, k.k3); }  // unrolled
      }
      let shown = ((laneBits * select(1u, 65536u, half == 1u)) & vec4u(bits)) != vec4u();
      for (var h = 0u; h < R; h++) { soft[h] = soften(soft[h], s[h] * factor, shown); }  // unrolled
      let masks = select(vec4u(), vec4u(ALL), shown);
      for (var c = 0u; c < COLUMNS; c++) { o[c] = advance(o[c], soft, page, min(lane + 4u * c, E / 4u - 1u), half * 16u, lane, masks); }  // unrolled
    }
  }

  var outputs = array<Output, R>();
  for (var h = 0u; h < R; h++) { outputs[h] = output_of(wg.z, wg.y, head0 + h, lane, total(soft[h].sum), soft[h].top); }  // unrolled
  for (var h = 0u; h < R; h++) { for (var c = 0u; c < COLUMNS; c++) { store(outputs[h], lane + 4u * c, o[c][h]); } }  // unrolled
}

// attn_decode_vec — softmax(q · Kᵀ · scale) · V of single rows over their pages, on several subgroups, 16 bytes per load
//
//   q         [T, H, E]                 f32    read
//   rows      [T]                       vec4u  read
//   table     [*, listLength, columns]  vec4u  read
//   kv        [*]                       vec4u  read
//   partials  [M, H, entries, E+2]      f32    write
//   out       [T, H, E]                 f32    write
//
// dispatch  (G, splits, M): one workgroup per key/value head, split of the page list and row
// cost      bytes 2·M·G·S·E·KV_BITS/8, flops 4·M·H·S·E: memory bound
// why       Bound by latency unless many bytes are under way: every load is 16 bytes a lane, and V is asked for before K is
//           used. A subgroup takes eight slots at a time, a group of K. Lanes lie as the words of the group do: lane l has
//           four slots (4·(l mod 2) …) of word l/2, so that it needs few numbers of q, which stay in registers for all
//           pages; sums over the words are exchanged once, and end up one slot to a lane. V is read with lanes along e,
//           COPIES slots at a time. The subgroups never wait for each other but at the end, where the first dimension of
//           workgroup memory is theirs. Invocations of a workgroup fill subgroups in order, so LANES neighbours lie in one
//           subgroup if LANES ≤ subgroupMinSize. A slot that must not be seen may hold NaN: its score is replaced, its V
//           becomes 0. Int8 and int4: scale and minimum of a slot are applied to its score and its weight.
// family    attn_decode
// uses      lib/list.wgsl lib/seen.wgsl lib/opened.wgsl

enable subgroups;

override H: u32 = 9;      // query heads
override G: u32 = 3;      // key/value heads
const R: u32 = 3;         // H / G; 4·SUBGROUPS·R·(E + 4) ≤ 16384
const E: u32 = 64;        // head width; E·KV_BITS is a multiple of 128
const KV_BITS: u32 = 16;  // 32: pages of f32, 16: of f16 pairs, 8 and 4: of units, a scale and a minimum per slot
const LANES: u32 = 32;    // threads of a subgroup: 4, 8, 16 or 32, ≤ subgroupMinSize
const V_LANES: u32 = 8;   // of them along e: the power of two not below E·KV_BITS/128, or LANES
const SUBGROUPS: u32 = 4; // 1, 2 or 4: the groups of a page are shared out

struct Params {
  firstRow: u32,       // row of workgroup z = 0
  listLength: u32,     // table entries of a list: its head, then pages
  columns: u32,        // lists of a sequence
  column: u32,         // the list of key/value head 0
  arena: u32,          // number of the buffer bound as kv
  entries: u32,        // partials of a row and head; 1: the result is written to `out`
  entry: u32,          // the first one written here
  pagesPerSplit: u32,
  window: u32,         // keys a query sees, itself included; 0: all
  scale: f32,          // 1/√E
}

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> kv: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const UNSEEN = -3e38;
const AFFINE = KV_BITS <= 8u;                          // value = minimum + scale·unit
const VALUES = 32u / KV_BITS;                          // numbers in a word, vec4s of numbers in a load of V
const PARTS = (VALUES + 3u) / 4u;                      // vec4s of numbers in a word of K; f16 and f32 leave components empty
const WORDS = E / VALUES;                              // words of a slot's K or V
const WORDS_OF_K = 2u * WORDS;                         // loads of a group's K, all lanes together
const K_LOADS = (WORDS_OF_K + LANES - 1u) / LANES;     // of a group's K, per lane
const HELD = 8u / min(LANES, 8u);                      // slots of a group whose score a lane has in the end
const FOURS = WORDS / 4u;                              // loads of a slot's V
const COPIES = LANES / V_LANES;                        // slots of V at a time; those beyond 8 are idle
const V_STEPS = 8u / min(COPIES, 8u);
const CHUNKS = (FOURS + V_LANES - 1u) / V_LANES;       // loads of a slot's V per lane
const SIDES = PARTS;                                   // vec4s of sums whose numbers alternate, see `numbers`
const FOLDS = countTrailingZeros(COPIES);
const TURNS = countTrailingZeros(LANES);
const FLOATS = R * E;
const KEY_PARTS = K_LOADS * PARTS;
const SUMS = CHUNKS * VALUES;                          // vec4s of a head's output per lane
const WG = LANES * SUBGROUPS;

var<workgroup> tops: array<f32, SUBGROUPS * R>;
var<workgroup> sums: array<vec2f, SUBGROUPS * R>;            // Σ weight, Σ weight·minimum of V
var<workgroup> accs: array<vec4f, SUBGROUPS * FLOATS / 4u>;  // [subgroup, head, e]

// The numbers of q that part i of a lane's words is multiplied with, from q[at] on, in the order of `product`.
fn scaled_query(at: u32, i: u32, lane: u32) -> vec4f {
  let word = i / PARTS * (LANES / 2u) + lane / 2u;
  let w = min(word, WORDS - 1u);
  let scale = select(0.0, params.scale, word < WORDS);
  if (KV_BITS == 32u) { return vec4f(q[at + w / 4u][w % 4u] * scale, 0.0, 0.0, 0.0); }
  let four = q[at + w * VALUES / 4u] * scale;
  if (KV_BITS == 16u) { return vec4f(select(four.xy, four.zw, w % 2u == 1u), 0.0, 0.0); }
  if (KV_BITS == 8u) { return four; }
  let after = q[at + w * 2u + 1u] * scale;
  return select(vec4f(four.xz, after.xz), vec4f(four.yw, after.yw), i % PARTS == 1u);
}

// A word's numbers times those of q; int4: part 0 has the even ones, part 1 the odd ones.
fn product(word: u32, part: u32, query: vec4f) -> f32 {
  if (KV_BITS == 32u) { return bitcast<f32>(word) * query.x; }
  if (KV_BITS == 16u) { return dot(unpack2x16float(word), query.xy); }
  if (KV_BITS == 8u) { return dot(vec4f(unpack4xU8(word)), query); }
  return dot(vec4f(unpack4xU8((word >> (4u * part)) & 0x0f0f0f0fu)), query);
}

fn products(words: vec4u, part: u32, query: vec4f) -> vec4f {
  return vec4f(
    product(words.x, part, query), product(words.y, part, query),
    product(words.z, part, query), product(words.w, part, query),
  );
}

// Four neighbouring numbers of a load of V; int4: part 2i has the even ones of word i, part 2i + 1 the odd ones.
fn numbers(raw: vec4u, part: u32) -> vec4f {
  if (KV_BITS == 32u) { return bitcast<vec4f>(raw); }
  if (KV_BITS == 16u) {
    let words = select(raw.xy, raw.zw, part == 1u);
    return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
  }
  if (KV_BITS == 8u) { return vec4f(unpack4xU8(raw[part])); }
  return vec4f(unpack4xU8((raw[part / 2u] >> (4u * (part % 2u))) & 0x0f0f0f0fu));
}

// Load c of the slot of V that a lane has in step i; 0 where that is not seen.
fn value_load(at: u32, i: u32, c: u32, lane: u32, mask: u32) -> vec4u {
  let slot = min(i * COPIES + lane / V_LANES, 7u);
  let raw = kv[at + slot * FOURS + min(c * V_LANES + lane % V_LANES, FOURS - 1u)];
  return select(vec4u(), raw, ((mask >> slot) & 1u) == 1u);
}

// Sums over the lanes of the same parity: of the four slots of a lane it is left with HELD, see `held_slot`.
fn gathered(dots: vec4f, lane: u32) -> vec2f {
  let second = (lane & 2u) != 0u;
  let two = select(dots.xy, dots.zw, second) + subgroupShuffleXor(select(dots.zw, dots.xy, second), 2u);
  if (HELD == 2u) { return two; }
  let odd = (lane & 4u) != 0u;
  var sum = select(two.x, two.y, odd) + subgroupShuffleXor(select(two.y, two.x, odd), 4u);
  for (var turn = 3u; turn < TURNS; turn++) { sum += subgroupShuffleXor(sum, 1u << turn); }
  return vec2f(sum, 0.0);
}

// The slot of a group whose i-th score a lane has, and the first lane that has a slot's score.
fn held_slot(lane: u32, i: u32) -> u32 {
  return 4u * (lane & 1u) + (lane & 2u) + select((lane >> 2u) & 1u, i, HELD == 2u);
}
fn holder(slot: u32) -> u32 { return (slot >> 2u) + (slot & 2u) + select(4u * (slot & 1u), 0u, HELD == 2u); }

// (scale, minimum) of a slot's K, then of its V, in the group that begins at slot `first`; 0 where it is not seen.
fn opening(page: u32, first: u32, slot: u32, mask: u32) -> vec4f {
  if (!AFFINE) { return vec4f(1.0, 0.0, 1.0, 0.0); }
  let at = page + 2u * E * KV_BITS + first + slot;
  let pairs = vec2u(kv[at / 4u][at % 4u], kv[at / 4u + 8u][at % 4u]);
  let shown = select(vec2u(), pairs, ((mask >> slot) & 1u) == 1u);
  return vec4f(opened(shown.x), opened(shown.y));
}

// The scores of the slots that a lane holds; HELD 1: the second one is UNSEEN.
fn scores(products: vec2f, affine: array<vec4f, HELD>, ones: f32, mask: u32, lane: u32) -> vec2f {
  var score = products;
  if (AFFINE) { score = vec2f(affine[0].x, affine[HELD - 1u].x) * products + vec2f(affine[0].y, affine[HELD - 1u].y) * ones; }
  let bits = vec2u(mask >> held_slot(lane, 0u), mask >> held_slot(lane, 1u)) & vec2u(1u, HELD - 1u);
  return select(vec2f(UNSEEN), score, bits == vec2u(1u));
}

// The largest of a group's scores.
fn largest(scores: vec2f) -> f32 {
  var best = max(scores.x, scores.y);
  for (var turn = 0u; turn < min(3u, TURNS); turn++) { best = max(best, subgroupShuffleXor(best, 1u << turn)); }
  return best;
}

// The weight of the slot of V that a lane has in step i.
fn handed(weights: vec2f, i: u32, id: u32, lane: u32) -> f32 {
  let slot = i * COPIES + lane / V_LANES;
  let source = id - lane + holder(slot % 8u);
  var weight = subgroupShuffle(weights.x, source);
  if (HELD == 2u) { weight = select(weight, subgroupShuffle(weights.y, source), slot % 2u == 1u); }
  return select(0.0, weight, slot < 8u);
}

// Sum c of a lane to its place in workgroup memory, where the numbers are in order. `even` and `odd` are the sums that `numbers`
// led to: the same one but for int4, which has them in turn.
fn put(at: u32, c: u32, lane: u32, even: vec4f, odd: vec4f) {
  let chunk = c / VALUES * V_LANES + lane;
  var four = even;
  if (KV_BITS == 4u) { four = select(vec4f(even.x, odd.x, even.y, odd.y), vec4f(even.z, odd.z, even.w, odd.w), c % 2u == 1u); }
  if (chunk < FOURS) { accs[at * (E / 4u) + chunk * VALUES + c % VALUES] = four; }
}

@compute @workgroup_size(WG)
fn attn_decode_vec(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) id: u32,
) {
  let lane = id % LANES;
  let own = local / LANES;
  let row = rows[params.firstRow + wg.z];
  let head0 = wg.x * R;
  let first4 = ((params.firstRow + wg.z) * H + head0) * (E / 4u);
  let list = row.z * params.listLength * params.columns + params.column + wg.x;
  let head = table[list];
  let firstPage = wg.y * params.pagesPerSplit;
  let endPage = max(firstPage, min(firstPage + params.pagesPerSplit, row.y / 32u + 1u + head.x - head.y));

  // Queries of this lane's words, scaled; 0 for words beyond.
  var query: array<vec4f, R * KEY_PARTS>;
  var ones: array<f32, R>;  // Σq
  for (var h = 0u; h < R; h++) { for (var i = 0u; i < KEY_PARTS; i++) { query[h * KEY_PARTS + i] = scaled_query(first4 + h * (E / 4u), i, lane); } }  // unrolled
  for (var h = 0u; h < R; h++) { for (var i = 0u; i < KEY_PARTS; i++) { ones[h] += dot(query[h * KEY_PARTS + i], vec4f(1.0)); } }  // unrolled
  if (AFFINE) {
    for (var turn = 1u; turn < TURNS; turn++) {
      for (var h = 0u; h < R; h++) { ones[h] += subgroupShuffleXor(ones[h], 1u << turn); }  // unrolled
    }
  }

  var top: array<f32, R>;
  var sum: array<f32, R>;  // of the slots whose score this lane has
  var low: array<f32, R>;  // Σ weight·minimum of V of these slots
  var acc: array<vec4f, R * SUMS>;
  for (var h = 0u; h < R; h++) { top[h] = UNSEEN; }  // unrolled

  let groups = (endPage - firstPage) * (4u / SUBGROUPS);
  var next = listed_entry(list, head, firstPage);
  for (var left = groups; left > 0u; left--) {
    let turn = groups - left;
    let page = next;
    let bits = seen(page, row.x);
    next = listed_entry(list, head, firstPage + (turn + 1u) * SUBGROUPS / 4u);  // the last one is not used
    if (bits == 0u) { continue; }
    let group = (turn * SUBGROUPS + own) % 4u;
    let mask = bits >> (8u * group);

    // All loads, V's before K is used.
    let keysAt = page.x / 4u + group * WORDS_OF_K;
    let valuesAt = page.x / 4u + 8u * WORDS + group * 8u * FOURS;
    var keys: array<vec4u, K_LOADS>;
    for (var i = 0u; i < K_LOADS; i++) { keys[i] = kv[keysAt + min(i * LANES + lane, WORDS_OF_K - 2u + lane % 2u)]; }  // unrolled
    var values: array<vec4u, V_STEPS * CHUNKS>;
    for (var i = 0u; i < V_STEPS; i++) { for (var c = 0u; c < CHUNKS; c++) { values[i * CHUNKS + c] = value_load(valuesAt, i, c, lane, mask); } }  // unrolled
    var affine: array<vec4f, HELD>;
    for (var i = 0u; i < HELD; i++) { affine[i] = opening(page.x, group * 8u, held_slot(lane, i), mask); }  // unrolled

    // Scores, and weights relative to the new maximum.
    var dots = array<vec4f, R>();
    for (var h = 0u; h < R; h++) { for (var i = 0u; i < K_LOADS; i++) { for (var p = 0u; p < PARTS; p++) { dots[h] += products(keys[i], p, query[h * KEY_PARTS + i * PARTS + p]); } } }  // unrolled
    var keep: array<f32, R>;
    var weights: array<vec2f, R>;
    for (var h = 0u; h < R; h++) { weights[h] = scores(gathered(dots[h], lane), affine, ones[h], mask, lane); }  // unrolled
    for (var h = 0u; h < R; h++) { keep[h] = top[h]; top[h] = max(top[h], largest(weights[h])); keep[h] = exp(keep[h] - top[h]); }  // unrolled
    for (var h = 0u; h < R; h++) { weights[h] = exp(weights[h] - top[h]) * vec2f(weights[h] > vec2f(-1e38)); }  // unrolled
    for (var h = 0u; h < R; h++) { sum[h] = sum[h] * keep[h] + weights[h].x + weights[h].y; }  // unrolled
    if (AFFINE) {
      for (var h = 0u; h < R; h++) { low[h] = low[h] * keep[h] + weights[h].x * affine[0].w + weights[h].y * affine[HELD - 1u].w; }  // unrolled
      for (var h = 0u; h < R; h++) { weights[h] *= vec2f(affine[0].z, affine[HELD - 1u].z); }  // unrolled
    }

    // Values: lanes along e.
    for (var i = 0u; i < R * SUMS; i++) { acc[i] *= keep[i / SUMS]; }  // unrolled
    for (var i = 0u; i < V_STEPS; i++) { for (var h = 0u; h < R; h++) { let factor = handed(weights[h], i, id, lane); for (var c = 0u; c < SUMS; c++) { acc[h * SUMS + c] += factor * numbers(values[i * CHUNKS + c / VALUES], c % VALUES); } } }  // unrolled
  }

  // The lanes of a subgroup. Scores are on 8/HELD lanes, and again on those after them.
  var totals: array<vec2f, R>;
  for (var h = 0u; h < R; h++) { totals[h] = vec2f(sum[h], low[h]); }  // unrolled
  for (var turn = 0u; turn < min(3u, TURNS); turn++) {
    for (var h = 0u; h < R; h++) { totals[h] += subgroupShuffleXor(totals[h], 1u << turn); }  // unrolled
  }
  for (var fold = 0u; fold < FOLDS; fold++) {
    for (var i = 0u; i < R * SUMS; i++) { acc[i] += subgroupShuffleXor(acc[i], V_LANES << fold); }  // unrolled
  }
  if (lane == 0u) {
    for (var h = 0u; h < R; h++) { tops[own * R + h] = top[h]; sums[own * R + h] = totals[h]; }  // unrolled
  }
  if (lane < V_LANES) {
    for (var i = 0u; i < R * SUMS; i++) { put(own * R + i / SUMS, i % SUMS, lane, acc[i / SIDES * SIDES], acc[i / SIDES * SIDES + SIDES - 1u]); }  // unrolled
  }
  workgroupBarrier();

  // The subgroups of the workgroup, four numbers to a thread.
  for (var i = 0u; i < (FLOATS / 4u + WG - 1u) / WG; i++) {
    let at = i * WG + local;
    if (at >= FLOATS / 4u) { continue; }
    let h = at / (E / 4u);
    var most = UNSEEN;
    for (var s = 0u; s < SUBGROUPS; s++) { most = max(most, tops[s * R + h]); }
    var total = vec2f();
    var four = vec4f();
    for (var s = 0u; s < SUBGROUPS; s++) {
      let factor = exp(tops[s * R + h] - most);
      total += factor * sums[s * R + h];
      four += factor * accs[s * (FLOATS / 4u) + at];
    }
    four += total.y;
    if (params.entries == 1u) {
      four *= select(0.0, 1.0 / total.x, total.x > 0.0);
      let to = ((params.firstRow + wg.z) * H + head0) * E + 4u * at;
      for (var e = 0u; e < 4u; e++) { out[to + e] = four[e]; }
    } else {
      let to = ((wg.z * H + head0 + h) * params.entries + params.entry + wg.y) * (E + 2u);
      let first = 4u * (at % (E / 4u));
      for (var e = 0u; e < 4u; e++) { partials[to + first + e] = four[e]; }
      if (first == 0u) {
        partials[to + E] = most;
        partials[to + E + 1u] = total.x;
      }
    }
  }
}

// attn_decode_sg — softmax(q · Kᵀ · scale) · V of single rows over their pages, on one subgroup
//
//   q         [T, H, E]                 f32    read
//   rows      [T]                       vec4u  read
//   table     [*, listLength, columns]  vec4u  read
//   kv        [*]                       u32    read
//   partials  [M, H, entries, E+2]      f32    write
//   out       [T, H, E]                 f32    write
//
// dispatch  (G, splits, M): one workgroup of LANES threads per key/value head, split of the page list and row
// cost      bytes 2·M·G·S·E·KV_BITS/8, flops 4·M·H·S·E: memory bound
// why       No workgroup memory and no barrier: K is read with lanes along slots, eight at a place, the weights are
//           handed round by shuffles, V is read with lanes along e, contiguous; all R query heads of a key/value head
//           share both. The workgroup is one subgroup or part of one: LANES must not exceed the adapter's
//           subgroupMinSize, so a subgroup of any larger size is right too. A slot that must not be seen may hold
//           NaN: its score is replaced, its V and its weight are not read. Int8 and int4: a slot's scale and minimum are
//           applied to its score and to its weight, q·K = scale·Σq·u + minimum·Σq, by the lane that has the slot.
// family    attn_decode
// uses      lib/list.wgsl lib/seen.wgsl lib/page.wgsl lib/stored_key.wgsl lib/units.wgsl lib/opened.wgsl

enable subgroups;

override H: u32 = 9;  // query heads
override G: u32 = 3;  // key/value heads
const R: u32 = 3;         // H / G
const E: u32 = 64;        // head width, a multiple of 4, of 8 for int8 and int4
const KV_BITS: u32 = 16;  // 32: pages of f32, 16: of f16 pairs, 8 and 4: of units, a scale and a minimum per slot
const LANES: u32 = 32;    // threads per workgroup: 4, 8, 16 or 32, ≤ subgroupMinSize

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
@group(0) @binding(3) var<storage, read> kv: array<u32>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const UNSEEN = -3e38;
const SLOTS = 32u / LANES;                    // slots of a page per lane: lane, lane + LANES, …
const PAIRS = E / 2u;                         // (value 2j, value 2j+1)
const AFFINE = KV_BITS <= 8u;                 // value = minimum + scale·unit
const COLUMNS = (PAIRS + LANES - 1u) / LANES;  // pairs of the output per lane: lane, lane + LANES, …

// Values 2j and 2j+1 of a slot; affine: units.
fn value(page: u32, j: u32, slot: u32) -> vec2f {
  let at = slot_at(page, slot, true);
  if (AFFINE) {
    let bit = 2u * KV_BITS * j;
    return units(kv[at + bit / 32u], bit % 32u).xy;
  }
  if (KV_BITS == 16u) { return unpack2x16float(kv[at + j]); }
  return bitcast<vec2f>(vec2u(kv[at + 2u * j], kv[at + 2u * j + 1u]));
}

// (scale, minimum) of a slot's K, then of its V; 0 where nothing is to be seen.
fn opening(page: u32, slot: u32, visible: bool) -> vec4f {
  if (!AFFINE) { return vec4f(1.0, 0.0, 1.0, 0.0); }
  let pairs = select(vec2u(), vec2u(kv[pair_at(page, slot, false)], kv[pair_at(page, slot, true)]), visible);
  return vec4f(opened(pairs.x), opened(pairs.y));
}

// Σ of the q of one head.
fn sum_of(query: u32) -> f32 {
  var ones = 0.0;
  for (var e4 = 0u; e4 < E / 4u; e4++) { ones += dot(q[query + e4], vec4f(1.0)); }
  return ones;
}

@compute @workgroup_size(LANES)
fn attn_decode_sg(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = rows[params.firstRow + wg.z];
  let head0 = wg.x * R;
  let query = ((params.firstRow + wg.z) * H + head0) * (E / 4u);
  let list = row.z * params.listLength * params.columns + params.column + wg.x;
  let head = table[list];
  let firstPage = wg.y * params.pagesPerSplit;
  let endPage = min(firstPage + params.pagesPerSplit, row.y / 32u + 1u + head.x - head.y);

  var top: array<f32, R>;
  var sum: array<f32, R>;   // of this lane's slots
  var low: array<f32, R>;   // Σ weight·minimum of V of this lane's slots
  var ones: array<f32, R>;  // Σq
  var acc: array<vec2f, R * COLUMNS>;
  for (var h = 0u; h < R; h++) {
    top[h] = UNSEEN;
    sum[h] = 0.0;
    low[h] = 0.0;
    ones[h] = 0.0;
    if (AFFINE) { ones[h] = sum_of(query + h * (E / 4u)); }
    for (var c = 0u; c < COLUMNS; c++) { acc[h * COLUMNS + c] = vec2f(); }
  }

  for (var page = firstPage; page < endPage; page++) {
    let entry = listed_entry(list, head, page);
    let bits = seen(entry, row.x);
    if (bits == 0u) { continue; }

    // Scores: lanes along slots.
    var weights: array<f32, R * SLOTS>;
    for (var i = 0u; i < R * SLOTS; i++) { weights[i] = 0.0; }
    for (var e4 = 0u; e4 < E / 4u; e4++) {
      for (var s = 0u; s < SLOTS; s++) {
        let keys = stored_key(entry.x, e4, s * LANES + lane);
        for (var h = 0u; h < R; h++) { weights[h * SLOTS + s] += dot(keys, q[query + h * (E / 4u) + e4]); }
      }
    }

    // Weights, relative to the new maximum.
    var affine: array<vec4f, SLOTS>;
    for (var s = 0u; s < SLOTS; s++) {
      affine[s] = opening(entry.x, s * LANES + lane, ((bits >> (s * LANES + lane)) & 1u) == 1u);
    }
    for (var h = 0u; h < R; h++) {
      var best = UNSEEN;
      for (var s = 0u; s < SLOTS; s++) {
        let visible = ((bits >> (s * LANES + lane)) & 1u) == 1u;
        let product = affine[s].x * weights[h * SLOTS + s] + affine[s].y * ones[h];
        let score = select(UNSEEN, product * params.scale, visible);
        weights[h * SLOTS + s] = score;
        best = max(best, score);
      }
      for (var step = LANES / 2u; step > 0u; step /= 2u) { best = max(best, subgroupShuffleXor(best, step)); }
      let newTop = max(top[h], best);
      let keep = exp(top[h] - newTop);
      top[h] = newTop;
      sum[h] *= keep;
      low[h] *= keep;
      for (var c = 0u; c < COLUMNS; c++) { acc[h * COLUMNS + c] *= keep; }
      for (var s = 0u; s < SLOTS; s++) {
        let score = weights[h * SLOTS + s];
        let weight = select(0.0, exp(score - newTop), score > -1e38);
        weights[h * SLOTS + s] = weight * affine[s].z;
        sum[h] += weight;
        low[h] += weight * affine[s].w;
      }
    }

    // Values: lanes along e.
    for (var s = 0u; s < SLOTS; s++) {
      for (var source = 0u; source < LANES; source++) {
        let slot = s * LANES + source;
        if (((bits >> slot) & 1u) == 0u) { continue; }
        var weight: array<f32, R>;
        for (var h = 0u; h < R; h++) { weight[h] = subgroupShuffle(weights[h * SLOTS + s], source); }
        for (var c = 0u; c < COLUMNS; c++) {
          let pair = value(entry.x, min(c * LANES + lane, PAIRS - 1u), slot);
          for (var h = 0u; h < R; h++) { acc[h * COLUMNS + c] += weight[h] * pair; }
        }
      }
    }
  }

  for (var h = 0u; h < R; h++) {
    var totals = vec2f(sum[h], low[h]);
    for (var step = LANES / 2u; step > 0u; step /= 2u) { totals += subgroupShuffleXor(totals, step); }
    let total = totals.x;
    let scale = select(0.0, 1.0 / total, total > 0.0);
    let to = ((params.firstRow + wg.z) * H + head0 + h) * E;
    let entry = (wg.z * H + head0 + h) * params.entries + params.entry + wg.y;
    for (var c = 0u; c < COLUMNS; c++) {
      let j = c * LANES + lane;
      if (j >= PAIRS) { continue; }
      let pair = acc[h * COLUMNS + c] + totals.y;
      if (params.entries == 1u) {
        out[to + 2u * j] = pair.x * scale;
        out[to + 2u * j + 1u] = pair.y * scale;
      } else {
        partials[entry * (E + 2u) + 2u * j] = pair.x;
        partials[entry * (E + 2u) + 2u * j + 1u] = pair.y;
      }
    }
    if (params.entries > 1u && lane == 0u) {
      partials[entry * (E + 2u) + E] = top[h];
      partials[entry * (E + 2u) + E + 1u] = total;
    }
  }
}

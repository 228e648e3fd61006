// attn_prefill_tile — softmax(q · Kᵀ · scale) · V of consecutive rows of one sequence, K and V in workgroup memory
//
//   q         [T, H, E]                 f32    read
//   rows      [T]                       vec4u  read
//   table     [*, listLength, columns]  vec4u  read
//   kv        [*]                       u32    read
//   partials  [count, H, entries, E+2]  f32    write
//   out       [T, H, E]                 f32    write
//
// dispatch  (⌈count / TOKENS⌉, G, 1): one workgroup per TOKENS rows of the H/G query heads of one key/value head
// cost      bytes 4·count·H·E·2 + ⌈count/TOKENS⌉·G·S·E·KV_BITS/4, flops 4·count·H·S·E: compute bound
// why       Flash attention for GPUs. A line is a row's query of one head; the heads that read the same keys lie side by
//           side, so that short prompts fill a workgroup too, and stage a page once for all of them. Eight threads share
//           four lines: of the scores each owns four slots, of the output every eighth column of four values, so that both
//           products are register tiles of 4×4 and 4×8. SHARE keeps the queries in workgroup memory, too.
//           A page's K, then its V, is unpacked once per workgroup, 64 values of e at a time (8 KiB); the weights
//           cross from one layout to the other through 64·WG bytes, swizzled by row group against bank conflicts.
//           Int8 and int4: the tiles hold plain units; a slot's scale and minimum are applied to its score and to its
//           weight, q·K = scale·Σq·u + minimum·Σq.
// family    attn_prefill
// uses      lib/list.wgsl lib/seen.wgsl

override WG: u32 = 128;      // threads per workgroup: 32, 64 or 128, at least 2·H/G
override SHARE: u32 = 0;     // 1: the queries of the workgroup pass through its memory, 2·WG·E bytes
override H: u32 = 9;         // query heads
override G: u32 = 3;         // key/value heads
override KV_BITS: u32 = 16;  // 32: pages of f32, 16: of f16 pairs, 8 and 4: of units, a scale and a minimum per slot
const E: u32 = 64;           // head width, a multiple of 8

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

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> kv: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;

const UNSEEN = -3e38;
const LOG2E = 1.4426950408889634;
const E4 = E / 4u;
const COLUMNS = (E4 + 15u) / 16u * 2u;  // of four values, per thread

override R: u32 = H / G;
override LINES: u32 = WG / 2u;
override TOKENS: u32 = LINES / R;
override QUERIES: u32 = SHARE * (LINES * E4 - 1u) + 1u;

var<workgroup> tile: array<vec4f, 512>;         // K [64 of e, 8 × 4 slots] or V [32 slots, 16 × 4 of e]
var<workgroup> weights: array<vec4f, WG * 4u>;  // [lines, 8 × 4 slots]
var<workgroup> queries: array<vec4f, QUERIES>;  // [E/4, lines]

// Where the query of a line begins, in vec4s. Lines past the rows repeat the last row: they are not stored.
fn query_at(oldest: u32, group: u32, line: u32) -> u32 {
  let row = params.firstRow + min(oldest + line / R, params.count - 1u);
  return (row * H + group * R + line % R) * E4;
}

// Values 4·e4 … of a line's query, which begins at `at`.
fn query_part(at: u32, line: u32, e4: u32) -> vec4f {
  if (SHARE == 1u) { return queries[e4 * LINES + line]; }
  return q[at + e4];
}

// Bit s is set if slot s of the page is at or before `position`, and so written. NaN may lie in all others.
fn past(entry: vec4u, position: u32) -> u32 {
  if (entry.w > position) { return 0u; }
  let newest = position - entry.w;
  return select(entry.y, entry.y & ((2u << (newest % 32u)) - 1u), newest < 31u);
}

// Scales, then minima, of K (which 0) or V (which 1) of the slots 4·share .. 4·share+3; 0 without their bit in `written`.
fn affine_of(page: u32, which: u32, share: u32, written: u32) -> mat2x4f {
  let bits = vec4u(written >> (4u * share)) & vec4u(1u, 2u, 4u, 8u);
  let raw = select(vec4u(), kv[page + E * KV_BITS / 2u + which * 8u + share], bits != vec4u());
  return mat2x4f(bitcast<vec4f>(raw << vec4u(16u)), bitcast<vec4f>(raw & vec4u(0xffff0000u)));
}

// Where four words of K lie, of slots 4·quad .. 4·quad+3.
fn key_at(page: u32, word: u32, quad: u32) -> u32 {
  return page + quad / 2u * (E * KV_BITS / 16u) + word * 2u + quad % 2u;
}

// K of values from4·4 .. (from4 + count4)·4 to `tile`; int8 and int4 as units. `page` in vec4s.
fn stage_keys(page: u32, from4: u32, count4: u32, local: u32) {
  if (KV_BITS <= 8u) {
    for (var turn = 0u; turn < (16u * KV_BITS + WG - 1u) / WG; turn++) {
      let i = turn * WG + local;
      if (i >= count4 * KV_BITS) { break; }
      let raw = kv[key_at(page, from4 * KV_BITS / 8u + i / 8u, i % 8u)];
      let to = i / 8u * (256u / KV_BITS) + i % 8u;
      for (var unit = 0u; unit < 32u / KV_BITS; unit++) {
        tile[to + 8u * unit] = vec4f((raw >> vec4u(KV_BITS * unit)) & vec4u((1u << (KV_BITS % 32u)) - 1u));
      }
    }
  } else if (KV_BITS == 16u) {
    for (var turn = 0u; turn < 256u / WG; turn++) {
      let i = turn * WG + local;
      if (i >= count4 * 16u) { break; }
      let pairs = kv[key_at(page, from4 * 2u + i / 8u, i % 8u)];
      let a = unpack2x16float(pairs.x);
      let b = unpack2x16float(pairs.y);
      let c = unpack2x16float(pairs.z);
      let d = unpack2x16float(pairs.w);
      let to = i / 8u * 16u + i % 8u;
      tile[to] = vec4f(a.x, b.x, c.x, d.x);
      tile[to + 8u] = vec4f(a.y, b.y, c.y, d.y);
    }
  } else {
    for (var turn = 0u; turn < 512u / WG; turn++) {
      let i = turn * WG + local;
      if (i < count4 * 32u) { tile[i] = bitcast<vec4f>(kv[key_at(page, from4 * 4u + i / 8u, i % 8u)]); }
    }
  }
}

// V likewise; slots without their bit in `written` become 0, or any finite number if int8 or int4.
fn stage_values(page: u32, from4: u32, count4: u32, written: u32, local: u32) {
  if (KV_BITS <= 8u) {
    for (var turn = 0u; turn < 512u / WG; turn++) {
      let i = turn * WG + local;
      if (i >= 32u * count4) { break; }
      let slot = i / count4;
      let column = i % count4;
      let bit = (slot * E4 + from4 + column) * 4u * KV_BITS;  // a slot's words may start within a vec4
      let raw = kv[page + E * KV_BITS / 4u + bit / 128u][bit / 32u % 4u] >> (bit % 32u);
      let shifts = KV_BITS * vec4u(0u, 1u, 2u, 3u);
      tile[slot * 16u + column] = vec4f((vec4u(raw) >> shifts) & vec4u((1u << (KV_BITS % 32u)) - 1u));
    }
  } else if (KV_BITS == 16u) {
    let width = count4 / 2u;
    for (var turn = 0u; turn < 256u / WG; turn++) {
      let i = turn * WG + local;
      if (i >= 32u * width) { break; }
      let slot = i / width;
      let column = i % width;
      let raw = kv[page + E * 4u + slot * (E / 8u) + from4 / 2u + column];
      let pairs = select(vec4u(), raw, ((written >> slot) & 1u) == 1u);
      let to = slot * 16u + column * 2u;
      tile[to] = vec4f(unpack2x16float(pairs.x), unpack2x16float(pairs.y));
      tile[to + 1u] = vec4f(unpack2x16float(pairs.z), unpack2x16float(pairs.w));
    }
  } else {
    for (var turn = 0u; turn < 512u / WG; turn++) {
      let i = turn * WG + local;
      if (i >= 32u * count4) { break; }
      let slot = i / count4;
      let raw = kv[page + E * 8u + slot * E4 + from4 + i % count4];
      tile[slot * 16u + i % count4] = bitcast<vec4f>(select(vec4u(), raw, ((written >> slot) & 1u) == 1u));
    }
  }
}

@compute @workgroup_size(WG)
fn attn_prefill_tile(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let group = wg.y;                                      // key/value head
  let oldest = wg.x * TOKENS;                            // of the workgroup's rows
  let newest = min(oldest + TOKENS, params.count) - 1u;
  let share = local % 8u;                                // which slots, which columns
  let lineGroup = local / 8u;                            // of this thread's four lines
  let row = rows[params.firstRow];
  let firstPosition = row.x + oldest;
  let lastPosition = row.x + newest;
  let list = row.z * params.listLength * params.columns + params.column + group;
  let listHead = table[list];
  let listed = (row.y + newest) / 32u + 1u + listHead.x - listHead.y;

  var query: array<u32, 4>;
  for (var r = 0u; r < 4u; r++) { query[r] = query_at(oldest, group, lineGroup * 4u + r); }
  if (SHARE == 1u) {
    for (var turn = 0u; turn < E4 / 2u; turn++) {
      let i = turn * WG + local;
      queries[i % E4 * LINES + i / E4] = q[query_at(oldest, group, i / E4) + i % E4];
    }
  }
  var acc: array<vec4f, 4u * COLUMNS>;  // [row, column]
  for (var i = 0u; i < 4u * COLUMNS; i++) { acc[i] = vec4f(); }
  var top = vec4f(UNSEEN);  // of each row, in powers of two
  var sum = vec4f();        // of this thread's slots
  var low = vec4f();        // Σ weight·minimum of V of this thread's slots
  var ones = vec4f();       // Σq of each row
  if (KV_BITS <= 8u) {
    for (var e4 = 0u; e4 < E4; e4++) {
      for (var r = 0u; r < 4u; r++) { ones[r] += dot(q[query[r] + e4], vec4f(1.0)); }
    }
  }

  for (var left = listed; left > 0u; left--) {
    let entry = listed_entry(list, listHead, listed - left);
    if (entry.y == 0u || entry.z != params.arena || entry.w > lastPosition) { continue; }
    if (params.window != 0u && entry.w + 31u + params.window <= firstPosition) { continue; }
    let whole = entry.y == 0xffffffffu && entry.w + 31u <= firstPosition
      && (params.window == 0u || entry.w + params.window > lastPosition);
    let page = entry.x / 4u;
    let written = past(entry, lastPosition);
    var keyAffine = mat2x4f(vec4f(1.0), vec4f());
    var valueAffine = keyAffine;
    if (KV_BITS <= 8u) {
      keyAffine = affine_of(page, 0u, share, written);
      valueAffine = affine_of(page, 1u, share, written);
    }

    // Scores of 4 lines × 4 slots.
    var scores: array<vec4f, 4>;
    for (var r = 0u; r < 4u; r++) { scores[r] = vec4f(); }
    for (var part = 0u; part < COLUMNS / 2u; part++) {
      let from4 = 16u * part;
      let count4 = min(16u, E4 - from4);
      stage_keys(page, from4, count4, local);
      workgroupBarrier();
      for (var e4 = 0u; e4 < min(16u, E4); e4++) {
        if (e4 >= count4) { break; }
        let k0 = tile[e4 * 32u + share];
        let k1 = tile[e4 * 32u + 8u + share];
        let k2 = tile[e4 * 32u + 16u + share];
        let k3 = tile[e4 * 32u + 24u + share];
        for (var r = 0u; r < 4u; r++) {
          let x = query_part(query[r], lineGroup * 4u + r, from4 + e4);
          scores[r] += k0 * x.x + k1 * x.y + k2 * x.z + k3 * x.w;
        }
      }
      workgroupBarrier();
    }

    // Maxima: of own slots, then over the eight threads of the lines. `tile` is free here.
    var best = vec4f();
    for (var r = 0u; r < 4u; r++) {
      scores[r] = (keyAffine[0] * scores[r] + keyAffine[1] * ones[r]) * (params.scale * LOG2E);
      if (!whole) {
        let bits = seen(entry, row.x + oldest + (lineGroup * 4u + r) / R) >> (4u * share);
        scores[r] = select(vec4f(UNSEEN), scores[r], (vec4u(bits) & vec4u(1u, 2u, 4u, 8u)) != vec4u());
      }
      best[r] = max(max(scores[r].x, scores[r].y), max(scores[r].z, scores[r].w));
    }
    tile[local] = best;
    workgroupBarrier();
    var newTop = top;
    for (var i = 0u; i < 8u; i++) { newTop = max(newTop, tile[lineGroup * 8u + i]); }
    let keep = exp2(top - newTop);
    top = newTop;
    sum *= keep;
    low *= keep;
    // A row that has seen nothing yet has top = UNSEEN, as all its scores: their weight is 0, not exp2(0).
    let base = select(top, vec4f(), top < vec4f(-1e38));
    for (var r = 0u; r < 4u; r++) {
      let weight = exp2(scores[r] - base[r]);
      sum[r] += dot(weight, vec4f(1.0));
      low[r] += dot(weight, valueAffine[1]);
      weights[(lineGroup * 4u + r) * 8u + (share ^ (lineGroup % 8u))] = weight * valueAffine[0];
    }
    workgroupBarrier();

    for (var half = 0u; half < COLUMNS / 2u; half++) {
      stage_values(page, half * 16u, min(16u, E4 - half * 16u), written, local);
      workgroupBarrier();
      // The two columns of this half live in registers; acc is indexed by a variable and may not.
      var part: array<vec4f, 8>;
      for (var r = 0u; r < 4u; r++) {
        part[2u * r] = acc[r * COLUMNS + 2u * half] * keep[r];
        part[2u * r + 1u] = acc[r * COLUMNS + 2u * half + 1u] * keep[r];
      }
      for (var s4 = 0u; s4 < 8u; s4++) {
        var weight: array<vec4f, 4>;
        for (var r = 0u; r < 4u; r++) { weight[r] = weights[(lineGroup * 4u + r) * 8u + (s4 ^ (lineGroup % 8u))]; }
        for (var i = 0u; i < 4u; i++) {
          let a = tile[(4u * s4 + i) * 16u + share];
          let b = tile[(4u * s4 + i) * 16u + 8u + share];
          for (var r = 0u; r < 4u; r++) {
            part[2u * r] += weight[r][i] * a;
            part[2u * r + 1u] += weight[r][i] * b;
          }
        }
      }
      for (var r = 0u; r < 4u; r++) {
        acc[r * COLUMNS + 2u * half] = part[2u * r];
        acc[r * COLUMNS + 2u * half + 1u] = part[2u * r + 1u];
      }
      workgroupBarrier();
    }
  }

  tile[local] = sum;
  tile[WG + local] = low;
  workgroupBarrier();
  var total = vec4f();
  var lowest = vec4f();  // what all values of a row are raised by
  for (var i = 0u; i < 8u; i++) {
    total += tile[lineGroup * 8u + i];
    lowest += tile[WG + lineGroup * 8u + i];
  }
  for (var r = 0u; r < 4u; r++) {
    let line = lineGroup * 4u + r;
    let token = oldest + line / R;
    if (line >= TOKENS * R || token >= params.count) { continue; }
    let entry = (token * H + group * R + line % R) * params.entries + params.entry;
    let scale = select(0.0, 1.0 / total[r], total[r] > 0.0);
    for (var c = 0u; c < COLUMNS; c++) {
      let column = c * 8u + share;
      if (column >= E4) { continue; }
      let values = acc[r * COLUMNS + c] + lowest[r];
      if (params.entries == 1u) {
        out[query[r] + column] = values * scale;
      } else {
        for (var i = 0u; i < 4u; i++) { partials[entry * (E + 2u) + 4u * column + i] = values[i]; }
      }
    }
    if (params.entries > 1u && share == 0u) {
      partials[entry * (E + 2u) + E] = select(UNSEEN, top[r] / LOG2E, top[r] > -1e38);
      partials[entry * (E + 2u) + E + 1u] = total[r];
    }
  }
}

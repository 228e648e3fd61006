// attn_decode — softmax(q · Kᵀ · scale) · V of single rows over their pages; needs no subgroups
//
//   q         [T, H, E]                 f32    read
//   rows      [T]                       vec4u  read
//   table     [*, listLength, columns]  vec4u  read
//   kv        [*]                       u32    read
//   partials  [M, H, entries, E+2]      f32    write
//   out       [T, H, E]                 f32    write
//
// dispatch  (G, splits, M): one workgroup per key/value head, split of the page list and row
// cost      bytes 2·M·G·S·E·KV_BITS/8, flops 4·M·H·S·E: memory bound
// why       All R query heads of a key/value head share each page. Scores of PAGES pages at a time lie in workgroup
//           memory, so a block of 32·PAGES keys costs five barriers: K is read with threads along slots, eight
//           at a place, V with threads along e, contiguous. A slot that must not be seen may hold NaN: its score is replaced,
//           its V is not read. A partial holds (acc, max, sum). The format decides how a page is
//           read (lib/format_slot.wgsl).
// family    attn_decode
// uses      lib/list.wgsl lib/seen.wgsl lib/format_slot.wgsl

override WG: u32 = 64;       // threads per workgroup, a multiple of 8, ≥ VALUE_WORDS
override PAGES: u32 = 8;     // pages per block; 4·R·(32·PAGES + WG) + 8·WG bytes of workgroup memory (+128·PAGES for int8, int4)
override H: u32 = 9;         // query heads
override G: u32 = 3;         // key/value heads
override E: u32 = 64;        // head width, a multiple of 4, of 8 for int8 and int4
const KV_BITS: u32 = 16;     // 32: pages of f32, 16: of f16 pairs, 8 and 4: of units, a scale and a minimum per slot
const R: u32 = 3;            // H / G

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
override TURNS: u32 = (PAGES * 32u + WG - 1u) / WG;  // of the threads along slots

var<workgroup> scores: array<f32, R * PAGES * 32u>;          // [R, PAGES·32]: scores, then weights
var<workgroup> notes: array<u32, 1u + NOTES * PAGES * 32u>;  // by slot, what the format leaves for V
var<workgroup> stripe: array<f32, R * WG>;                   // [R, WG]: one number per thread
var<workgroup> column: array<vec2f, WG>;

// Largest of the numbers that all threads left in `stripe` for head h. Needs a barrier before.
fn largest(h: u32) -> f32 {
  var top = UNSEEN;
  for (var i = 0u; i < 8u; i++) { top = max(top, stripe[h * WG + i]); }
  return top;
}

@compute @workgroup_size(WG)
fn attn_decode(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = rows[params.firstRow + wg.z];
  let head0 = wg.x * R;
  let query = ((params.firstRow + wg.z) * H + head0) * E / 4u;
  let list = row.z * params.listLength * params.columns + params.column + wg.x;
  let head = table[list];
  let listed = row.y / 32u + 1u + head.x - head.y;
  let firstPage = wg.y * params.pagesPerSplit;
  let endPage = min(firstPage + params.pagesPerSplit, listed);
  let copies = max(WG / VALUE_WORDS, 1u);  // slots of V read at a time
  let word = local % VALUE_WORDS;
  let copy = local / VALUE_WORDS;

  var top: array<f32, R>;
  var sum: array<f32, R>;            // of this thread's keys
  var acc: array<vec2f, R * PAIRS>;  // values of `word`, of slots copy, copy + copies, …
  for (var h = 0u; h < R; h++) {
    top[h] = UNSEEN;
    sum[h] = 0.0;
    for (var i = 0u; i < PAIRS; i++) { acc[h * PAIRS + i] = vec2f(); }
  }

  let rounds = (max(firstPage, endPage) - firstPage + PAGES - 1u) / PAGES;
  for (var left = rounds; left > 0u; left--) {
    let page0 = firstPage + (rounds - left) * PAGES;
    // Scores: threads along slots.
    var best: array<f32, R>;
    for (var h = 0u; h < R; h++) { best[h] = UNSEEN; }
    for (var turn = 0u; turn < TURNS; turn++) {
      let k = turn * WG + local;
      if (k >= PAGES * 32u) { break; }
      var dots: array<f32, R>;
      for (var h = 0u; h < R; h++) { dots[h] = 0.0; }
      var visible = false;
      if (page0 + k / 32u < endPage) {
        let entry = listed_entry(list, head, page0 + k / 32u);
        visible = ((seen(entry, row.x) >> (k % 32u)) & 1u) == 1u;
        if (visible) {
          let opening = key_opening(entry.x, k % 32u);
          if (NOTES == 1u) { notes[k] = value_note(entry.x, k % 32u); }
          for (var e4 = 0u; e4 < KEY_WIDTH / 4u; e4++) {
            let keys = key(entry.x, e4, k % 32u, opening);
            for (var h = 0u; h < R; h++) { dots[h] += dot(keys, key_query(query + h * (E / 4u), entry.x, e4)); }
          }
          for (var h = 0u; h < R; h++) { dots[h] = key_score(dots[h] * params.scale, entry.x, k % 32u); }
        }
      }
      for (var h = 0u; h < R; h++) {
        let score = select(UNSEEN, dots[h], visible);
        scores[h * PAGES * 32u + k] = score;
        best[h] = max(best[h], score);
      }
    }

    // Largest score of the block: WG numbers to 8, then every thread reads those.
    for (var h = 0u; h < R; h++) { stripe[h * WG + local] = best[h]; }
    workgroupBarrier();
    if (local < 8u) {
      for (var h = 0u; h < R; h++) {
        for (var i = 1u; i < WG / 8u; i++) { best[h] = max(best[h], stripe[h * WG + 8u * i + local]); }
        stripe[h * WG + local] = best[h];
      }
    }
    workgroupBarrier();

    // Weights, relative to the new maximum.
    for (var h = 0u; h < R; h++) {
      let newTop = max(top[h], largest(h));
      let keep = exp(top[h] - newTop);
      top[h] = newTop;
      for (var i = 0u; i < PAIRS; i++) { acc[h * PAIRS + i] *= keep; }
      sum[h] *= keep;
      for (var turn = 0u; turn < TURNS; turn++) {
        let k = turn * WG + local;
        if (k >= PAGES * 32u) { break; }
        let score = scores[h * PAGES * 32u + k];
        let weight = select(0.0, exp(score - newTop), score > -1e38);
        sum[h] += weight;
        scores[h * PAGES * 32u + k] = weight;
      }
    }
    workgroupBarrier();

    // Values: threads along e.
    if (copy < copies) {
      for (var i = 0u; i < PAGES; i++) {
        let page = page0 + i;
        if (page >= endPage) { break; }
        let entry = listed_entry(list, head, page);
        let bits = seen(entry, row.x);
        if (bits == 0u) { continue; }
        let turns = (31u + copies - copy) / copies;
        for (var more = turns; more > 0u; more--) {
          let slot = copy + (turns - more) * copies;
          if (((bits >> slot) & 1u) == 0u) { continue; }
          let raw = value_word(entry.x, slot, word);
          let k = (page - page0) * 32u + slot;
          let opening = value_opening(entry.x, slot, word, notes[k * NOTES]);
          for (var i = 0u; i < PAIRS; i++) {
            let pair = value_pair(raw, i, opening);
            for (var h = 0u; h < R; h++) { acc[h * PAIRS + i] += scores[h * PAGES * 32u + k] * pair; }
          }
        }
      }
    }
    workgroupBarrier();
  }

  // Sums over all threads: WG numbers to 8, as above.
  for (var h = 0u; h < R; h++) { stripe[h * WG + local] = sum[h]; }
  workgroupBarrier();
  if (local < 8u) {
    for (var h = 0u; h < R; h++) {
      for (var i = 1u; i < WG / 8u; i++) { sum[h] += stripe[h * WG + 8u * i + local]; }
      stripe[h * WG + local] = sum[h];
    }
  }
  workgroupBarrier();

  // Values over the copies, one head and pair at a time.
  for (var h = 0u; h < R; h++) {
    var total = 0.0;
    for (var i = 0u; i < 8u; i++) { total += stripe[h * WG + i]; }
    let entry = (wg.z * H + head0 + h) * params.entries + params.entry + wg.y;
    for (var pair = 0u; pair < PAIRS; pair++) {
      column[local] = acc[h * PAIRS + pair];
      workgroupBarrier();
      if (local < VALUE_WORDS) {
        var value = vec2f();
        for (var more = copies; more > 0u; more--) { value += column[(copies - more) * VALUE_WORDS + local]; }
        let e = local * WORD_VALUES + pair * 2u;
        if (params.entries == 1u) {
          let to = ((params.firstRow + wg.z) * H + head0 + h) * E + e;
          value *= select(0.0, 1.0 / total, total > 0.0);
          for (var i = 0u; i < min(WORD_VALUES, 2u); i++) { out[to + i] = value[i]; }
        } else {
          for (var i = 0u; i < min(WORD_VALUES, 2u); i++) { partials[entry * (E + 2u) + e + i] = value[i]; }
        }
      }
      workgroupBarrier();
    }
    if (local == 0u && params.entries > 1u) {
      partials[entry * (E + 2u) + E] = top[h];
      partials[entry * (E + 2u) + E + 1u] = total;
    }
  }
}

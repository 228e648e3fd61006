// kvmerger_merge — runs of tokens as one token each, in private pages: keys and values weighted by how near keys are to the pivot's
//
//   table   [*, listLength, columns]  vec4u  read
//   keep    [columns, keepStride]     u32    read   first slots of each list's sets, ascending
//   source  [*]                       u32    read
//   scores  [*, stride]               f32    read   what the prompt's last queries give to each slot; no NaN
//   kv      [*]                       u32    write
//
// dispatch  (G, 32, most pages kept): one workgroup per KV head and set; threads take members, then channels
// cost      bytes G·S·(3·E·KV_BITS/8 + 128), flops 7·G·S·E: latency bound, once per store and prompt
// why       The pivot is the member with the largest score, the first of equal ones; a member's weight is
//           exp(−|pivot's key − its key|²·spread). A private page is a written one and behind it [32] f32, by which the scores of
//           slots rise: ln of how many tokens a slot stands for. A set of one stays as it is, bit for bit. One whose pages lie
//           in another buffer than `source` is another dispatch's.
// uses      lib/list.wgsl lib/source_number.wgsl lib/page_writer.wgsl

override E: u32 = 64;        // head width, a multiple of 8, at most 256
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4; 8 and 4 have a pair per slot

struct Params {
  listLength: u32,   // table entries of a list: its head, then pages
  columns: u32,      // lists of a sequence
  column: u32,       // the list of KV head 0
  row: u32,          // row of the table that tokens are read through
  preparedRow: u32,  // row of the table that says where sets go
  arena: u32,        // number of the buffer bound as `source`
  keepStride: u32,
  count: u32,        // sets of each list
  slots: u32,        // of each list, in all sets together
  first: u32,        // row of `scores` of KV head 0
  stride: u32,
  spread: f32,       // 1 / (2·σ²)
}

@group(0) @binding(0) var<storage, read> table: array<vec4u>;
@group(0) @binding(1) var<storage, read> keep: array<u32>;
@group(0) @binding(2) var<storage, read> source: array<u32>;
@group(0) @binding(3) var<storage, read> scores: array<f32>;
@group(0) @binding(4) var<storage, read_write> kv: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

const LANES = 32u;
const MOST = 8u;  // channels of a thread
override WORDS: u32 = E * KV_BITS / 32u;  // of a slot's K or V
override BIASES: u32 = 2u * E * KV_BITS + select(0u, 64u, KV_BITS <= 8u);
override BOTH: u32 = 2u * E;

var<workgroup> weights: array<f32, LANES>;  // of as many members
var<workgroup> merged: array<f32, BOTH>;    // key, value

fn head_value(i: u32) -> f32 { return merged[i]; }

@compute @workgroup_size(32)
fn kvmerger_merge(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let column = params.column + wg.x;
  let list = params.row * params.listLength * params.columns + column;
  let prepared = params.preparedRow * params.listLength * params.columns + column;
  if (wg.z >= table[prepared].x) { return; }
  let slot = wg.y;
  let run = 32u * wg.z + slot;
  if (run >= params.count) { return; }
  let page = table[prepared + (1u + wg.z) * params.columns].x;
  let begin = keep[column * params.keepStride + run];
  var end = params.slots;
  if (run + 1u < params.count) { end = keep[column * params.keepStride + run + 1u]; }
  let head = table[list];
  let origin = listed_entry(list, head, begin / 32u);
  if (origin.z != params.arena) { return; }
  if (local == 0u) { kv[page + BIASES + slot] = bitcast<u32>(log(f32(end - begin))); }
  if (end - begin == 1u) {
    let at = begin % 32u;
    for (var w = local; w < WORDS; w += LANES) {
      kv[slot_at(page, slot, false) + 8u * w] = source[slot_at(origin.x, at, false) + 8u * w];
      kv[slot_at(page, slot, true) + w] = source[slot_at(origin.x, at, true) + w];
    }
    if (KV_BITS <= 8u && local < 2u) {
      kv[pair_at(page, slot, local == 1u)] = source[pair_at(origin.x, at, local == 1u)];
    }
    return;
  }

  var pivot = begin;
  var best = scores[(params.first + wg.x) * params.stride + begin];
  for (var i = begin + 1u; i < end; i++) {
    let score = scores[(params.first + wg.x) * params.stride + i];
    if (score > best) {
      best = score;
      pivot = i;
    }
  }
  let pivotPage = listed_entry(list, head, pivot / 32u).x;

  var total = 0.0;
  var sums: array<vec2f, MOST>;  // Σ weight·(key, value) of channels local, local + LANES, …
  for (var i = 0u; i < MOST; i++) { sums[i] = vec2f(); }
  for (var some = begin; some < end; some += LANES) {
    var weight = 0.0;
    let member = some + local;
    if (member < end) {
      let own = listed_entry(list, head, member / 32u).x;
      var square = 0.0;
      for (var e = 0u; e < E; e++) {
        let apart = source_number(own, member % 32u, e, false) - source_number(pivotPage, pivot % 32u, e, false);
        square += apart * apart;
      }
      weight = exp(-square * params.spread);
    }
    weights[local] = weight;
    workgroupBarrier();
    for (var i = some; i < min(some + LANES, end); i++) {
      let own = listed_entry(list, head, i / 32u).x;
      let share = weights[i - some];
      total += share;
      for (var e = local; e < E; e += LANES) {
        sums[e / LANES] += share * vec2f(source_number(own, i % 32u, e, false), source_number(own, i % 32u, e, true));
      }
    }
    workgroupBarrier();
  }
  for (var e = local; e < E; e += LANES) {
    merged[e] = sums[e / LANES].x / total;
    merged[E + e] = sums[e / LANES].y / total;
  }
  workgroupBarrier();
  write_page(0u, page, slot, false, WORDS, local);
  write_page(E, page, slot, true, WORDS, local);
}

// locret_keep — of the tokens that a list has kept and a chunk's, the `count` with the largest scores; those of the chunk go to slots of others
//
//   scores   [*, stride]        f32  read_write  of the slots that are kept, from `room` on of the chunk; no NaN
//   numbers  [*, numberStride]  u32  read_write  of the tokens in those slots; from `room` on those of the chunk that stay
//   keep     [*, keepStride]    u32  write       what comes to each slot: a slot of the list, or STAYS
//
// uses      lib/radix.wgsl
// dispatch  (G, 1, 1): one workgroup per KV head
// cost      bytes 4·G·(16·(kept + fresh) + 4·count): latency bound, once per chunk and store
// why       The count-th largest pair (score, earlier number) is found byte by byte from the highest on, as in top_slots. Pairs are
//           different from each other, so that all from this one on are as many as stay. Slots of a list have no order, so
//           what was kept and stays is not moved: the i-th token of the chunk that stays goes to the i-th slot that is free
//           or becomes so, and there are as many of the one as of the other. Numbers from `safe` on stay whatever their score.

override WG: u32 = 256;  // threads per workgroup

struct Params {
  column: u32,        // the list of KV head 0
  stride: u32,
  numberStride: u32,
  keepStride: u32,
  room: u32,
  kept: u32,          // slots in use
  fresh: u32,         // tokens of the chunk
  count: u32,         // slots in use from now on: all of both at most, and `kept` at least
  begins: u32,        // number of the chunk's first token
  safe: u32,          // no more than `count` tokens have numbers from here on
  listed: u32,        // slot of the list of that token
}

@group(0) @binding(0) var<storage, read_write> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> numbers: array<u32>;
@group(0) @binding(2) var<storage, read_write> keep: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

const STAYS = 0xffffffffu;

var<workgroup> found: vec2u;              // bytes of the threshold so far, of this half; pairs equal to it that stay
var<workgroup> counts: array<vec2u, WG>;  // of each thread's stretches: slots to be filled, and tokens of the chunk that stay

// Candidate i of list `column`, those kept first: as (score, earlier number).
fn pair_of(column: u32, i: u32) -> vec2u {
  var at = i;
  var number: u32;
  if (i < params.kept) {
    number = numbers[column * params.numberStride + i];
  } else {
    at = params.room + i - params.kept;
    number = params.begins + i - params.kept;
  }
  let key = sort_key(bitcast<u32>(scores[column * params.stride + at]));
  return vec2u(select(key, 0xffffffffu, number >= params.safe), ~number);
}

fn not_below(pair: vec2u, least: vec2u) -> bool { return pair.x > least.x || (pair.x == least.x && pair.y >= least.y); }

@compute @workgroup_size(WG)
fn locret_keep(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let column = params.column + wg.x;
  let candidates = params.kept + params.fresh;
  var least = vec2u();  // of the pairs that stay, once all its bytes are known
  var left = params.count;
  for (var byte = 0u; byte < 8u; byte++) {
    let shift = 24u - 8u * (byte % 4u);
    let half = byte / 4u;
    for (var bin = local; bin < BYTES; bin += WG) { atomicStore(&bins[bin], 0u); }
    workgroupBarrier();
    for (var i = local; i < candidates; i += WG) {
      let pair = pair_of(column, i);
      let agrees = byte % 4u == 0u || pair[half] >> ((shift + 8u) % 32u) == least[half];
      if (agrees && (half == 0u || pair.x == least.x)) { atomicAdd(&bins[(pair[half] >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    if (local == 0u) {
      let next = next_byte(left);
      found = vec2u((least[half] << 8u) | next.x, next.y);
    }
    workgroupBarrier();
    least = select(vec2u(least.x, found.x), vec2u(found.x, 0u), half == 0u);
    left = found.y;
  }

  let slotStretch = (params.count + WG - 1u) / WG;
  let firstSlot = min(local * slotStretch, params.count);
  let endSlot = min(firstSlot + slotStretch, params.count);
  let tokenStretch = (params.fresh + WG - 1u) / WG;
  let firstToken = min(local * tokenStretch, params.fresh);
  let endToken = min(firstToken + tokenStretch, params.fresh);
  var mine = vec2u();
  for (var slot = firstSlot; slot < endSlot; slot++) {
    mine.x += u32(slot >= params.kept || !not_below(pair_of(column, slot), least));
  }
  for (var i = firstToken; i < endToken; i++) { mine.y += u32(not_below(pair_of(column, params.kept + i), least)); }
  counts[local] = mine;
  workgroupBarrier();
  var before = vec2u();
  for (var i = 0u; i < local; i++) { before += counts[i]; }

  let stays = column * params.numberStride + params.room;
  var at = stays + before.y;
  for (var i = firstToken; i < endToken; i++) {
    if (not_below(pair_of(column, params.kept + i), least)) {
      numbers[at] = i;
      at++;
    }
  }
  storageBarrier();
  at = stays + before.x;
  for (var slot = firstSlot; slot < endSlot; slot++) {
    var comes = STAYS;
    if (slot >= params.kept || !not_below(pair_of(column, slot), least)) {
      let i = numbers[at];
      at++;
      comes = params.listed + i;
      scores[column * params.stride + slot] = scores[column * params.stride + params.room + i];
      numbers[column * params.numberStride + slot] = params.begins + i;
    }
    keep[column * params.keepStride + slot] = comes;
  }
}

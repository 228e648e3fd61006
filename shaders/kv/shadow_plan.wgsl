// shadow_plan — resident becomes the set `wanted`: chunks that are wanted stay where they are, the others make room for the missing
//
//   rows      [T]                       vec4u  read
//   table     [*, listLength, columns]  vec4u  read
//   wanted    [M·G, SELECTED]           u32    read        ascending
//   resident  [*, SELECTED]             u32    read_write  the chunk in each place, by sequence and KV head
//   tally     [*, M, G]                 vec2u  read_write  by layer: chunks wanted and chunks missing so far
//   moves     [M·G, 1 + 2·SELECTED]     u32    write       how many, then (place, chunk): free places and missing chunks, ascending
//
// dispatch  (G, M, 1): one workgroup per KV head and row
// cost      bytes 20·M·G·SELECTED: latency bound
// why       The order of places is of no consequence to attention, so nothing is moved. Membership is a bitmap in workgroup
//           memory, made twice; each thread counts in a stretch of its own, so that places and chunks pair off without a sort.

override WG: u32 = 64;         // threads
override G: u32 = 3;           // KV heads
override SELECTED: u32 = 128;  // places
override WORDS: u32 = 64;      // of a bitmap of all chunks

struct Params {
  firstRow: u32,
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  tally: u32,       // of row 0 and KV head 0
}

@group(0) @binding(0) var<storage, read> rows: array<vec4u>;
@group(0) @binding(1) var<storage, read> table: array<vec4u>;
@group(0) @binding(2) var<storage, read> wanted: array<u32>;
@group(0) @binding(3) var<storage, read_write> resident: array<u32>;
@group(0) @binding(4) var<storage, read_write> tally: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> moves: array<u32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> wantedBits: array<atomic<u32>, WORDS>;
var<workgroup> residentBits: array<atomic<u32>, WORDS>;
var<workgroup> counts: array<vec2u, WG>;  // of a thread's stretch: free places, missing chunks

@compute @workgroup_size(WG)
fn shadow_plan(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let sequence = rows[params.firstRow + wg.y].z;
  let head = table[sequence * params.listLength * params.columns + params.column + wg.x];
  let asked = (wg.y * G + wg.x) * SELECTED;
  let held = (sequence * G + wg.x) * SELECTED;
  let to = (wg.y * G + wg.x) * (1u + 2u * SELECTED);
  if (head.x == 0u) {
    if (local == 0u) { moves[to] = 0u; }
    return;
  }
  for (var w = local; w < WORDS; w += WG) {
    atomicStore(&wantedBits[w], 0u);
    atomicStore(&residentBits[w], 0u);
  }
  workgroupBarrier();
  for (var i = local; i < SELECTED; i += WG) {
    atomicOr(&wantedBits[wanted[asked + i] / 32u], 1u << (wanted[asked + i] % 32u));
    atomicOr(&residentBits[resident[held + i] / 32u], 1u << (resident[held + i] % 32u));
  }
  workgroupBarrier();
  let stretch = (SELECTED + WG - 1u) / WG;
  let begin = min(local * stretch, SELECTED);
  let end = min(begin + stretch, SELECTED);
  var mine = vec2u();
  for (var i = begin; i < end; i++) {
    let old = resident[held + i];
    let fresh = wanted[asked + i];
    mine.x += 1u - ((atomicLoad(&wantedBits[old / 32u]) >> (old % 32u)) & 1u);
    mine.y += 1u - ((atomicLoad(&residentBits[fresh / 32u]) >> (fresh % 32u)) & 1u);
  }
  counts[local] = mine;
  workgroupBarrier();
  var places = 0u;   // free ones, and missing chunks, of the threads before this one
  var missing = 0u;
  var all = 0u;
  for (var i = 0u; i < WG; i++) {
    if (i < local) { places += counts[i].x; missing += counts[i].y; }
    all += counts[i].x;
  }
  if (local == 0u) {
    moves[to] = all;
    tally[params.tally + wg.y * G + wg.x] += vec2u(SELECTED, all);
  }
  for (var i = begin; i < end; i++) {
    let old = resident[held + i];
    let fresh = wanted[asked + i];
    if (((atomicLoad(&wantedBits[old / 32u]) >> (old % 32u)) & 1u) == 0u) {
      moves[to + 1u + 2u * places] = i;
      places++;
    }
    if (((atomicLoad(&residentBits[fresh / 32u]) >> (fresh % 32u)) & 1u) == 0u) {
      moves[to + 2u + 2u * missing] = fresh;
      missing++;
    }
  }
  storageBarrier();
  workgroupBarrier();
  for (var i = local; i < all; i += WG) { resident[held + moves[to + 1u + 2u * i]] = moves[to + 2u + 2u * i]; }
}

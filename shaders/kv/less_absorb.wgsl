// less_absorb — sums[g, entry + split, r, :] = Σ ψ(key)[r]·(value, 1) over the tokens of some pages that a list gives up
//
//   table   [*, listLength, columns]  vec4u  read
//   keep    [columns, keepStride]     u32    read   slots that stay of each list, ascending
//   source  [*]                       u32    read
//   maps    [*]                       vec4f  read   [G, E, HIDDEN], [G, HIDDEN, 8], [G, 8, 8], [G, 8], [G, 8]: in, out, mix, gain, shift
//   sums    [G, entries, 8, E + 1]    f32    write
//
// dispatch  (G, splits, 1): one workgroup per KV head and split of the pages; threads take slots, then channels
// cost      bytes G·S·(E·KV_BITS/4 + 4·HIDDEN·E/32), flops 2·G·S·(E·HIDDEN + 8·HIDDEN + 8·E): compute bound, once per prompt
// why       ψ(k) = |b + (b·mix)∘shift|, b = |gain|∘gelu(gelu(k·in)·out). A page's features wait in workgroup memory, and so do the
//           sums, of which each thread has channels of its own. Pages of another arena than `source` are another dispatch's.
// uses      lib/list.wgsl lib/source_number.wgsl lib/gelu_erf.wgsl

override WG: u32 = 128;      // threads, a multiple of 32
override E: u32 = 64;        // head width, a multiple of 8, at most 256
override KV_BITS: u32 = 16;  // of a stored number: 32, 16, 8 or 4
override G: u32 = 3;         // KV heads
override HIDDEN: u32 = 32;   // width of the map's first layer, a multiple of 4

struct Params {
  listLength: u32,     // table entries of a list: its head, then pages
  columns: u32,        // lists of a sequence
  column: u32,         // the list of KV head 0
  row: u32,            // row of the table that tokens are read through
  preparedRow: u32,    // row of the table whose lists say how many stay
  arena: u32,          // number of the buffer bound as `source`
  keepStride: u32,
  pages: u32,          // given up
  pagesPerSplit: u32,
  entries: u32,        // sums of a KV head
  entry: u32,          // the first one written here
}

@group(0) @binding(0) var<storage, read> table: array<vec4u>;
@group(0) @binding(1) var<storage, read> keep: array<u32>;
@group(0) @binding(2) var<storage, read> source: array<u32>;
@group(0) @binding(3) var<storage, read> maps: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

const PAGE = 32u;
override LANES: u32 = WG / PAGE;                        // threads of a slot
override OUT: u32 = G * E * HIDDEN / 4u;                // where parts of `maps` begin
override MIX: u32 = OUT + G * HIDDEN * 2u;
override GAIN: u32 = MIX + G * 16u;
override SHIFT: u32 = GAIN + G * 2u;
override TOTALS: u32 = 2u * (E + 1u);

var<workgroup> parts: array<vec4f, 2u * WG>;            // [lanes, slots, 2] of gelu(k·in)·out
var<workgroup> features: array<vec4f, 64>;              // [slots, 2] ψ; 0 where a token stays
var<workgroup> totals: array<vec4f, TOTALS>;            // [E + 1, 2]

// How many tokens of the list stay.
fn staying(column: u32) -> u32 {
  let prepared = params.preparedRow * params.listLength * params.columns + column;
  let pages = table[prepared].x;
  if (pages == 0u) { return 0u; }
  return PAGE * (pages - 1u) + countOneBits(table[prepared + pages * params.columns].y);
}

fn stays(column: u32, count: u32, slot: u32) -> bool {
  var low = 0u;
  var high = count;
  for (var i = 0u; i < 32u && low < high; i++) {
    let middle = (low + high) / 2u;
    if (keep[column * params.keepStride + middle] < slot) { low = middle + 1u; } else { high = middle; }
  }
  return low < count && keep[column * params.keepStride + low] == slot;
}

// A lane's share of gelu(k·in)·out of a slot.
fn write_part(head: u32, page: u32, local: u32) {
  var low = vec4f();
  var high = vec4f();
  for (var j4 = local / PAGE; j4 < HIDDEN / 4u; j4 += LANES) {
    var x = vec4f();
    for (var e = 0u; e < E; e++) {
      x += source_number(page, local % PAGE, e, false) * maps[(head * E + e) * (HIDDEN / 4u) + j4];
    }
    let unit = gelu_erf(x);
    let at = OUT + (head * HIDDEN + 4u * j4) * 2u;
    for (var i = 0u; i < 4u; i++) {
      low += unit[i] * maps[at + 2u * i];
      high += unit[i] * maps[at + 2u * i + 1u];
    }
  }
  parts[2u * local] = low;
  parts[2u * local + 1u] = high;
}

// ψ of a slot, from the lanes' shares.
fn write_features(head: u32, slot: u32) {
  var low = vec4f();
  var high = vec4f();
  for (var lane = 0u; lane < LANES; lane++) {
    low += parts[2u * (lane * PAGE + slot)];
    high += parts[2u * (lane * PAGE + slot) + 1u];
  }
  low = abs(maps[GAIN + 2u * head]) * gelu_erf(low);
  high = abs(maps[GAIN + 2u * head + 1u]) * gelu_erf(high);
  var mixed = vec4f();
  var mixedHigh = vec4f();
  for (var r = 0u; r < 8u; r++) {
    let b = select(high[r % 4u], low[r % 4u], r < 4u);
    mixed += b * maps[MIX + 16u * head + 2u * r];
    mixedHigh += b * maps[MIX + 16u * head + 2u * r + 1u];
  }
  features[2u * slot] = abs(low + mixed * maps[SHIFT + 2u * head]);
  features[2u * slot + 1u] = abs(high + mixedHigh * maps[SHIFT + 2u * head + 1u]);
}

@compute @workgroup_size(WG)
fn less_absorb(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let column = params.column + wg.x;
  let list = params.row * params.listLength * params.columns + column;
  let count = staying(column);
  for (var i = local; i < TOTALS; i += WG) { totals[i] = vec4f(); }
  let end = min((wg.y + 1u) * params.pagesPerSplit, params.pages);
  for (var page = wg.y * params.pagesPerSplit; page < end; page++) {
    let entry = listed_entry(list, table[list], page);
    if (entry.z != params.arena) { continue; }
    write_part(wg.x, entry.x, local);
    workgroupBarrier();
    if (local < PAGE) {
      write_features(wg.x, local);
      if (stays(column, count, PAGE * page + local)) {
        features[2u * local] = vec4f();
        features[2u * local + 1u] = vec4f();
      }
    }
    workgroupBarrier();
    for (var c = local; c <= E; c += WG) {
      var low = totals[2u * c];
      var high = totals[2u * c + 1u];
      for (var s = 0u; s < PAGE; s++) {
        var value = 1.0;
        if (c < E) { value = source_number(entry.x, s, c, true); }
        low += features[2u * s] * value;
        high += features[2u * s + 1u] * value;
      }
      totals[2u * c] = low;
      totals[2u * c + 1u] = high;
    }
  }
  workgroupBarrier();
  let to = (wg.x * params.entries + params.entry + wg.y) * 8u * (E + 1u);
  for (var i = local; i < 8u * (E + 1u); i += WG) {
    let r = i / (E + 1u);
    sums[to + i] = totals[2u * (i % (E + 1u)) + r / 4u][r % 4u];
  }
}

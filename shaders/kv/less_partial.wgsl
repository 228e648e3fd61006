// less_partial — what a state gives a query, as a partial of its attention: acc = φ(q)·H / φ(q)·z, max = ln φ(q)·z, sum = 1
//
//   q         [T, H, E]                 f32    read
//   rows      [T]                       vec4u  read
//   table     [*, listLength, columns]  vec4u  read
//   maps      [*]                       vec4f  read   [H, E, HIDDEN], [H, HIDDEN, 8]: in, out
//   state     [*, G, 8, E + 1]          f32    read   by sequence: (H, z)
//   partials  [M, H, entries, E+2]      f32    write
//
// dispatch  (H, M, 1): one workgroup per query head and row
// cost      bytes 4·M·H·(E·HIDDEN + 8·HIDDEN + 9·E), flops 2·M·H·(E·HIDDEN + 8·HIDDEN + 8·E): latency bound
// why       φ(q) = |gelu(gelu(q·in)·out)|. A list that has given up nothing has no state: what stands under its number is an
//           earlier sequence's. Where φ(q)·z is 0, too, the partial weighs nothing.
// uses      lib/gelu_erf.wgsl

override WG: u32 = 128;     // threads, a multiple of HIDDEN / 4
override E: u32 = 64;       // head width
override H: u32 = 9;        // query heads
override G: u32 = 3;        // KV heads
override HIDDEN: u32 = 32;  // width of the map's first layer, a multiple of 4

struct Params {
  firstRow: u32,    // the first of the rows
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  first: u32,       // row of `state` of sequence 0 and KV head 0
  entries: u32,     // partials of a row and head
  entry: u32,       // the one written here
}

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> maps: array<vec4f>;
@group(0) @binding(4) var<storage, read> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

override FOURS: u32 = HIDDEN / 4u;
override OUT: u32 = H * E * FOURS;   // where `out` begins in `maps`
override SLICES: u32 = WG / FOURS;   // threads that share the channels of a query

var<workgroup> parts: array<vec4f, WG>;      // [slices, hidden units by four] of q·in
var<workgroup> units: array<vec4f, FOURS>;   // gelu(q·in)
var<workgroup> phi: array<vec4f, 2>;

// Channel c of φ(q)·(H, z), of the state that begins at `at`.
fn weighed(at: u32, c: u32) -> f32 {
  var sum = 0.0;
  for (var r = 0u; r < 8u; r++) { sum += phi[r / 4u][r % 4u] * state[at + r * (E + 1u) + c]; }
  return sum;
}

// The (max, sum) of a partial that begins at `to` and weighs so much.
fn write_weight(to: u32, weight: f32) {
  partials[to + E] = select(-3e38, log(weight), weight > 0.0);
  partials[to + E + 1u] = select(0.0, 1.0, weight > 0.0);
}

@compute @workgroup_size(WG)
fn less_partial(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = params.firstRow + wg.y;
  let sequence = rows[row].z;
  let group = wg.x / (H / G);
  let head = table[sequence * params.listLength * params.columns + params.column + group];
  let to = ((wg.y * H + wg.x) * params.entries + params.entry) * (E + 2u);
  if (head.y == 0u) {
    for (var c = local; c < E; c += WG) { partials[to + c] = 0.0; }
    if (local == 0u) { write_weight(to, 0.0); }
    return;
  }
  let four = local % FOURS;
  var x = vec4f();
  for (var e = local / FOURS; e < E; e += SLICES) { x += q[(row * H + wg.x) * E + e] * maps[(wg.x * E + e) * FOURS + four]; }
  parts[local] = x;
  workgroupBarrier();
  if (local < FOURS) {
    for (var slice = 1u; slice < SLICES; slice++) { x += parts[slice * FOURS + local]; }
    units[local] = gelu_erf(x);
  }
  workgroupBarrier();
  if (local < 2u) {
    var sum = vec4f();
    for (var j = 0u; j < HIDDEN; j++) { sum += units[j / 4u][j % 4u] * maps[OUT + (wg.x * HIDDEN + j) * 2u + local]; }
    phi[local] = abs(gelu_erf(sum));
  }
  workgroupBarrier();
  let at = (params.first + sequence * G + group) * 8u * (E + 1u);
  let weight = weighed(at, E);
  for (var c = local; c < E; c += WG) {
    var value = 0.0;
    if (weight > 0.0) { value = weighed(at, c) / weight; }
    partials[to + c] = value;
  }
  if (local == 0u) { write_weight(to, weight); }
}

// keep_inputs — what enters the layer at the boundary, row by row, into the blocks of their sequences
//
//   x     [T, D]  f32    read
//   rows  [*]     vec4u  read        row records, then the page table
//   kept  [*]     u32    read_write  [32 slots of a block, words]: D numbers of f32; or the length of the row in f32, then D/2 pairs of f16
//
// dispatch  (T, 1, 1): one workgroup per row
// cost      bytes T·D·(4 + BITS/8): latency bound
// why       Keys and values of all later stores are a projection of it, so a prompt needs nothing else of those. Rows may
//           have single channels beyond what f16 holds: divided by its length (root mean square) no row has. A row whose
//           block lies in another buffer than `kept` is another dispatch's.
// uses      lib/row_sum.wgsl lib/pack_half.wgsl lib/input_words.wgsl

override D: u32 = 576;    // row width, a multiple of 4
override BITS: u32 = 16;  // of a kept number: 32 or 16
override WG: u32 = 64;    // threads per workgroup, a power of two

struct Params {
  rowAt: u32,       // record of row 0
  column: u32,      // the list of inputs
  columns: u32,     // lists of a sequence
  listLength: u32,  // table entries of a list: its head, then pages
  tableAt: u32,     // first entry of the page table in `rows`
  arena: u32,       // number of the buffer bound as `kept`
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> kept: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> partial: array<f32, WG>;

@compute @workgroup_size(WG)
fn keep_inputs(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = rows[params.rowAt + wg.x];
  let entry = rows[params.tableAt + (row.z * params.listLength + 1u + row.y / 32u) * params.columns + params.column];
  if (entry.z != params.arena) { return; }
  let source = wg.x * D;
  let to = entry.x + row.y % 32u * input_words();
  if (BITS == 32u) {
    for (var i = lane; i < D; i += WG) { kept[to + i] = bitcast<u32>(x[source + i]); }
    return;
  }
  var squares = 0.0;
  for (var i = lane; i < D; i += WG) { squares += x[source + i] * x[source + i]; }
  let length = max(sqrt(row_sum(lane, squares) / f32(D)), 1e-30);
  if (lane == 0u) { kept[to] = bitcast<u32>(length); }
  for (var i = lane; i < D / 2u; i += WG) {
    kept[to + 1u + i] = pack_half(vec2f(x[source + 2u * i], x[source + 2u * i + 1u]) / length);
  }
}

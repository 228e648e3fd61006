// take_inputs — what entered the layer at the boundary for tokens first, first + 1 … of a sequence, back from its blocks, and their records
//
//   rows  [*]     vec4u  read_write  row records, of which those from `recordAt` on are written, then the page table
//   kept  [*]     u32    read        as keep_inputs writes it
//   x     [T, D]  f32    write
//
// dispatch  (T, 1, 1): one workgroup per token
// cost      bytes T·D·(4 + BITS/8): memory bound
// why       With records they are rows like any others: the kernels that project rows to keys and values take them as they
//           are. A token whose block lies in another buffer than `kept` is another dispatch's.
// uses      lib/input_words.wgsl

override D: u32 = 576;    // row width, a multiple of 4
override BITS: u32 = 16;  // of a kept number: 32 or 16
override WG: u32 = 64;    // threads per workgroup

struct Params {
  recordAt: u32,    // record of token `first`
  first: u32,       // token of row 0: its position, and its slot
  sequence: u32,
  column: u32,      // the list of inputs
  columns: u32,     // lists of a sequence
  listLength: u32,  // table entries of a list: its head, then pages
  tableAt: u32,     // first entry of the page table in `rows`
  arena: u32,       // number of the buffer bound as `kept`
}

@group(0) @binding(0) var<storage, read_write> rows: array<vec4u>;
@group(0) @binding(1) var<storage, read> kept: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn take_inputs(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let token = params.first + wg.x;
  let list = params.sequence * params.listLength;
  let entry = rows[params.tableAt + (list + 1u + token / 32u) * params.columns + params.column];
  if (entry.z != params.arena) { return; }
  if (lane == 0u) { rows[params.recordAt + wg.x] = vec4u(token, token, params.sequence, 0u); }
  let source = entry.x + token % 32u * input_words();
  let to = wg.x * D;
  if (BITS == 32u) {
    for (var i = lane; i < D; i += WG) { x[to + i] = bitcast<f32>(kept[source + i]); }
  } else {
    let length = bitcast<f32>(kept[source]);
    for (var i = lane; i < D / 2u; i += WG) {
      let pair = length * unpack2x16float(kept[source + 1u + i]);
      x[to + 2u * i] = pair.x;
      x[to + 2u * i + 1u] = pair.y;
    }
  }
}

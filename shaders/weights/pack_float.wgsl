// pack_float — words of a row-major F32, F16 or BF16 tensor, quantised for BITS 4 and 8
//
//   raw     [R, K]            bytes  read        R = rows of this upload
//   words   [K/·/4, stride, 4] u32   read_write
//   scales  [K/GROUP, stride] u32    read_write  f16 pairs (scale, minimum); untouched for BITS 16 and 32
//
// dispatch  (⌈R/WG⌉, ⌈K/GROUP⌉, 1): one thread per row and group of GROUP values
// cost      bytes R·K·(source + BITS/8): runs once per tensor
// why       neighbouring threads take neighbouring rows: writes coalesce, and each thread
//           reads whole cache lines of its own. Scale and minimum are rounded to f16 before
//           the values are, so the quantiser sees what the kernels will see.
// family    pack
// uses      lib/pack_half.wgsl lib/target.wgsl

override WG: u32 = 64;     // threads per workgroup
override SOURCE: u32 = 0;  // 0 F32, 1 F16, 2 BF16
override BITS: u32 = 4;    // 4, 8, 16 or 32
override GROUP: u32 = 32;  // values that share a scale, 16 or 32; K is a multiple of it for BITS 4 and 8

struct Params {
  rows: u32,          // R
  depth: u32,         // K
  stride: u32,        // columns of the target
  columnOffset: u32,  // where this tensor begins in a fused target
  columnMode: u32,    // 0: one after another, 1: gate of an interleaved pair, 2: up
  headRows: u32,      // above 0: rows are heads of this width, an even number
  headColumns: u32,   // width of such a head in the target, even and at least headRows
  turned: u32,        // rows of such a head that RoPE turns, even
  interleaved: u32,   // 1: they are permuted for interleaved RoPE
  firstRow: u32,      // tensor row of raw row 0
}

@group(0) @binding(0) var<storage, read> raw: array<u32>;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@group(0) @binding(2) var<storage, read_write> scales: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

// Element `i` of the raw tensor.
fn source(i: u32) -> f32 {
  if (SOURCE == 0u) { return bitcast<f32>(raw[i]); }
  let half = (raw[i / 2u] >> (16u * (i % 2u))) & 0xffffu;
  if (SOURCE == 1u) { return unpack2x16float(half).x; }
  return bitcast<f32>(half << 16u);
}

// Bits of (scale, minimum) as f16.
fn affine_of(low: f32, high: f32) -> u32 {
  let largest = f32((1u << (BITS & 15u)) - 1u);
  return pack_half(vec2f((high - low) / largest, low));
}

// Up to 32/BITS values from `first` in one word; beyond K zero.
fn pack(first: u32, count: u32, affine: vec2f) -> u32 {
  if (BITS == 32u) { return bitcast<u32>(source(first)); }
  if (BITS == 16u) {
    var pair = vec2f(source(first), 0.0);
    if (count > 1u) { pair.y = source(first + 1u); }
    return pack_half(pair);
  }
  let largest = f32((1u << (BITS & 15u)) - 1u);
  var word = 0u;
  for (var i = 0u; i < 32u / BITS; i++) {
    var q = 0.0;
    if (affine.x > 0.0) { q = clamp(round((source(first + i) - affine.y) / affine.x), 0.0, largest); }
    word |= u32(q) << (BITS * i);
  }
  return word;
}

@compute @workgroup_size(WG)
fn pack_float(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.rows) { return; }
  let column = column_of(params.firstRow + id.x);
  let row = id.x * params.depth;
  let first = id.y * GROUP;
  let end = min(first + GROUP, params.depth);

  var affine = vec2f(0.0, 0.0);
  if (BITS <= 8u) {
    var low = source(row + first);
    var high = low;
    for (var k = first + 1u; k < end; k++) {
      low = min(low, source(row + k));
      high = max(high, source(row + k));
    }
    let bits = affine_of(low, high);
    scales[id.y * params.stride + column] = bits;
    affine = unpack2x16float(bits);
  }
  let perWord = 32u / BITS;
  for (var k = first; k < end; k += perWord) {
    words[place(k / perWord, column)] = pack(row + k, end - k, affine);
  }
}

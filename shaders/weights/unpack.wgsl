// unpack — b[k, i] = weight of input k and output firstColumn + i, dequantised to f32 (GAMMA: times gamma[k])
//
//   words    [ceil(K / FOUR), stride]  vec4u          read
//   scales   [K / GROUP, stride]       f16 pairs      read   unused for BITS 16 and 32
//   vectors  [*]                       f32            read   gamma from gammaAt; unused for GAMMA 0
//   b        [K, columns]              f32            write
//
// dispatch  (ceil(columns / 64), ceil(K / FOUR), 1): four words per invocation
// cost      bytes (4 + BITS / 8)·K·columns: memory bound
// why       prefill uses every weight once per token, so it is dequantised once per chunk
//           instead of once per tile; a slice of columns keeps b small and in cache.
//           FOUR = 128 / BITS weights lie in four words, lowest bits first. A norm's gamma joins
//           the weights here: x needs no pass of its own, its row factor leaves the sum.

override BITS: u32 = 8;    // 32: f32, 16: f16 pair, 8 or 4: scale · q + minimum
override GROUP: u32 = 32;  // inputs per (scale, minimum); unused for 16 and 32
override GAMMA: u32 = 0;   // 1: multiply by gamma

struct Params {
  depth: u32,        // K, for 8 and 4 a multiple of GROUP
  columns: u32,      // outputs in this slice
  stride: u32,       // columns of `words` and `scales`
  firstColumn: u32,  // first output of this slice
  gammaAt: u32,      // gamma of input 0 in `vectors`, in floats
}

@group(0) @binding(0) var<storage, read> words: array<vec4u>;
@group(0) @binding(1) var<storage, read> scales: array<u32>;
@group(0) @binding(2) var<storage, read> vectors: array<f32>;
@group(0) @binding(3) var<storage, read_write> b: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn store(k: u32, i: u32, weight: f32) {
  if (k >= params.depth) { return; }
  var value = weight;
  if (GAMMA == 1u) { value *= vectors[params.gammaAt + k]; }
  b[k * params.columns + i] = value;
}

// Dequantises the word that begins with input k of column n, which is column i of b.
fn open(word: u32, k: u32, n: u32, i: u32) {
  if (BITS == 32u) {
    store(k, i, bitcast<f32>(word));
  } else if (BITS == 16u) {
    let pair = unpack2x16float(word);
    store(k, i, pair.x);
    store(k + 1u, i, pair.y);
  } else {
    // A word never straddles two groups: GROUP is a multiple of 32 / BITS.
    let scale = unpack2x16float(scales[k / GROUP * params.stride + n]);
    let mask = (1u << (BITS & 15u)) - 1u;
    for (var j = 0u; j < 32u / BITS; j++) { store(k + j, i, scale.x * f32((word >> (j * BITS)) & mask) + scale.y); }
  }
}

@compute @workgroup_size(64)
fn unpack(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= params.columns) { return; }
  let n = params.firstColumn + i;
  let four = words[id.y * params.stride + n];
  for (var j = 0u; j < 4u; j++) { open(four[j], (id.y * 4u + j) * (32u / BITS), n, i); }
}

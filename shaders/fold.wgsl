// fold — out[i, k] = weight·W[firstColumn + i, k]·gamma[k] (ADD: added to out), row-major f32
//
//   words    [⌈K/PACK⌉, stride]   u32  read
//   scales   [K/GROUP, stride]    u32  read        f16 pairs (scale, minimum); unused for BITS 16 and 32
//   vectors  [*]                  f32  read        gamma from gammaAt; unused for GAMMA 0
//   out      [columns, K]         f32  read_write
//
// dispatch  (⌈columns/WG⌉, ⌈K/PACK⌉, 1): one word per invocation
// cost      bytes columns·K·(BITS/8 + 4, with ADD 8): runs once per conversion
// why       weighted sums of matrices, gamma taken into them, in the form that pack_float reads
//           again (SOURCE F32). PACK = 32/BITS weights lie in a word: neighbouring threads read
//           neighbouring words, each writes PACK neighbouring floats. A vector is a matrix of
//           depth 1 with BITS 32.

override WG: u32 = 64;     // threads per workgroup
override BITS: u32 = 4;    // 4, 8, 16 or 32
override GROUP: u32 = 32;  // inputs per (scale, minimum), 16 or 32
override GAMMA: u32 = 0;   // 1: multiply by gamma
override ADD: u32 = 0;     // 1: add to out

struct Params {
  depth: u32,        // K: a multiple of GROUP for BITS 4 and 8
  columns: u32,      // columns of W to take
  stride: u32,       // words per word row
  firstColumn: u32,  // first column of W to take
  gammaAt: u32,      // gamma of input 0 in `vectors`, in floats
  weight: f32,       // of the whole matrix
}

@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read> scales: array<u32>;
@group(0) @binding(2) var<storage, read> vectors: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

/// Value i of a word; affine = (scale, minimum) of its group.
fn open(word: u32, i: u32, affine: vec2f) -> f32 {
  if (BITS == 32u) { return bitcast<f32>(word); }
  if (BITS == 16u) { return unpack2x16float(word >> (16u * i)).x; }
  let mask = (1u << (BITS & 15u)) - 1u;
  return affine.x * f32((word >> (BITS * i)) & mask) + affine.y;
}

@compute @workgroup_size(WG)
fn fold(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.columns) { return; }
  let n = params.firstColumn + id.x;
  let first = id.y * (32u / BITS);
  let word = words[id.y * params.stride + n];
  var affine = vec2f();
  if (BITS <= 8u) { affine = unpack2x16float(scales[first / GROUP * params.stride + n]); }
  for (var i = 0u; i < min(32u / BITS, params.depth - first); i++) {
    let k = first + i;
    var value = params.weight * open(word, i, affine);
    if (GAMMA == 1u) { value *= vectors[params.gammaAt + k]; }
    let at = id.x * params.depth + k;
    if (ADD == 1u) { value += out[at]; }
    out[at] = value;
  }
}

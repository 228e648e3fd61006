// fold — out[i, k] = weight·W[firstColumn + i, k]·gamma[k] (ADD: added to out), row-major f32
//
//   words    [⌈K/FOUR⌉, stride]   vec4u read
//   scales   [K/GROUP, stride]    u32  read        f16 pairs (scale, minimum); unused for BITS 16 and 32
//   vectors  [*]                  f32  read        gamma from gammaAt; unused for GAMMA 0
//   out      [columns, K]         f32  read_write
//
// dispatch  (⌈columns/WG⌉, ⌈K/FOUR⌉, 1): four words per invocation
// cost      bytes columns·K·(BITS/8 + 4, with ADD 8): runs once per conversion
// why       weighted sums of matrices, gamma taken into them, in the form that pack_float reads
//           again (SOURCE F32). FOUR = 128/BITS weights lie in four words: neighbouring threads
//           read neighbouring words, each writes FOUR neighbouring floats. A vector is a matrix of
//           one column with BITS 32.
// uses      lib/element.wgsl

override WG: u32 = 64;     // threads per workgroup
override BITS: u32 = 4;    // 4, 8, 16 or 32
override GROUP: u32 = 32;  // inputs per (scale, minimum), 16 or 32
override GAMMA: u32 = 0;   // 1: multiply by gamma
override ADD: u32 = 0;     // 1: add to out

struct Params {
  depth: u32,        // K: a multiple of GROUP for BITS 4 and 8
  columns: u32,      // columns of W to take
  stride: u32,       // columns of `words` and `scales`
  firstColumn: u32,  // first column of W to take
  gammaAt: u32,      // gamma of input 0 in `vectors`, in floats
  weight: f32,       // of the whole matrix
}

@group(0) @binding(0) var<storage, read> words: array<vec4u>;
@group(0) @binding(1) var<storage, read> scales: array<u32>;
@group(0) @binding(2) var<storage, read> vectors: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// Writes the values of a word, of which k is the first, of row i.
fn put(word: u32, k: u32, n: u32, i: u32) {
  var affine = vec2f(1.0, 0.0);  // (scale, minimum)
  if (BITS <= 8u) { affine = unpack2x16float(scales[k / GROUP * params.stride + n]); }
  for (var j = 0u; j < min(32u / BITS, params.depth - k); j++) {
    var value = params.weight * (affine.x * element(word, j) + affine.y);
    if (GAMMA == 1u) { value *= vectors[params.gammaAt + k + j]; }
    let at = i * params.depth + k + j;
    if (ADD == 1u) { value += out[at]; }
    out[at] = value;
  }
}

@compute @workgroup_size(WG)
fn fold(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.columns) { return; }
  let n = params.firstColumn + id.x;
  let four = words[id.y * params.stride + n];
  for (var j = 0u; j < 4u; j++) {
    let k = (id.y * 4u + j) * (32u / BITS);
    if (k < params.depth) { put(four[j], k, n, id.x); }
  }
}

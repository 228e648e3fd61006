// embed — hidden[t, :] = scale · column `token of row t` of the table, as f32, where that column is in this piece
//
//   rows    [T]                vec4u  read   .w = token id; bit 31 set: the other 31 bits index `tokens`
//   tokens  [sequences]        u32    read   what the previous step sampled, by sequence
//   words   [K/·/4, stride]    vec4u  read   four word rows side by side, of columns first … first + columns − 1, K = D
//   scales  [K/GROUP, stride]  u32    read   f16 pairs (scale, minimum); unused for BITS 16 and 32
//   hidden  [T, D]             f32    write
//
// dispatch  (T, 1, 1): one workgroup per row, each thread unpacks whole words
// cost      bytes T·D·(BITS/8 + 4): latency bound
// why       the fours of words of one token lie in different cache lines, but the table is then
//           the same buffer, in the same form, as a tied output projection.
// uses      lib/element.wgsl

override WG: u32 = 64;     // threads per workgroup
override BITS: u32 = 4;    // 4, 8, 16 or 32
override GROUP: u32 = 32;  // values that share a scale; D is a multiple of it for BITS 4 and 8
override D: u32 = 256;     // row width

struct Params {
  rows: u32,        // T
  stride: u32,      // columns of the piece's words
  vocabulary: u32,  // larger token ids read the last token
  first: u32,       // token of the piece's first column
  columns: u32,     // tokens of the piece
  scale: f32,
}

@group(0) @binding(0) var<storage, read> rows: array<vec4u>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read> words: array<vec4u>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read_write> hidden: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn embed(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = wg.x;
  if (row >= params.rows) { return; }
  var token = rows[row].w;
  if ((token & 0x80000000u) != 0u) { token = tokens[token & 0x7fffffffu]; }
  token = min(token, params.vocabulary - 1u) - params.first;  // wraps where it lies in an earlier piece
  if (token >= params.columns) { return; }

  let perWord = 32u / BITS;
  for (var j = local.x; j * perWord < D; j += WG) {
    let word = words[j / 4u * params.stride + token][j % 4u];
    var affine = vec2f(1.0, 0.0);  // (scale, minimum)
    if (BITS <= 8u) { affine = unpack2x16float(scales[j * perWord / GROUP * params.stride + token]); }
    for (var i = 0u; i < perWord; i++) {
      let k = j * perWord + i;
      if (k < D) { hidden[row * D + k] = params.scale * (affine.x * element(word, i) + affine.y); }
    }
  }
}

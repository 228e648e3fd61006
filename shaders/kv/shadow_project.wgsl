// shadow_project — factors of tokens: factors[first + i, :] = x[i, :]·down + shift, as f16
//
//   x        [tokens, D]             f32    read
//   down     [D, RANK / 2]           vec2f  read
//   shift    [RANK / 2]              vec2f  read
//   factors  [*, capacity, RANK/2]   u32    write  pairs of f16, by sequence and token
//
// dispatch  (⌈RANK / 2 / WG⌉, ⌈tokens / 4⌉, 1): a thread takes a pair of factors of four tokens
// cost      flops 2·tokens·D·RANK: compute bound, once per prompt and store
// why       Threads lie along factors, so that `down` is read in line and x is the same for all; four tokens share what is read.
// uses      lib/pack_half.wgsl

override WG: u32 = 32;  // threads
override D: u32 = 192;
override RANK: u32 = 48;  // even

struct Params {
  sequence: u32,
  capacity: u32,  // tokens of a sequence
  first: u32,     // token of row 0 of x
  tokens: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> down: array<vec2f>;
@group(0) @binding(2) var<storage, read> shift: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> factors: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn shadow_project(@builtin(global_invocation_id) id: vec3u) {
  let pair = id.x;
  if (pair >= RANK / 2u) { return; }
  let last = params.tokens - 1u;
  let token = 4u * id.y;
  let at0 = min(token, last) * D;
  let at1 = min(token + 1u, last) * D;
  let at2 = min(token + 2u, last) * D;
  let at3 = min(token + 3u, last) * D;
  var sums: array<vec2f, 4>;
  for (var i = 0u; i < 4u; i++) { sums[i] = shift[pair]; }
  for (var k = 0u; k < D; k++) {
    let to = down[k * (RANK / 2u) + pair];
    sums[0] += x[at0 + k] * to;
    sums[1] += x[at1 + k] * to;
    sums[2] += x[at2 + k] * to;
    sums[3] += x[at3 + k] * to;
  }
  let row = params.sequence * params.capacity + params.first + token;
  for (var i = 0u; i < 4u; i++) {
    if (token + i <= last) { factors[(row + i) * (RANK / 2u) + pair] = pack_half(sums[i]); }
  }
}

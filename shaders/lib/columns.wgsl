// lib/columns.wgsl — Σ x·q over packed weights, for adapters that run shaders on a CPU (docs/kernels.md, CPU tricks)
// needs     BITS, UNIT

const FOUR = 128u / BITS;                            // values in four words
alias Step = array<vec4f, (UNIT + 15u) / 16u * 4u>;  // x of a step

// f16 u of a word; infinities and NaN come out finite. unpack2x16float costs twice as much there, where shifts are slow:
// the bits go from 31…16 to 31 and 27…13 by way of the mantissa of 1.5·2^39, which takes whole multiples of 2^16. With
// the exponent of f32 they are the number, or lie above a subnormal by what doubling and 2^-14 take away.
fn half(word: u32, u: u32) -> f32 {
  let high = select(word & 0xffff0000u, word * 65536u, u == 0u);
  let moved = bitcast<u32>(f32(bitcast<i32>(high)) + 0x1.8p39f) * 8192u;
  let size = bitcast<f32>((moved & 0x0fffffffu) + 0x38000000u);
  let low = size + size - 0x1p-14f;
  return bitcast<f32>(bitcast<u32>(select(size, low, low < size)) | (moved & 0x80000000u));
}

// The four integers of a word, 256^i·q.
fn bytes(word: u32) -> vec4f {
  let low = vec3i(vec3u(word) & vec3u(0xffu, 0xff00u, 0xff0000u));  // signed converts faster
  return vec4f(vec3f(low), f32(word & 0xff000000u));
}

// Σ x·q over the eight integers of a word, 16^i·q.
fn eight(word: u32, a: vec4f, b: vec4f) -> f32 {
  let low = vec4i(vec4u(word) & vec4u(0xfu, 0xf0u, 0xf00u, 0xf000u));
  let high = vec3i(vec3u(word) & vec3u(0xf0000u, 0xf00000u, 0xf000000u));
  return dot(a, vec4f(low)) + dot(b, vec4f(vec3f(high), f32(word & 0xf0000000u)));
}

fn halves(a: u32, b: u32) -> vec4f { return vec4f(half(a, 0u), half(a, 1u), half(b, 0u), half(b, 1u)); }

// Σ x·q over the values of four words, of which the first meets v[i].
fn four(w: vec4u, i: u32, v: Step) -> f32 {
  if (BITS == 4u) {
    return eight(w.x, v[i], v[i + 1u]) + eight(w.y, v[i + 2u], v[i + 3u]) + eight(w.z, v[i + 4u], v[i + 5u])
      + eight(w.w, v[i + 6u], v[i + 7u]);
  }
  if (BITS == 8u) {
    return dot(v[i], bytes(w.x)) + dot(v[i + 1u], bytes(w.y)) + dot(v[i + 2u], bytes(w.z)) + dot(v[i + 3u], bytes(w.w));
  }
  if (BITS == 16u) { return dot(v[i], halves(w.x, w.y)) + dot(v[i + 1u], halves(w.z, w.w)); }
  return dot(v[i], bitcast<vec4f>(w));
}

// Four values of x with the inverse of the factor that their integers have; `i` is the place in the step.
fn scaled(values: vec4f, i: u32) -> vec4f {
  if (BITS == 8u) { return values * vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24); }
  if (BITS != 4u) { return values; }
  if (i % 8u == 0u) { return values * vec4f(1.0, 0x1p-4, 0x1p-8, 0x1p-12); }
  return values * vec4f(0x1p-16, 0x1p-20, 0x1p-24, 0x1p-28);
}

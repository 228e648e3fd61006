// pack_block — words of a GGUF tensor stored as quantised blocks
//
//   raw     [R, K/block]      bytes  read        blocks of 17 to 210 bytes, at any byte address
//   words   [K/·/4, stride, 4] u32   read_write
//   scales  [K/GROUP, stride] u32    read_write  f16 pairs (scale, minimum); untouched for BITS 16 and 32
//
// dispatch  (⌈R/WG⌉, ⌈K/GROUP⌉, 1): one thread per row and group of GROUP values
// cost      bytes R·K·(source + BITS/8): runs once per tensor
// why       every supported block is scale·q + minimum with unsigned q, the form of the
//           target, so the integers move over unchanged. Scales that are a product (the
//           K types, IQ4_XS) are rounded to f16. Tables of 16 values (IQ4, MXFP4) become
//           8-bit integers. With FRESH the values are rounded to integers anew.
// family    pack
// uses      lib/pack_half.wgsl lib/target.wgsl

override WG: u32 = 64;     // threads per workgroup
override SOURCE: u32 = 0;  // 0 Q4_0, 1 Q4_1, 2 Q8_0, 3 Q4_K, 4 Q6_K, 5 Q5_0, 6 Q5_1, 7 Q5_K, 8 Q2_K, 9 Q3_K, 10 IQ4_NL, 11 IQ4_XS, 12 MXFP4
override BITS: u32 = 4;    // 4, 8, 16 or 32; without FRESH 4 for Q4 only
override GROUP: u32 = 32;  // values that share a scale, 16 or 32; without FRESH 16 for Q6_K, Q2_K, Q3_K
override FRESH: bool = false;  // BITS 4 and 8: a new scale and minimum for each group, from its values

struct Params {
  rows: u32,          // R
  depth: u32,         // K, a multiple of the block's 32 or 256 values
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

fn byte(at: u32) -> u32 { return (raw[at / 4u] >> (8u * (at % 4u))) & 255u; }
fn half(at: u32) -> f32 { return unpack2x16float(byte(at) | (byte(at + 1u) << 8u)).x; }

// Bytes of one block.
fn block_bytes() -> u32 {
  switch SOURCE {
    case 0u, 10u: { return 18u; }
    case 1u: { return 20u; }
    case 2u: { return 34u; }
    case 3u: { return 144u; }
    case 4u: { return 210u; }
    case 5u: { return 22u; }
    case 6u: { return 24u; }
    case 7u: { return 176u; }
    case 8u: { return 84u; }
    case 9u: { return 110u; }
    case 11u: { return 136u; }
    default: { return 17u; }
  }
}

// Values of one block.
fn block_values() -> u32 {
  switch SOURCE {
    case 3u, 4u, 7u, 8u, 9u, 11u: { return 256u; }
    default: { return 32u; }
  }
}

// Blocks with it hold scale·(q − zero), others (0) scale·q + minimum.
fn zero() -> f32 {
  switch SOURCE {
    case 0u: { return 8.0; }
    case 2u, 10u, 11u: { return 128.0; }
    case 4u: { return 32.0; }
    case 5u: { return 16.0; }
    case 9u: { return 4.0; }
    case 12u: { return 12.0; }
    default: { return 0.0; }
  }
}

// Q4_K, Q5_K: the 6-bit (scale, minimum) of 32 values; the last four of eight have their upper bits in the first eight bytes.
fn six_bits(at: u32, i: u32) -> vec2f {
  if (i < 4u) { return vec2f(vec2u(byte(at + i), byte(at + i + 4u)) & vec2u(63u, 63u)); }
  let low = byte(at + i + 4u);
  let scale = (low & 15u) | ((byte(at + i - 4u) >> 6u) << 4u);
  let minimum = (low >> 4u) | ((byte(at + i) >> 6u) << 4u);
  return vec2f(vec2u(scale, minimum));
}

// Q3_K: the 6-bit scale of 16 values, two upper bits in the last four of 12 bytes.
fn split_six(at: u32, i: u32) -> f32 {
  let low = (byte(at + i % 8u) >> (i / 8u * 4u)) & 15u;
  let high = (byte(at + 8u + i % 4u) >> (i / 4u * 2u)) & 3u;
  return f32(low | (high << 4u)) - 32.0;
}

// IQ4_XS: the 6-bit scale of 32 values, two upper bits in the two bytes before.
fn spread_six(at: u32, i: u32) -> f32 {
  let low = (byte(at + 2u + i / 2u) >> (i % 2u * 4u)) & 15u;
  let high = (byte(at + i / 4u) >> (i % 4u * 2u)) & 3u;
  return f32(low | (high << 4u)) - 32.0;
}

// MXFP4: half of 2^(exponent − 127).
fn power(exponent: u32) -> f32 {
  return bitcast<f32>(select((exponent - 1u) << 23u, 0x00200000u << exponent, exponent < 2u));
}

// (scale, minimum) of the value `k` of the block at byte `at`; without a minimum where there is a zero.
fn stored(at: u32, k: u32) -> vec2f {
  switch SOURCE {
    case 0u, 2u, 5u, 10u: { return vec2f(half(at), 0.0); }
    case 1u, 6u: { return vec2f(half(at), half(at + 2u)); }
    case 3u, 7u: { return vec2f(half(at), -half(at + 2u)) * six_bits(at + 4u, k / 32u); }
    case 4u: {
      let signed = (f32(byte(at + 192u + k / 16u) ^ 128u) - 128.0);  // two's complement
      return vec2f(half(at + 208u) * signed, 0.0);
    }
    case 8u: {
      let pair = byte(at + k / 16u);
      return vec2f(half(at + 80u), -half(at + 82u)) * vec2f(vec2u(pair & 15u, pair >> 4u));
    }
    case 9u: { return vec2f(half(at + 108u) * split_six(at + 96u, k / 16u), 0.0); }
    case 11u: { return vec2f(half(at) * spread_six(at + 2u, k / 32u), 0.0); }
    default: { return vec2f(power(byte(at)), 0.0); }
  }
}

fn affine_of(at: u32, k: u32) -> vec2f {
  let pair = stored(at, k);
  return select(pair, pair.x * vec2f(1.0, -zero()), zero() > 0.0);
}

// The 4-bit integer of value `k` in 16 bytes: the first 16 values have the lower halves.
fn nibble(at: u32, k: u32) -> u32 { return (byte(at + k % 16u) >> (k / 16u * 4u)) & 15u; }

// Q4_K, Q5_K: of 64 values in 32 bytes the first 32 have the lower halves.
fn wide_nibble(at: u32, k: u32) -> u32 {
  return (byte(at + k / 64u * 32u + k % 32u) >> (k / 32u % 2u * 4u)) & 15u;
}

// Q2_K, Q3_K: 128 values in 32 bytes, two bits each.
fn two_bits(at: u32, k: u32) -> u32 {
  return (byte(at + k / 128u * 32u + k % 32u) >> (k / 32u % 4u * 2u)) & 3u;
}

// IQ4: the value that four bits stand for, above −128.
fn curve(code: u32) -> u32 {
  var values = array<u32, 4>(0x3f2d1801u, 0x766a5d4fu, 0xa6998d81u, 0xf1d9c5b5u);
  return (values[code / 4u] >> (code % 4u * 8u)) & 255u;
}

// MXFP4: twice the value that a sign, two bits of exponent and one of fraction stand for, above −12.
fn tiny_float(code: u32) -> u32 {
  let size = (0xc8643210u >> (code % 8u * 4u)) & 15u;
  return select(12u + size, 12u - size, code > 7u);
}

// The unsigned integer of value `k` of the block at byte `at`.
fn quant(at: u32, k: u32) -> u32 {
  switch SOURCE {
    case 0u: { return nibble(at + 2u, k); }
    case 1u: { return nibble(at + 4u, k); }
    case 2u: { return byte(at + 2u + k) ^ 128u; }
    case 3u: { return wide_nibble(at + 16u, k); }
    case 4u: {
      let quarter = k / 32u % 4u;  // of the 128 values that share 64 bytes of low and 32 of high bits
      let low = byte(at + k / 128u * 64u + quarter % 2u * 32u + k % 32u) >> (quarter / 2u * 4u);
      let high = byte(at + 128u + k / 128u * 32u + k % 32u) >> (quarter * 2u);
      return (low & 15u) | ((high & 3u) << 4u);
    }
    case 5u: { return nibble(at + 6u, k) | (((byte(at + 2u + k / 8u) >> (k % 8u)) & 1u) << 4u); }
    case 6u: { return nibble(at + 8u, k) | (((byte(at + 4u + k / 8u) >> (k % 8u)) & 1u) << 4u); }
    case 7u: { return wide_nibble(at + 48u, k) | (((byte(at + 16u + k % 32u) >> (k / 32u)) & 1u) << 4u); }
    case 8u: { return two_bits(at + 16u, k); }
    case 9u: { return two_bits(at + 32u, k) | (((byte(at + k % 32u) >> (k / 32u)) & 1u) << 2u); }
    case 10u: { return curve(nibble(at + 2u, k)); }
    case 11u: { return curve(nibble(at + 8u + k / 32u * 16u, k % 32u)); }
    default: { return tiny_float(nibble(at + 1u, k)); }
  }
}

// The value itself, rounded once.
fn value(at: u32, k: u32) -> f32 {
  let pair = stored(at, k);
  let q = f32(quant(at, k));
  return select(pair.x * q + pair.y, pair.x * (q - zero()), zero() > 0.0);
}

// FRESH: (scale, minimum) that spans GROUP values from `k` on.
fn fresh_affine(at: u32, k: u32) -> vec2f {
  var low = value(at, k);
  var high = low;
  for (var i = 1u; i < GROUP; i++) {
    let next = value(at, k + i);
    low = min(low, next);
    high = max(high, next);
  }
  return vec2f((high - low) / f32((1u << (BITS & 15u)) - 1u), low);
}

// FRESH: the integer nearest to a value.
fn nearest(value: f32, affine: vec2f) -> u32 {
  if (affine.x <= 0.0) { return 0u; }
  return u32(clamp(round((value - affine.y) / affine.x), 0.0, f32((1u << (BITS & 15u)) - 1u)));
}

@compute @workgroup_size(WG)
fn pack_block(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.rows) { return; }
  let column = column_of(params.firstRow + id.x);
  let blockValues = block_values();
  let first = id.y * GROUP;
  let at = (id.x * (params.depth / blockValues) + first / blockValues) * block_bytes();
  let inBlock = first % blockValues;

  var affine = vec2f(0.0, 0.0);
  if (BITS <= 8u) {
    if (FRESH) { affine = fresh_affine(at, inBlock); } else { affine = affine_of(at, inBlock); }
    let bits = pack_half(affine);
    scales[id.y * params.stride + column] = bits;
    affine = unpack2x16float(bits);
  }
  let perWord = 32u / BITS;
  for (var k = 0u; k < GROUP; k += perWord) {
    var word = 0u;
    if (BITS == 32u) {
      word = bitcast<u32>(value(at, inBlock + k));
    } else if (BITS == 16u) {
      word = pack_half(vec2f(value(at, inBlock + k), value(at, inBlock + k + 1u)));
    } else {
      for (var i = 0u; i < perWord; i++) {
        var q = 0u;
        if (FRESH) { q = nearest(value(at, inBlock + k + i), affine); } else { q = quant(at, inBlock + k + i); }
        word |= q << (BITS * i);
      }
    }
    words[place((first + k) / perWord, column)] = word;
  }
}

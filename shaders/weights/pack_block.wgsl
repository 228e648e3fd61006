// pack_block — words of a GGUF tensor stored as quantised blocks
//
//   raw     [R, K/block]      bytes  read        blocks of 18 to 210 bytes, at any byte address
//   words   [K/·/4, stride, 4] u32   read_write
//   scales  [K/GROUP, stride] u32    read_write  f16 pairs (scale, minimum); untouched for BITS 16 and 32
//
// dispatch  (⌈R/WG⌉, ⌈K/GROUP⌉, 1): one thread per row and group of GROUP values
// cost      bytes R·K·(source + BITS/8): runs once per tensor
// why       every supported block is scale·q + minimum with unsigned q, the form of the
//           target, so the integers move over unchanged. Only Q4_K and Q6_K round: their
//           scale is a product that f16 cannot always hold.
// family    pack
// uses      lib/pack_half.wgsl lib/target.wgsl

override WG: u32 = 64;     // threads per workgroup
override SOURCE: u32 = 0;  // 0 Q4_0, 1 Q4_1, 2 Q8_0, 3 Q4_K, 4 Q6_K
override BITS: u32 = 4;    // 4, 8, 16 or 32; at least the bits of the source (Q6_K: 8)
override GROUP: u32 = 32;  // values that share a scale, 16 or 32 (Q6_K: 16)

struct Params {
  rows: u32,          // R
  depth: u32,         // K, a multiple of the block's 32 or 256 values
  stride: u32,        // columns of the target
  columnOffset: u32,  // where this tensor begins in a fused target
  columnMode: u32,    // 0: one after another, 1: gate of an interleaved pair, 2: up
  headRows: u32,      // above 0: head width of rows permuted for interleaved RoPE
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
    case 0u: { return 18u; }
    case 1u: { return 20u; }
    case 2u: { return 34u; }
    case 3u: { return 144u; }
    default: { return 210u; }
  }
}

// Q4_K: the 6-bit (scale, minimum) of 32 values; the last four of eight have their upper bits in the first eight bytes.
fn six_bits(at: u32, i: u32) -> vec2f {
  if (i < 4u) { return vec2f(vec2u(byte(at + i), byte(at + i + 4u)) & vec2u(63u, 63u)); }
  let low = byte(at + i + 4u);
  let scale = (low & 15u) | ((byte(at + i - 4u) >> 6u) << 4u);
  let minimum = (low >> 4u) | ((byte(at + i) >> 6u) << 4u);
  return vec2f(vec2u(scale, minimum));
}

// (scale, minimum) of the value `k` of the block at byte `at`.
fn affine_of(at: u32, k: u32) -> vec2f {
  switch SOURCE {
    case 0u: { return half(at) * vec2f(1.0, -8.0); }
    case 1u: { return vec2f(half(at), half(at + 2u)); }
    case 2u: { return half(at) * vec2f(1.0, -128.0); }
    case 3u: { return vec2f(half(at), -half(at + 2u)) * six_bits(at + 4u, k / 32u); }
    default: {
      let signed = (f32(byte(at + 192u + k / 16u) ^ 128u) - 128.0);  // two's complement
      return half(at + 208u) * signed * vec2f(1.0, -32.0);
    }
  }
}

// The unsigned integer of value `k` of the block at byte `at`.
fn quant(at: u32, k: u32) -> u32 {
  switch SOURCE {
    case 0u: { return (byte(at + 2u + k % 16u) >> (k / 16u * 4u)) & 15u; }
    case 1u: { return (byte(at + 4u + k % 16u) >> (k / 16u * 4u)) & 15u; }
    case 2u: { return byte(at + 2u + k) ^ 128u; }
    case 3u: { return (byte(at + 16u + k / 64u * 32u + k % 32u) >> (k / 32u % 2u * 4u)) & 15u; }
    default: {
      let quarter = k / 32u % 4u;  // of the 128 values that share 64 bytes of low and 32 of high bits
      let low = byte(at + k / 128u * 64u + quarter % 2u * 32u + k % 32u) >> (quarter / 2u * 4u);
      let high = byte(at + 128u + k / 128u * 32u + k % 32u) >> (quarter * 2u);
      return (low & 15u) | ((high & 3u) << 4u);
    }
  }
}

@compute @workgroup_size(WG)
fn pack_block(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.rows) { return; }
  let column = column_of(params.firstRow + id.x);
  let blockValues = select(32u, 256u, SOURCE >= 3u);
  let first = id.y * GROUP;
  let at = (id.x * (params.depth / blockValues) + first / blockValues) * block_bytes();
  let inBlock = first % blockValues;

  if (BITS <= 8u) { scales[id.y * params.stride + column] = pack_half(affine_of(at, inBlock)); }
  let perWord = 32u / BITS;
  for (var k = 0u; k < GROUP; k += perWord) {
    let affine = affine_of(at, inBlock + k);
    var word = 0u;
    if (BITS <= 8u) {
      for (var i = 0u; i < perWord; i++) { word |= quant(at, inBlock + k + i) << (BITS * i); }
    } else {
      let value = affine.x * f32(quant(at, inBlock + k)) + affine.y;
      if (BITS == 32u) {
        word = bitcast<u32>(value);
      } else {
        word = pack_half(vec2f(value, affine.x * f32(quant(at, inBlock + k + 1u)) + affine.y));
      }
    }
    words[place((first + k) / perWord, column)] = word;
  }
}

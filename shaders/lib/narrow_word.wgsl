// lib/narrow_word.wgsl — words of keys without the channels that go
// needs     source: array<u32>, KEYS, KV_BITS
// uses      lib/chosen.wgsl

// Word w of what stays of the key whose words begin at `key` of `source` and are eight apart.
fn narrow_word(key: u32, list: u32, w: u32) -> u32 {
  let first = w * (32u / KV_BITS);
  var word = 0u;
  for (var n = 0u; n < 32u / KV_BITS && first + n < KEYS; n++) {
    let bit = chosen(list, first + n) * KV_BITS;
    word |= ((source[key + bit / 32u * 8u] >> (bit % 32u)) & (0xffffffffu >> (32u - KV_BITS))) << (n * KV_BITS);
  }
  return word;
}

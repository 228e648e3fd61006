// lib/radix.wgsl — the n-th largest of many keys, found byte by byte from the highest on

const BYTES = 256u;

// How many of the keys that agree so far have each value of the next byte.
var<workgroup> bins: array<atomic<u32>, BYTES>;

// Keys of the bits of scores compare as the scores do: -0 becomes 0, negative numbers are complemented.
fn sort_key(bits: u32) -> u32 {
  return select(select(bits | 0x80000000u, ~bits, bits > 0x80000000u), 0x80000000u, bits == 0x80000000u);
}

// The next byte of the `left`-th largest key, and how many of the keys with that byte are among the `left` largest. By one thread.
fn next_byte(left: u32) -> vec2u {
  var bin = BYTES - 1u;
  var rest = left;
  for (var i = 1u; i < BYTES; i++) {
    let size = atomicLoad(&bins[bin]);
    if (size >= rest) { break; }
    rest -= size;
    bin--;
  }
  return vec2u(bin, rest);
}

// lib/counted.wgsl — some pages of a list
// needs     params.gapAt, params.gap, params.endAt, params.endGap

// Entry of the i-th page that counts: `gap` pages are left out where `gapAt` have counted, `endGap` where `endAt` have.
fn counted(i: u32) -> u32 {
  return i + select(0u, params.gap, i >= params.gapAt) + select(0u, params.endGap, i >= params.endAt);
}

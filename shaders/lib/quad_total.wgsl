// lib/quad_total.wgsl — sums over a quad of lanes

// Over the four lanes.
fn total(mine: f32) -> f32 {
  let pair = mine + quadSwapX(mine);
  return pair + quadSwapY(pair);
}

// lib/quads.wgsl — multiply-adds whose left operand goes round a quad of lanes

// Adds the four inputs that the quad holds. b0…b3 are the rows of b for lanes q, q^1, q^2, q^3.
// Spelled out by component: SwiftShader spills every vec4 between two operators.
fn multiply(sum: vec4f, a0: f32, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> vec4f {
  let a1 = quadSwapX(a0);
  let a2 = quadSwapY(a0);
  let a3 = quadSwapDiagonal(a0);
  return vec4f(
    sum.x + a0 * b0.x + a1 * b1.x + a2 * b2.x + a3 * b3.x,
    sum.y + a0 * b0.y + a1 * b1.y + a2 * b2.y + a3 * b3.y,
    sum.z + a0 * b0.z + a1 * b1.z + a2 * b2.z + a3 * b3.z,
    sum.w + a0 * b0.w + a1 * b1.w + a2 * b2.w + a3 * b3.w,
  );
}

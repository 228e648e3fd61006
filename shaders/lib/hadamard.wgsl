// lib/hadamard.wgsl — numbers in workgroup memory times the Walsh–Hadamard matrix
// needs     turned: array<f32> in workgroup memory, WG, BLOCK
//
// The matrix of ±1/√BLOCK is symmetric and orthogonal: applied twice it gives the numbers back. BLOCK is a power of two; 1
// leaves everything as it is. A kernel runs the stages apart = 1, 2, 4, … BLOCK/2, each with a barrier behind it (which the race
// detector does not see in a function), and scales what it reads.

// One stage over numbers 0 … count−1 of `turned`, which are whole blocks.
fn hadamard_stage(apart: u32, count: u32, local: u32) {
  for (var i = local; i < count / 2u; i += WG) {
    let at = i / apart * 2u * apart + i % apart;
    let pair = vec2f(turned[at], turned[at + apart]);
    turned[at] = pair.x + pair.y;
    turned[at + apart] = pair.x - pair.y;
  }
}

fn hadamard_scale() -> f32 { return inverseSqrt(f32(BLOCK)); }

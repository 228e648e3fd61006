// lib/gumbel.wgsl — noise that makes the largest score a draw

// A bijection of u32 in which every input bit moves about half of the output bits.
fn mix(value: u32) -> u32 {
  var x = value;
  x = (x ^ (x >> 16u)) * 0x7feb352du;
  x = (x ^ (x >> 15u)) * 0x846ca68bu;
  return x ^ (x >> 16u);
}

// Standard Gumbel noise −ln(−ln(1 − u)) of one token. u keeps the 32 bits of the hash near 0, where the
// largest noise comes from: with 24 bits, ties at the top would favour low ids. The series is ln(1 − u) to 3e-6.
fn gumbel(seed: u32, counter: u32, token: u32) -> f32 {
  let hashed = mix(mix(token ^ mix(seed)) ^ mix(counter + 0x9e3779b9u));
  let u = min((f32(hashed) + 0.5) * 0x1p-32, 0.99999994);
  let exponential = select(-log(1.0 - u), u * (1.0 + u * (0.5 + u * (1.0 / 3.0 + u * 0.25))), u < 0.0625);
  return -log(exponential);
}

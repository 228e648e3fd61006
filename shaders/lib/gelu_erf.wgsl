// lib/gelu_erf.wgsl — GELU by the error function, x·½(1 + erf(x/√2))

// erfc(z) = p(t)·e^(−z²) for z ≥ 0, t = 1/(1 + 0.3275911·z), within 1.5e-7: Abramowitz and Stegun, 7.1.26.
fn gelu_erf(x: vec4f) -> vec4f {
  let z = abs(x) * 0.70710678;
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let tail = 0.5 * p * exp(-z * z);  // of the normal distribution, beyond |x|
  return x * select(tail, 1.0 - tail, x >= vec4f());
}

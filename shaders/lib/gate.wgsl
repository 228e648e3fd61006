// lib/gate.wgsl — the gate of a gated unit: SiLU, or GELU by tanh for EPILOGUE 3
// needs     EPILOGUE

// Both are value·sigmoid(z): tanh(y) = 2·sigmoid(2y) − 1, and 2·√(2/π) = 1.5957691.
fn gated(value: f32) -> f32 {
  let z = select(value, 1.5957691 * (value + 0.044715 * value * value * value), EPILOGUE == 3u);
  return value / (1.0 + exp(-z));
}

// lib/gates.wgsl — four gates of gated units: SiLU, or GELU by tanh for EPILOGUE 3
// needs     EPILOGUE

// Both are value·sigmoid(z), as in gate.wgsl.
fn gated_four(value: vec4f) -> vec4f {
  var z = value;
  if (EPILOGUE == 3u) { z = 1.5957691 * (value + 0.044715 * value * value * value); }
  return value / (1.0 + exp(-z));
}

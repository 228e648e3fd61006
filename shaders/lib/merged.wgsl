// lib/merged.wgsl — joins what two parts of a row of logits found: (max, Σexp, best score, its token)

// The two of one row merged: sums brought to the larger maximum, the better token, the lower id on ties.
fn merged(a: vec4f, b: vec4f) -> vec4f {
  let top = max(a.x, b.x);
  let sum = a.y * exp(a.x - top) + b.y * exp(b.x - top);
  let second = b.z > a.z || (b.z == a.z && b.w < a.w);
  return vec4f(top, sum, select(a.zw, b.zw, second));
}

// teach_hidden — mean square distance of the student's residual stream from the teacher's, and its gradient
//
//   teacher  [T, D]  vec4f  read
//   student  [T, D]  vec4f  read
//   shares   [T]     f32    read        what each row counts
//   dx       [T, D]  vec4f  read_write  the gradient is added
//   losses   [*]     f32    write       share·mean((student − teacher)²)
//
// dispatch  (T, 1, 1): one workgroup per row, WG threads stride across it
// cost      bytes 16·T·D, flops 6·T·D: memory bound
// why       The second part of the loss, beside that of the logits (docs/recovery.md).
// uses      lib/row_sum.wgsl

override WG: u32 = 64;  // threads per workgroup, a power of two

struct Params {
  width: u32,   // D, a multiple of 4
  weight: f32,  // of this part in the whole loss: in the gradient only
  lossAt: u32,  // of row 0 in `losses`
}

@group(0) @binding(0) var<storage, read> teacher: array<vec4f>;
@group(0) @binding(1) var<storage, read> student: array<vec4f>;
@group(0) @binding(2) var<storage, read> shares: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> partial: array<f32, WG>;

@compute @workgroup_size(WG)
fn teach_hidden(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let fours = params.width / 4u;
  let start = wg.x * fours;
  let share = shares[wg.x] / f32(params.width);
  var squares = 0.0;
  for (var i = local.x; i < fours; i += WG) {
    let apart = student[start + i] - teacher[start + i];
    squares += dot(apart, apart);
    dx[start + i] += 2.0 * params.weight * share * apart;
  }
  let sum = row_sum(local.x, squares);
  if (local.x == 0u) { losses[params.lossAt + wg.x] = share * sum; }
}

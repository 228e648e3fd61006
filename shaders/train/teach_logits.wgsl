// teach_logits — τ²·KL(teacher‖student) of each row of logits at temperature τ, and its gradient in the student's place
//
//   teacher  [R, stride]  f32  read
//   student  [R, stride]  f32  read_write  logits in, gradient out; columns past V become 0
//   shares   [T]          f32  read        what each row of the window counts
//   losses   [T]          f32  write       share·τ²·KL
//
// dispatch  (R, 1, 1): one workgroup per row, WG threads stride across it
// cost      bytes 4·R·V·7, flops 30·R·V: memory bound on a GPU
// why       Rows are taken a few at a time, so that logits of 128 K tokens need no more memory than those of few; a row
//           is whole, and so needs no second product for its gradient share·τ·(q − p). Differences are taken of logits
//           less their maxima: small numbers.
// uses      lib/row_sum.wgsl lib/row_max.wgsl

override WG: u32 = 64;  // threads per workgroup, a power of two

struct Params {
  first: u32,        // row of the window that row 0 is
  vocabulary: u32,   // V
  stride: u32,
  temperature: f32,  // τ
}

@group(0) @binding(0) var<storage, read> teacher: array<f32>;
@group(0) @binding(1) var<storage, read_write> student: array<f32>;
@group(0) @binding(2) var<storage, read> shares: array<f32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> partial: array<f32, WG>;

@compute @workgroup_size(WG)
fn teach_logits(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  let start = wg.x * params.stride;
  let row = params.first + wg.x;
  let share = shares[row];
  let factor = 1.0 / params.temperature;

  var most = vec2f(-3.4e38);
  for (var v = lane; v < params.vocabulary; v += WG) { most = max(most, vec2f(teacher[start + v], student[start + v])); }
  let topT = row_max(lane, most.x);
  let topS = row_max(lane, most.y);

  var sums = vec2f();   // Σ exp of teacher and student
  var apart = 0.0;      // Σ exp(teacher)·(teacher − student)
  for (var v = lane; v < params.vocabulary; v += WG) {
    let both = vec2f(teacher[start + v] - topT, student[start + v] - topS) * factor;
    let weights = exp(both);
    sums += weights;
    apart += weights.x * (both.x - both.y);
  }
  let sumT = row_sum(lane, sums.x);
  let sumS = row_sum(lane, sums.y);
  let gap = row_sum(lane, apart) / sumT - log(sumT) + log(sumS);

  let slope = share * params.temperature;
  for (var v = lane; v < params.stride; v += WG) {
    var gradient = 0.0;
    if (v < params.vocabulary) {
      let want = exp((teacher[start + v] - topT) * factor) / sumT;
      gradient = slope * (exp((student[start + v] - topS) * factor) / sumS - want);
    }
    student[start + v] = gradient;
  }
  if (lane == 0u) { losses[row] = slope * params.temperature * gap; }
}

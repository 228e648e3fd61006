// shadow_orthogonal — q = orthonormal columns that span those of y − sums·(y's last row)/tokens, and their weights σ
//
//   gram   [D + 1, D]  f32  read        Σ xᵀx over tokens, and below it Σ x
//   y      [D + 1, M]  f32  read        gram · (the q before)
//   q      [D, M]      f32  read_write
//   sigma  [M]         f32  write       √(length of the column before it is normalised / tokens)
//
// dispatch  (1, 1, 1): one workgroup
// cost      flops 4·D·M²: latency bound, a few times per prompt and store
// why       A round of block subspace iteration: y is the covariance times q, because the last row of y, Σ x·q, takes the mean
//           off. Gram–Schmidt, each column twice: so q is orthogonal to rounding whatever the spectrum, where a Cholesky
//           factor would square its spread. Columns that are nothing but zeros stay so. In the end column i nears the
//           i-th eigenvector, and σ² its eigenvalue: how much a factor varies, by which it is scaled.

override WG: u32 = 64;  // threads
override D: u32 = 192;  // width of a row of x
override M: u32 = 56;   // columns, a multiple of 4

struct Params { tokens: f32 }

@group(0) @binding(0) var<storage, read> gram: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(0) @binding(3) var<storage, read_write> sigma: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> column: array<f32, D>;
var<workgroup> parts: array<f32, M>;   // of the column along earlier ones
var<workgroup> sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn shadow_orthogonal(@builtin(local_invocation_index) local: u32) {
  for (var j = 0u; j < M; j++) {
    let along = y[D * M + j] / params.tokens;
    for (var k = local; k < D; k += WG) { column[k] = y[k * M + j] - gram[D * D + k] * along; }
    workgroupBarrier();
    for (var turn = 0u; turn < 2u; turn++) {
      for (var i = local; i < j; i += WG) {
        var part = 0.0;
        for (var k = 0u; k < D; k++) { part += q[k * M + i] * column[k]; }
        parts[i] = part;
      }
      workgroupBarrier();
      for (var k = local; k < D; k += WG) {
        var rest = column[k];
        for (var i = 0u; i < j; i++) { rest -= q[k * M + i] * parts[i]; }
        column[k] = rest;
      }
      workgroupBarrier();
    }
    var own = 0.0;
    for (var k = local; k < D; k += WG) { own += column[k] * column[k]; }
    sums[local] = own;
    workgroupBarrier();
    var square = 0.0;
    for (var i = 0u; i < WG; i++) { square += sums[i]; }
    let scale = select(0.0, inverseSqrt(square), square > 0.0);
    for (var k = local; k < D; k += WG) { q[k * M + j] = column[k] * scale; }
    if (local == 0u) { sigma[j] = sqrt(sqrt(square) / params.tokens); }
    storageBarrier();
    workgroupBarrier();
  }
}

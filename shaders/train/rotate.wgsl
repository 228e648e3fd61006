// rotate — turns the pairs (i, i + E/2) of every head by its row's angle, or back
//
//   x     [T, heads, E]     f32    read_write
//   rope  [positions, E/2]  vec2f  read        (cos, sin); row t stands at position t
//
// dispatch  (ceil(heads·E/2 / WG), T, 1): one pair per invocation
// cost      bytes 24·T·heads·E/2, flops 6·T·heads·E/2: memory bound
// why       A rotation is its own inverse but for the sign of the angle: the way back is the same kernel.

override WG: u32 = 64;  // threads per workgroup

struct Params {
  heads: u32,
  width: u32,      // E, a multiple of 2
  direction: f32,  // 1: forwards, −1: back
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> rope: array<vec2f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn rotate(@builtin(global_invocation_id) id: vec3u) {
  let pairs = params.width / 2u;
  if (id.x >= params.heads * pairs) { return; }
  let at = (id.y * params.heads + id.x / pairs) * params.width + id.x % pairs;
  let angle = rope[id.y * pairs + id.x % pairs];
  let sine = params.direction * angle.y;
  let first = x[at];
  let second = x[at + pairs];
  x[at] = first * angle.x - second * sine;
  x[at + pairs] = second * angle.x + first * sine;
}

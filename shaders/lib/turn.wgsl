// lib/turn.wgsl — rotations of four neighbouring columns
// needs     rope: array<vec2f> of (cos, sin)

struct Turn { cosine: vec4f, sine: vec4f }

fn turn_of(at: u32) -> Turn {
  let turn0 = rope[at];
  let turn1 = rope[at + 1u];
  let turn2 = rope[at + 2u];
  let turn3 = rope[at + 3u];
  return Turn(vec4f(turn0.x, turn1.x, turn2.x, turn3.x), vec4f(turn0.y, turn1.y, turn2.y, turn3.y));
}

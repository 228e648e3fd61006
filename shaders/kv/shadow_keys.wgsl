// shadow_keys — x[i, :] = the keys of token first + i, all KV heads in a row, before their rotation (PIVOT: less pivot[:])
//
//   table  [*, listLength, columns]  vec4u  read
//   kv     [*]                       u32    read
//   rope   [*, E/2]                  vec2f  read   (cos, sin) by position
//   pivot  [G·E]                     f32    read
//   x      [tokens, G·E]             f32    write
//
// dispatch  (⌈tokens / WG⌉, G·E/8, 1): a thread takes four pairs of channels (i, i + E/2) of one token
// cost      bytes tokens·G·E·(KV_BITS/8 + 4): memory bound, once per prompt
// why       Keys are of low rank before they are rotated, but kept rotated: turning back is exact. With a token's own key
//           taken off (any will do), sums of squares do not lose what varies in what all keys have in common, such as a
//           bias. Tokens of another arena than `kv` are another dispatch's.
// uses      lib/page_key.wgsl lib/turn.wgsl

override WG: u32 = 64;         // threads per workgroup
override E: u32 = 64;          // head width, a multiple of 8
override G: u32 = 3;           // KV heads
override KV_BITS: u32 = 16;    // of a stored number: 32, 16, 8 or 4
override PIVOT: bool = false;  // take pivot off

struct Params {
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  row: u32,         // row of the table that the pages are listed in; none has been given up
  arena: u32,       // number of the buffer bound as `kv`
  first: u32,       // token of row 0 of x
  tokens: u32,
}

@group(0) @binding(0) var<storage, read> table: array<vec4u>;
@group(0) @binding(1) var<storage, read> kv: array<u32>;
@group(0) @binding(2) var<storage, read> rope: array<vec2f>;
@group(0) @binding(3) var<storage, read> pivot: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

fn store(token: u32, channel: u32, values: vec4f) {
  for (var i = 0u; i < 4u; i++) {
    var value = values[i];
    if (PIVOT) { value -= pivot[channel + i]; }
    x[token * G * E + channel + i] = value;
  }
}

@compute @workgroup_size(WG)
fn shadow_keys(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.tokens) { return; }
  let token = params.first + id.x;
  let head = id.y / (E / 8u);
  let i4 = id.y % (E / 8u);
  let list = params.row * params.listLength * params.columns + params.column + head;
  let entry = table[list + (1u + token / 32u) * params.columns];
  if (entry.z != params.arena) { return; }
  let low = page_key(entry.x, i4, token % 32u);
  let high = page_key(entry.x, E / 8u + i4, token % 32u);
  let turn = turn_of((entry.w + token % 32u) * (E / 2u) + 4u * i4);
  let shrink = 1.0 / (turn.cosine * turn.cosine + turn.sine * turn.sine);  // turns may lengthen
  store(id.x, head * E + 4u * i4, (low * turn.cosine + high * turn.sine) * shrink);
  store(id.x, head * E + E / 2u + 4u * i4, (high * turn.cosine - low * turn.sine) * shrink);
}

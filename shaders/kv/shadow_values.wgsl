// shadow_values — the values of a prompt's pages in f16, or in codes of V_BITS with a scale and a minimum per GROUP channels
//
//   table   [*, listLength, columns]       vec4u  read
//   kv      [*]                            u32    read
//   values  [G, capacity, VALUE_WORDS]     u32    write  by KV head and token: numbers, then pairs (f16) of groups
//
// dispatch  (⌈tokens / WG⌉, G·E/GROUP, 1): a thread takes a group of channels of one token
// cost      bytes tokens·G·E·(KV_BITS + V_BITS)/8: memory bound, once per prompt and store
// why       Values have no low rank, so they stay, in fewer bits. Pages of another arena are another dispatch's.
// uses      lib/page.wgsl lib/units.wgsl lib/opened.wgsl lib/codes.wgsl

override WG: u32 = 64;       // threads
override E: u32 = 64;        // head width, a multiple of 8
override G: u32 = 3;         // KV heads
override KV_BITS: u32 = 16;  // of a number in a page: 32, 16, 8 or 4
override V_BITS: u32 = 8;    // of a kept number: 16, 8 or 4
const GROUP: u32 = 32;       // channels that share a pair; divides E, a multiple of 8

struct Params {
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  row: u32,         // row of the table, of which no page has been given up
  arena: u32,       // number of the buffer bound as `kv`
  begin: u32,       // first token that is taken, and how many are
  tokens: u32,
  first: u32,       // place of token `begin` in `values`
  capacity: u32,    // tokens that there is room for
}

@group(0) @binding(0) var<storage, read> table: array<vec4u>;
@group(0) @binding(1) var<storage, read> kv: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

override VALUE_WORDS: u32 = E * V_BITS / 32u + select(0u, E / GROUP, V_BITS < 16u);

// Channel e of a slot's value.
fn page_value(page: u32, slot: u32, e: u32) -> f32 {
  let word = kv[slot_at(page, slot, true) + e * KV_BITS / 32u];
  if (KV_BITS == 32u) { return bitcast<f32>(word); }
  if (KV_BITS == 16u) { return unpack2x16float(word)[e % 2u]; }
  let opening = opened(kv[pair_at(page, slot, true)]);
  return opening.y + opening.x * units(word, e * KV_BITS % 32u).x;
}

@compute @workgroup_size(WG)
fn shadow_values(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.tokens) { return; }
  let token = params.begin + id.x;
  let head = id.y / (E / GROUP);
  let group = id.y % (E / GROUP);
  let list = params.row * params.listLength * params.columns + params.column + head;
  let entry = table[list + (1u + token / 32u) * params.columns];
  if (entry.z != params.arena) { return; }
  var numbers: array<f32, GROUP>;
  var least = 3e38;
  var most = -3e38;
  for (var i = 0u; i < GROUP; i++) {
    let number = page_value(entry.x, token % 32u, group * GROUP + i);
    numbers[i] = number;
    least = min(least, number);
    most = max(most, number);
  }
  let at = (head * params.capacity + params.first + id.x) * VALUE_WORDS;
  let to = at + group * (GROUP * V_BITS / 32u);
  if (V_BITS == 16u) {
    for (var i = 0u; i < GROUP / 2u; i++) { values[to + i] = pack_half(vec2f(numbers[2u * i], numbers[2u * i + 1u])); }
    return;
  }
  let pair = code_pair(least, most, V_BITS);
  for (var w = 0u; w < GROUP * V_BITS / 32u; w++) {
    var word = 0u;
    for (var i = 0u; i < 32u / V_BITS; i++) {
      word |= u32(code(numbers[w * (32u / V_BITS) + i], pair, V_BITS)) << (i * V_BITS);
    }
    values[to + w] = word;
  }
  values[at + E * V_BITS / 32u + group] = pair;
}

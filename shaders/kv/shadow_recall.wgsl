// shadow_recall — missing chunks to their places in private pages: keys from factors, rotated to where they were; values as kept
//
//   rows     [T]                            vec4u  read
//   table    [*, listLength, columns]       vec4u  read
//   moves    [M·G, 1 + 2·SELECTED]          u32    read   how many, then (place, chunk)
//   factors  [capacity, RANK·BITS/32]       u32    read   see shadow_project
//   up       [*, RANK + 1, G·E]             f32    read   keys before rotation = factors · its first rows + the last
//   rope     [*, E/2]                       vec2f  read   (cos, sin) by position
//   values   [G, capacity, VALUE_WORDS]     u32    read   see shadow_values; HOST: first words of lists, then what they miss
//   kv       [*]                            u32    write  the private pages
//
// dispatch  (workgroups, G, M): as many workgroups share the moves of a row and KV head; any number serves
// cost      bytes misses·CHUNK·(RANK·BITS/8 + E·V_BITS/8 + 2·E·KV_BITS/8) + misses·RANK·E·4, flops 2·misses·CHUNK·RANK·E: latency bound
// why       A thread has two channels that are rotated together, of all tokens of the chunk: what it reads of `up` serves
//           them all, and the chunk's factors are converted once, in workgroup memory. The number of moves never leaves the GPU;
//           clearing workgroup memory costs a workgroup without a move something too, so a CPU adapter wants few.
// uses      lib/page_writer.wgsl

override LANES: u32 = 32;      // threads
override E: u32 = 64;          // head width, a multiple of 8
override G: u32 = 3;           // KV heads
override KV_BITS: u32 = 16;    // of a number in a page: 32, 16, 8 or 4
override V_BITS: u32 = 8;      // of a kept value: 16, 8 or 4
override GROUP: u32 = 32;      // channels of a value that share a pair
override RANK: u32 = 48;       // a multiple of 4
override BITS: u32 = 16;       // of a factor: 16 or 8
override HOST: u32 = 0;        // 1: `values` are those of missing chunks only, in the order of moves
override OUTLIERS: u32 = 24;   // chunks before the places
override SELECTED: u32 = 128;  // places
const CHUNK: u32 = 8;          // tokens of a chunk, a divisor of 32

struct Params {
  firstRow: u32,
  listLength: u32,  // table entries of a list: its head, then pages
  columns: u32,     // lists of a sequence
  column: u32,      // the list of KV head 0
  capacity: u32,    // tokens that there is room for
  workgroups: u32,  // that share the moves
  lists: u32,       // HOST: where in `values` the first word of row 0 and KV head 0 is told
}

@group(0) @binding(0) var<storage, read> rows: array<vec4u>;
@group(0) @binding(1) var<storage, read> table: array<vec4u>;
@group(0) @binding(2) var<storage, read> moves: array<u32>;
@group(0) @binding(3) var<storage, read> factors: array<u32>;
@group(0) @binding(4) var<storage, read> up: array<f32>;
@group(0) @binding(5) var<storage, read> rope: array<vec2f>;
@group(0) @binding(6) var<storage, read> values: array<u32>;
@group(0) @binding(7) var<storage, read_write> kv: array<u32>;
@group(0) @binding(8) var<uniform> params: Params;

override NUMBERS: u32 = CHUNK * E;
override FACTORS: u32 = CHUNK * RANK / 2u;
override WORDS: u32 = E * KV_BITS / 32u;  // of a slot's K or V
override VALUE_WORDS: u32 = E * V_BITS / 32u + select(0u, E / GROUP, V_BITS < 16u);

var<workgroup> numbers: array<f32, NUMBERS>;  // [CHUNK, E]
var<workgroup> pairs: array<vec2f, FACTORS>;  // [RANK/2, CHUNK]

fn head_value(i: u32) -> f32 { return numbers[i]; }

// Factors 2·i and 2·i + 1 of the rows that begin at word `first`.
fn factor_pair(first: u32, i: u32) -> vec2f {
  if (BITS == 16u) { return unpack2x16float(factors[first + i]); }
  let four = unpack4x8snorm(factors[first + i / 2u]) * 8.0;
  return select(four.xy, four.zw, i % 2u == 1u);
}

// Channels e and e + E/2 of the keys of tokens token … token + CHUNK − 1.
fn recall_keys(sequence: u32, head: u32, token: u32, e: u32) {
  let map = sequence * (RANK + 1u) * G * E + head * E + e;
  var sums: array<vec2f, CHUNK>;
  let mean = vec2f(up[map + RANK * G * E], up[map + RANK * G * E + E / 2u]);
  for (var t = 0u; t < CHUNK; t++) { sums[t] = mean; }  // unrolled
  for (var j2 = 0u; j2 < RANK / 2u; j2++) {
    let even = map + 2u * j2 * G * E;
    let odd = even + G * E;
    let first = vec2f(up[even], up[even + E / 2u]);
    let second = vec2f(up[odd], up[odd + E / 2u]);
    for (var t = 0u; t < CHUNK; t++) { sums[t] += pairs[j2 * CHUNK + t].x * first + pairs[j2 * CHUNK + t].y * second; }  // unrolled
  }
  var keys = sums;  // a copy, with a variable index: the sums stay in registers until here
  for (var t = 0u; t < CHUNK; t++) {
    let turn = rope[(token + t) * (E / 2u) + e];
    numbers[t * E + e] = keys[t].x * turn.x - keys[t].y * turn.y;
    numbers[t * E + e + E / 2u] = keys[t].y * turn.x + keys[t].x * turn.y;
  }
}

// Word of the value of a chunk's first token: the `taken`th that is missing of a row and KV head, at `place` among kept ones.
fn value_of(row: u32, head: u32, taken: u32, place: u32) -> u32 {
  if (HOST == 1u) { return values[params.lists + row * G + head] + taken * CHUNK * VALUE_WORDS; }
  return (head * params.capacity + place) * VALUE_WORDS;
}

// Channel e of the value that begins at word `at`.
fn kept_value(at: u32, e: u32) -> f32 {
  let word = values[at + e * V_BITS / 32u];
  if (V_BITS == 16u) { return unpack2x16float(word)[e % 2u]; }
  let opening = unpack2x16float(values[at + E * V_BITS / 32u + e / GROUP]);
  return opening.y + opening.x * f32((word >> (e * V_BITS % 32u)) & ((1u << (V_BITS % 32u)) - 1u));
}

@compute @workgroup_size(LANES)
fn shadow_recall(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let at = (wg.z * G + wg.y) * (1u + 2u * SELECTED);
  let sequence = rows[params.firstRow + wg.z].z;
  let list = sequence * params.listLength * params.columns + params.column + wg.y;
  let region = 32u * table[list].z;  // place of token 0 in `factors` and `values`
  for (var taken = wg.x; taken < moves[at]; taken += params.workgroups) {
    let token = moves[at + 2u + 2u * taken] * CHUNK;
    let first = (OUTLIERS + moves[at + 1u + 2u * taken]) * CHUNK;
    let page = table[list + (1u + first / 32u) * params.columns].x;
    let kept = (region + token) * (RANK * BITS / 32u);
    for (var i = local; i < FACTORS; i += LANES) {
      pairs[i % (RANK / 2u) * CHUNK + i / (RANK / 2u)] = factor_pair(kept, i);
    }
    workgroupBarrier();
    for (var e = local; e < E / 2u; e += LANES) { recall_keys(sequence, wg.y, token, e); }
    workgroupBarrier();
    for (var t = 0u; t < CHUNK; t++) { write_page(t * E, page, first % 32u + t, false, WORDS, local); }
    workgroupBarrier();
    let value = value_of(wg.z, wg.y, taken, region + token);
    for (var i = local; i < CHUNK * E; i += LANES) { numbers[i] = kept_value(value + i / E * VALUE_WORDS, i % E); }
    workgroupBarrier();
    for (var t = 0u; t < CHUNK; t++) { write_page(t * E, page, first % 32u + t, true, WORDS, local); }
    workgroupBarrier();
  }
}

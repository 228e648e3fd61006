// attn_decode_regs — softmax(q · Kᵀ · scale) · V of single rows over their pages, on one quad of lanes
//
//   q         [T, H, E]                 f32    read
//   rows      [T]                       vec4u  read
//   table     [*, listLength, columns]  vec4u  read
//   kv        [*]                       vec4u  read
//   partials  [M, H, entries, E+2]      f32    write
//   out       [T, H, E]                 f32    write
//
// dispatch  (G, splits, M): one workgroup of 4 threads per key/value head, split of the page list and row
// cost      bytes 2·M·G·S·E·KV_BITS/8 (int8, int4: + 8·M·G·S), flops 4·M·H·S·E: bound by loads and multiply-adds
// why       docs/kernels.md, CPU tricks. Lanes lie along the words of a slot, which come in fours and serve all R heads. Scores
//           wait in memory between two loops per page, four slots each: one for K, one for V. A slot that must not be seen
//           has its score replaced, and its (scale, minimum) zeroed (int8, int4), or its words (f32, which may be NaN).
// family    attn_decode
// uses      lib/list.wgsl lib/seen.wgsl lib/quad_total.wgsl

enable subgroups;

override H: u32 = 9;      // query heads
override G: u32 = 3;      // key/value heads
const KV_BITS: u32 = 16;  // 32: pages of f32, 16: of finite f16 (subnormals are 0), 8, 4: of units, scale and minimum per slot
const R: u32 = 3;         // H / G, at most 8
const E: u32 = 64;        // head width, a multiple of 8, at most 128

struct Params {
  firstRow: u32,       // row of workgroup z = 0
  listLength: u32,     // table entries of a list: its head, then pages
  columns: u32,        // lists of a sequence
  column: u32,         // the list of key/value head 0
  arena: u32,          // number of the buffer bound as kv
  entries: u32,        // partials of a row and head; 1: the result is written to `out`
  entry: u32,          // the first one written here
  pagesPerSplit: u32,
  window: u32,         // keys a query sees, itself included; 0: all
  scale: f32,          // 1/√E
}

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> kv: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const UNSEEN = -3e38;
const LOG2E = 1.4426950408889634;
const AFFINE = KV_BITS <= 8u;
const UNITS = 32u / KV_BITS;                           // values per word
const UNIT = (1u << (KV_BITS % 32u)) - 1u;
const HALF = f32(UNIT / 2u + 1u);                      // half the range of a unit
const WORDS = E / UNITS;                               // of a slot's K or V
const KEY_WORDS = (WORDS + 3u) / 4u;                   // per lane
const KEYS = KEY_WORDS * UNITS;                        // values of a slot per lane
const BLOCKS = (WORDS + 15u) / 16u;                    // of four words of V, per lane
const COLUMNS = BLOCKS * UNITS;                        // of four values, per lane
const TURNS = min(4u, KEY_WORDS + KEY_WORDS / 3u);     // slots of four that a lane meets: narrow heads let lanes share them
const STEP = select(1u, 4u, WORDS % 4u == 0u);         // words per address of V
const WEIGHT = select(1.0, 0x1p96f, KV_BITS == 16u);   // times a weight, with LIFT: the factor that unit() left out
const LIFT = select(1.0, 0x1p16f, KV_BITS == 16u);

// Arrays stay in registers while their indices are constants, hence "unrolled".
alias Sums = array<f32, R>;                 // by query head of the group
alias Heads = array<vec4f, R>;              // of four words of a slot, one value each
alias Four = array<f32, 4>;                 // by slot, or by word of a block
alias Parts = array<Four, R>;
alias Queries = array<Sums, KEYS>;
alias Keys = array<Four, KEYS>;
alias Block = array<Four, TURNS>;           // one value of each word, by slot met
alias Values = array<Block, UNITS>;
alias Columns = array<Heads, COLUMNS>;
alias Page = array<array<f32, 8>, R>;       // scores of slots 4i + lane, in memory

// Constants, hidden.
var<private> masks: array<u32, 8>;  // of units in their places
var<private> highest: u32;          // bit of a word
var<private> highHalf: u32;         // of a word
var<private> toHigh: u32;           // factor that lifts a half word
var<private> magic: f32;            // f16: see unit()
var<private> up: u32;
var<private> kept: u32;

// `zero` is what the compiler must not know to be 0.
fn hide(zero: u32) {
  for (var u = 0u; u < UNITS; u++) { masks[u] = (UNIT << (KV_BITS * u % 32u)) + zero; }  // unrolled
  highest = 0x80000000u + zero;
  highHalf = 0xffff0000u + zero;
  toHigh = 65536u + zero;
  magic = 0x1.8p39f + f32(zero);
  up = 8192u + zero;
  kept = 0x8fffffffu + zero;
}

// (scale, minimum) of a slot, of the upper halves of two f32.
fn opened(pair: u32) -> vec2f { return vec2f(bitcast<f32>(pair * toHigh), bitcast<f32>(pair & highHalf)); }

// Unit u of a word. Shifts are expensive there, so units stay in place and come times 2^(KV_BITS·u), the highest of int8 and
// int4 as signed. f16 times 2^-112: its bits go from 31…16 to 31 and 27…13 by way of the mantissa of 1.5·2^39, which
// takes whole multiples of 2^16; 1…1 of a negative number in between is masked. A number whatever the bits.
fn unit(word: u32, u: u32) -> f32 {
  if (KV_BITS == 32u) { return bitcast<f32>(word); }
  if (AFFINE) { return f32(bitcast<i32>((word ^ select(0u, highest, u == UNITS - 1u)) & masks[u])); }
  let high = select(word & highHalf, word * toHigh, u == 0u);
  let mantissa = bitcast<u32>(f32(bitcast<i32>(high)) + magic);
  return bitcast<f32>((mantissa * up) & kept);
}

// The factor of q for unit u of a word, which is not shifted down.
fn key_factor(u: u32) -> f32 {
  if (AFFINE) { return 1.0 / f32(1u << (KV_BITS * u % 32u)); }
  return WEIGHT;
}

// What a sum of weighted units u is multiplied with, to be one of values.
fn value_factor(u: u32) -> f32 {
  if (AFFINE) { return key_factor(u); }
  return LIFT;
}

// One value of q of all heads, times `factor`; 0 beyond E.
fn query_of(query: u32, e: u32, factor: f32) -> Sums {
  let scale = select(0.0, factor, e < E);
  let at = query + min(e, E - 1u);
  var x = Sums();
  for (var h = 0u; h < R; h++) { x[h] = q[at + h * E] * scale; }  // unrolled
  return x;
}

fn times(x: Sums, factor: f32) -> Sums {
  var next = x;
  for (var h = 0u; h < R; h++) { next[h] = x[h] * factor; }  // unrolled
  return next;
}

fn totals(mine: Sums) -> Sums {
  var all = mine;
  for (var h = 0u; h < R; h++) { all[h] = total(mine[h]); }  // unrolled
  return all;
}

// What a slot's minimum and scale are multiplied with beside Σq·u: Σq, and HALF·Σ of the q that meet highest units.
struct Constants { minimum: Sums, scale: Sums }

fn count_query(old: Constants, x: Sums, u: u32) -> Constants {
  let top = select(0.0, HALF, u == UNITS - 1u);
  var next = old;
  for (var h = 0u; h < R; h++) { next.minimum[h] += x[h]; next.scale[h] += x[h] * top; }  // unrolled
  return next;
}

// This lane's parts of q·u of four slots.
fn parts_of(at: u32, x: Queries) -> Parts {
  var k = Keys();
  for (var i = 0u; i < KEY_WORDS; i++) { let words = kv[at + i * 8u]; for (var u = 0u; u < UNITS; u++) { for (var s = 0u; s < 4u; s++) { k[i * UNITS + u][s] = unit(words[s], u); } } }  // unrolled
  var parts = Parts();
  for (var h = 0u; h < R; h++) { for (var s = 0u; s < 4u; s++) { for (var c = 0u; c < KEYS; c++) { parts[h][s] += x[c][h] * k[c][s]; } } }  // unrolled
  return parts;
}

// b where `mask` is all ones, a where it is 0; select() costs twice as much there.
fn pick(a: f32, b: f32, mask: u32) -> f32 {
  return bitcast<f32>(bitcast<u32>(a) ^ ((bitcast<u32>(a) ^ bitcast<u32>(b)) & mask));
}

// Which of four slots is this lane's: masks of the bits of its number.
struct Place { odd: u32, high: u32 }

// q·u of this lane's slot, of every lane's parts of those of four.
fn gathered(parts: Four, place: Place) -> f32 {
  let near = pick(parts[0] + quadSwapX(parts[0]), parts[1] + quadSwapX(parts[1]), place.odd);
  let far = pick(parts[2] + quadSwapX(parts[2]), parts[3] + quadSwapX(parts[3]), place.odd);
  return pick(near + quadSwapY(near), far + quadSwapY(far), place.high);
}

fn score(units: f32, minimum: f32, scale: f32, pair: vec2f) -> f32 {
  if (AFFINE) { return pair.x * (units + scale) + pair.y * minimum; }
  return units * LIFT;
}

// Scores of this lane's slot of four, in powers of two; pair is its (scale, minimum).
fn scores(parts: Parts, place: Place, constants: Constants, pair: vec2f, shown: bool) -> Sums {
  var next = Sums();
  for (var h = 0u; h < R; h++) { next[h] = select(UNSEEN, score(gathered(parts[h], place), constants.minimum[h], constants.scale[h], pair), shown); }  // unrolled
  return next;
}

// NaN apart: max() costs ten times as much there.
fn larger(a: f32, b: f32) -> f32 { return select(a, b, b > a); }

fn largest(mine: f32) -> f32 {
  let pair = larger(mine, quadSwapX(mine));
  return larger(pair, quadSwapY(pair));
}

fn tops(mine: Sums) -> Sums {
  var next = mine;
  for (var h = 0u; h < R; h++) { next[h] = largest(mine[h]); }  // unrolled
  return next;
}

// What sums under the old maxima are multiplied with.
fn decays(old: Sums, top: Sums) -> Sums {
  var keep = old;
  for (var h = 0u; h < R; h++) { keep[h] = exp2(old[h] - top[h]); }  // unrolled
  return keep;
}

fn rescale(o: Heads, keep: Sums) -> Heads {
  var next = o;
  for (var h = 0u; h < R; h++) { next[h] = o[h] * keep[h]; }  // unrolled
  return next;
}

// What scores are measured from. A head that has seen nothing yet has top = UNSEEN, as all its scores: their weight is 0,
// not exp2(0).
fn bases(top: Sums) -> Sums {
  var base = top;
  for (var h = 0u; h < R; h++) { base[h] = select(top[h], 0.0, top[h] < -1e38); }  // unrolled
  return base;
}

// In the order in which this lane meets four slots: its own, lane ^ 1, lane ^ 2, lane ^ 3.
fn around(x: f32) -> Four { return Four(x, quadSwapX(x), quadSwapY(x), quadSwapDiagonal(x)); }

fn turns(weight: Sums, scale: f32) -> Parts {
  var w = Parts();
  for (var h = 0u; h < R; h++) { w[h] = around(weight[h] * scale); }  // unrolled
  return w;
}

fn word(at: u32) -> u32 { return kv[at >> 2u][at & 3u]; }

// Four words of V; `at` in units of STEP words.
fn words4(at: u32) -> vec4u {
  if (STEP == 4u) { return kv[at]; }
  return vec4u(word(at), word(at + 1u), word(at + 2u), word(at + 3u));
}

// f32 that nobody wrote may be NaN, which no weight of 0 makes 0.
fn written(words: vec4u, bits: u32, slot: u32) -> vec4u {
  if (KV_BITS < 32u) { return words; }
  return words & vec4u(select(0u, 0xffffffffu, (bits & (1u << slot)) != 0u));
}

// A block of each slot that this lane meets; `slots` are those four.
fn values_of(at: vec4u, bits: u32, slots: vec4u) -> Values {
  var v = Values();
  for (var t = 0u; t < TURNS; t++) { let words = written(words4(at[t]), bits, slots[t]); for (var u = 0u; u < UNITS; u++) { for (var c = 0u; c < 4u; c++) { v[u][t][c] = unit(words[c], u); } } }  // unrolled
  return v;
}

fn add_block(o: Heads, w: Parts, v: Block) -> Heads {
  var next = o;
  for (var h = 0u; h < R; h++) { for (var c = 0u; c < 4u; c++) { for (var t = 0u; t < TURNS; t++) { next[h][c] += w[h][t] * v[t][c]; } } }  // unrolled
  return next;
}

// Where the output of a head goes, and what it is multiplied with there.
struct Output { at: u32, scale: f32, direct: bool }

// Of one head, whose weights sum to `sum`; writes max and sum where the result is partial.
fn output_of(m: u32, split: u32, head: u32, lane: u32, sum: f32, top: f32) -> Output {
  if (params.entries == 1u) { return Output(((params.firstRow + m) * H + head) * E, select(0.0, 1.0 / sum, sum > 0.0), true); }
  let at = ((m * H + head) * params.entries + params.entry + split) * (E + 2u);
  if (lane == 0u) {
    partials[at + E] = select(UNSEEN, top / LOG2E, top > -1e38);
    partials[at + E + 1u] = sum;
  }
  return Output(at, 1.0, false);
}

// Sums of the lanes that hold the same block.
fn joined(o: vec4f) -> vec4f {
  if (TURNS == 4u) { return o; }
  let pair = o + quadSwapY(o);
  if (TURNS == 2u) { return pair; }
  return pair + quadSwapX(pair);
}

// Writes one column of one head; `pair` sums weight·(scale, minimum) over all lanes.
fn store(output: Output, column: u32, lane: u32, o: vec4f, pair: vec2f) {
  let u = column % UNITS;
  let first = (lane % TURNS + column / UNITS * 4u) * 4u * UNITS + u;
  var value = joined(o) * value_factor(u);
  if (AFFINE) { value += pair.y + select(0.0, HALF * pair.x, u == UNITS - 1u); }
  value *= output.scale;
  for (var i = 0u; i < 4u; i++) {
    let e = first + i * UNITS;
    if (e >= E || lane >= TURNS) { return; }
    if (output.direct) { out[output.at + e] = value[i]; } else { partials[output.at + e] = value[i]; }
  }
}

@compute @workgroup_size(4)
fn attn_decode_regs(@builtin(workgroup_id) wg: vec3u, @builtin(subgroup_invocation_id) subgroup: u32) {
  hide(params.arena >> 31u);
  let lane = subgroup & 3u;
  let row = rows[params.firstRow + wg.z];
  let head0 = wg.x * R;
  let query = ((params.firstRow + wg.z) * H + head0) * E;
  let firstPage = wg.y * params.pagesPerSplit;
  let list = row.z * params.listLength * params.columns + params.column + wg.x;
  let head = table[list];
  let endPage = min(firstPage + params.pagesPerSplit, row.y / 32u + 1u + head.x - head.y);
  let factor = params.scale * LOG2E;
  let place = Place(0u - (lane & 1u), 0u - (lane >> 1u));
  let order = vec4u(lane) ^ vec4u(0u, 1u, 2u, 3u);  // of the slots
  let blockAt = order * (WORDS / STEP) + vec4u(lane % TURNS * (4u / STEP));

  var x = Queries();
  var constants = Constants();
  for (var i = 0u; i < KEY_WORDS; i++) { for (var u = 0u; u < UNITS; u++) { x[i * UNITS + u] = query_of(query, (lane + i * 4u) * UNITS + u, factor); } }  // unrolled
  for (var c = 0u; c < KEYS; c++) { constants = count_query(constants, x[c], c % UNITS); }  // unrolled
  for (var c = 0u; c < KEYS; c++) { x[c] = times(x[c], key_factor(c % UNITS)); }  // unrolled
  constants = Constants(totals(constants.minimum), totals(constants.scale));

  var page = Page();
  var sum = Sums();               // of this lane's weights
  var pairs = array<vec2f, R>();  // of weight·(scale, minimum)
  var top = Sums();
  for (var h = 0u; h < R; h++) { top[h] = UNSEEN; }  // unrolled
  var o = Columns();

  for (var index = firstPage; index < endPage; index++) {
    let entry = listed_entry(list, head, index);
    let bits = seen(entry, row.x);
    let begin = select(0u, 8u, bits == 0u);  // a branch would not skip: it costs what is in it whether taken or not
    let keyAt = (entry.x >> 2u) + lane * 2u;
    let valueAt = ((entry.x >> 2u) + WORDS * 8u) * (4u / STEP) + blockAt;
    let pairAt = (entry.x >> 2u) + WORDS * 16u;

    var most = top;
    var bit = 1u << lane;
    for (var quad = begin; quad < 8u; quad++) {
      let shown = (bits & bit) != 0u;
      var pair = vec2f();
      if (AFFINE) { pair = opened(select(0u, kv[pairAt + quad][lane], shown)); }
      let mine = scores(parts_of(keyAt + (quad & 6u) * WORDS + (quad & 1u), x), place, constants, pair, shown);
      for (var h = 0u; h < R; h++) { page[h][quad] = mine[h]; most[h] = larger(most[h], mine[h]); }  // unrolled
      bit *= 16u;
    }

    let newTop = tops(most);
    let keep = decays(top, newTop);
    top = newTop;
    for (var h = 0u; h < R; h++) { sum[h] *= keep[h]; if (AFFINE) { pairs[h] *= keep[h]; } }  // unrolled
    for (var c = 0u; c < COLUMNS; c++) { o[c] = rescale(o[c], keep); }  // unrolled

    let base = bases(top);
    bit = 1u << lane;
    for (var quad = begin; quad < 8u; quad++) {
      let shown = (bits & bit) != 0u;
      var pair = vec2f(WEIGHT, 0.0);
      if (AFFINE) { pair = opened(select(0u, kv[pairAt + 8u + quad][lane], shown)); }
      var mine = Sums();
      for (var h = 0u; h < R; h++) { mine[h] = exp2(page[h][quad] - base[h]); }  // unrolled
      for (var h = 0u; h < R; h++) { sum[h] += mine[h]; if (AFFINE) { pairs[h] += mine[h] * pair; } }  // unrolled
      let w = turns(mine, pair.x);
      let at = valueAt + quad * (4u * WORDS / STEP);
      for (var i = 0u; i < BLOCKS; i++) { let v = values_of(at + i * (16u / STEP), bits, quad * 4u + order); for (var u = 0u; u < UNITS; u++) { o[i * UNITS + u] = add_block(o[i * UNITS + u], w, v[u]); } }  // unrolled
      bit *= 16u;
    }
  }

  let all = totals(sum);
  var outputs = array<Output, R>();
  for (var h = 0u; h < R; h++) { outputs[h] = output_of(wg.z, wg.y, head0 + h, lane, all[h], top[h]); }  // unrolled
  for (var h = 0u; h < R; h++) { pairs[h] = vec2f(total(pairs[h].x), total(pairs[h].y)); }  // unrolled
  for (var h = 0u; h < R; h++) { for (var c = 0u; c < COLUMNS; c++) { store(outputs[h], c, lane, o[c][h], pairs[h]); } }  // unrolled
}

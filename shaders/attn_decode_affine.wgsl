// attn_decode_affine — attn_decode_regs for int8 and int4 pages: softmax(q · Kᵀ · scale) · V of single rows, on one quad
//
//   q         [T, H, E]                  f32    read
//   rows      [T]                        vec4u  read
//   table     [*, maxPages, stride]      vec4u  read
//   kv        [*]                        u32    read
//   partials  [M, H, splits·parts, E+2]  f32    write
//   out       [T, H, E]                  f32    write
//
// dispatch  (G, splits, M): one workgroup of 4 threads per key/value head, split of the page list and row
// cost      bytes 2·M·G·S·(E·KV_BITS/8 + 4), flops 4·M·H·S·E: bound by loads and multiply-adds
// why       For adapters that run shaders on a CPU (SwiftShader). There a load costs the same whatever the addresses of
//           its four lanes, so lanes lie along the words of a slot in both products: lane l takes words l, l + 4, …, its
//           q stays in registers for all keys, and output needs no broadcast. Four slots at a time, of which lane l
//           takes l, l ^ 1, l ^ 2, l ^ 3: quad swaps then bring the parts of a score to the lane of its slot, and a
//           weight to the lane that meets its values. Shifts are dear: units stay in place, mask and convert give
//           2^(KV_BITS·i)·unit, and q or the end result carries the inverse, which is exact. The highest unit of a
//           word is opened as signed, so it lacks HALF. Scale and minimum of a slot are applied to its score and to
//           its weight: q·K = scale·Σq·u + minimum·Σq. Those of slots that must not be seen may be NaN: they are
//           zeroed; units are numbers whatever they hold.

enable subgroups;

override H: u32 = 9;     // query heads
override G: u32 = 3;     // key/value heads
const KV_BITS: u32 = 8;  // 8 or 4
const R: u32 = 3;        // H / G, at most 8
const E: u32 = 64;       // head width, a multiple of 8, at most 128

struct Params {
  firstRow: u32,       // row of workgroup z = 0
  maxPages: u32,       // pages per table row
  stride: u32,         // table entries per page: lanes of all stores
  lane0: u32,          // first lane of this store
  part: u32,           // arena part bound as kv
  parts: u32,
  splits: u32,
  pagesPerSplit: u32,
  window: u32,         // keys a query sees, itself included; 0: all
  scale: f32,          // 1/√E
}

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> kv: array<u32>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const UNSEEN = -3e38;
const LOG2E = 1.4426950408889634;
const PER_WORD = 32u / KV_BITS;
const WORDS = E / PER_WORD;                 // of a slot's K or V
const SPAN = 8u / KV_BITS;                  // columns (of four values) per word
const LOADS = (WORDS + 3u) / 4u;            // words per lane
const COLUMNS = LOADS * SPAN;               // per lane, at most 8
const HALF = f32(1u << (KV_BITS - 1u));     // half the range of a unit

// By query head of the group, and by column. Arrays stay in registers while their indices are constants, hence "unrolled".
alias Heads = array<vec4f, R>;
alias Sums = array<f32, R>;
alias Columns = array<Heads, COLUMNS>;

// Bit s is set if the query at `position` sees slot s of the page.
fn seen(entry: vec4u, position: u32) -> u32 {
  if (entry.w > position || entry.z != params.part) { return 0u; }
  let newest = position - entry.w;
  let bits = select(entry.y, entry.y & ((2u << (newest % 32u)) - 1u), newest < 31u);
  if (params.window == 0u || newest < params.window) { return bits; }
  let gone = newest - params.window + 1u;
  return select(0u, bits & (0xffffffffu << (gone % 32u)), gone < 32u);
}

// First value of e in a column.
fn place(column: u32, lane: u32) -> u32 { return (lane + column / SPAN * 4u) * PER_WORD + column % SPAN * 4u; }

// What the four values of a column are to be multiplied with: the inverse of where they lie in their word.
fn down(column: u32) -> vec4f {
  if (KV_BITS == 8u) { return vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24); }
  if (column % 2u == 0u) { return vec4f(1.0, 0x1p-4, 0x1p-8, 0x1p-12); }
  return vec4f(0x1p-16, 0x1p-20, 0x1p-24, 0x1p-28);
}

// Four units of a word in their places; int4: the lower (part 0) or the upper (part 1) four.
fn opened(word: u32, part: u32) -> vec4f {
  if (KV_BITS == 8u) { return vec4f(vec4i(vec4u(word ^ 0x80000000u) & vec4u(0xffu, 0xff00u, 0xff0000u, 0xff000000u))); }
  if (part == 0u) { return vec4f(vec4i(vec4u(word) & vec4u(0xfu, 0xf0u, 0xf00u, 0xf000u))); }
  return vec4f(vec4i(vec4u(word ^ 0x80000000u) & vec4u(0xf0000u, 0xf00000u, 0xf000000u, 0xf0000000u)));
}

fn query4(at: u32) -> vec4f { return vec4f(q[at], q[at + 1u], q[at + 2u], q[at + 3u]); }

// One column of q of all heads, times `factor`; 0 beyond E.
fn query_column(query: u32, column: u32, lane: u32, factor: f32) -> Heads {
  let e = place(column, lane);
  let at = query + min(e, E - 4u);
  let scale = select(0.0, factor, e < E);
  var x = Heads();
  for (var h = 0u; h < R; h++) { x[h] = query4(at + h * E) * scale; }  // unrolled
  return x;
}

fn total(x: f32) -> f32 {
  let pair = x + quadSwapX(x);
  return pair + quadSwapY(pair);
}

// NaN apart: max() costs ten times as much there.
fn larger(a: f32, b: f32) -> f32 { return select(a, b, b > a); }

// What a slot's minimum and scale are multiplied with beside Σq·u: Σq, and HALF·Σ of the q that meet highest units.
struct Constants { minimum: Sums, scale: Sums }

fn count_column(old: Constants, x: Heads, column: u32) -> Constants {
  let top = select(0.0, HALF, column % SPAN == SPAN - 1u);
  var next = old;
  for (var h = 0u; h < R; h++) { next.minimum[h] += dot(x[h], vec4f(1.0)); next.scale[h] += x[h].w * top; }  // unrolled
  return next;
}

fn totals(mine: Sums) -> Sums {
  var all = mine;
  for (var h = 0u; h < R; h++) { all[h] = total(mine[h]); }  // unrolled
  return all;
}

fn times(x: Heads, factor: vec4f) -> Heads {
  var next = x;
  for (var h = 0u; h < R; h++) { next[h] = x[h] * factor; }  // unrolled
  return next;
}

fn meet(sum: f32, x: vec4f, v: vec4f) -> f32 { return sum + x.x * v.x + x.y * v.y + x.z * v.z + x.w * v.w; }

// Adds a column of one slot to this lane's parts of q·u.
fn meets(sums: Sums, x: Heads, v: vec4f) -> Sums {
  var next = sums;
  for (var h = 0u; h < R; h++) { next[h] = meet(sums[h], x[h], v); }  // unrolled
  return next;
}

// Adds a word of one slot: one column of int8, two of int4.
fn meets_word(sums: Sums, near: Heads, far: Heads, word: u32) -> Sums {
  let next = meets(sums, near, opened(word, 0u));
  if (SPAN == 1u) { return next; }
  return meets(next, far, opened(word, 1u));
}

// This lane's parts of q·u of the slot whose first word is at `at`.
fn parts_of(at: u32, x: Columns) -> Sums {
  var sums = Sums();
  for (var i = 0u; i < LOADS; i++) { sums = meets_word(sums, x[i * SPAN], x[i * SPAN + SPAN - 1u], kv[at + i * 128u]); }  // unrolled
  return sums;
}

// q·u of this lane's slot, of parts that belong to the slots of lane, lane ^ 1, lane ^ 2, lane ^ 3.
fn gathered(a: f32, b: f32, c: f32, d: f32) -> f32 {
  return (a + quadSwapX(b)) + (quadSwapY(c) + quadSwapDiagonal(d));
}

// Scores, then weights, of one page: near[h][i] of slot 4i + lane, far[h][i] of slot 16 + 4i + lane.
struct Page { near: Heads, far: Heads }

fn unseen() -> Page {
  var page = Page();
  for (var h = 0u; h < R; h++) { page.near[h] = vec4f(UNSEEN); page.far[h] = vec4f(UNSEEN); }  // unrolled
  return page;
}

fn shift(four: vec4f, last: f32) -> vec4f { return vec4f(four.yzw, last); }

// Four slots join, the first four leave.
fn push(page: Page, value: Sums) -> Page {
  var next = page;
  for (var h = 0u; h < R; h++) { next.near[h] = shift(page.near[h], page.far[h].x); next.far[h] = shift(page.far[h], value[h]); }  // unrolled
  return next;
}

fn score(units: f32, minimum: f32, scale: f32, pair: vec2f, shown: bool) -> f32 {
  return select(UNSEEN, pair.x * (units + scale) + pair.y * minimum, shown);
}

// Scores of this lane's slot of four, from the parts of slots lane, lane ^ 1, …; pair is its (scale, minimum).
fn scores(a: Sums, b: Sums, c: Sums, d: Sums, constants: Constants, pair: vec2f, shown: bool) -> Sums {
  var next = Sums();
  for (var h = 0u; h < R; h++) { next[h] = score(gathered(a[h], b[h], c[h], d[h]), constants.minimum[h], constants.scale[h], pair, shown); }  // unrolled
  return next;
}

fn largest(x: f32, near: vec4f, far: vec4f) -> f32 {
  let a = larger(larger(near.x, near.y), larger(near.z, near.w));
  let b = larger(larger(far.x, far.y), larger(far.z, far.w));
  let mine = larger(a, b);
  let pair = larger(mine, quadSwapX(mine));
  return larger(x, larger(pair, quadSwapY(pair)));
}

// Maxima so far, in powers of two.
fn tops(old: Sums, page: Page) -> Sums {
  var next = old;
  for (var h = 0u; h < R; h++) { next[h] = largest(old[h], page.near[h], page.far[h]); }  // unrolled
  return next;
}

// A head that has seen nothing yet has top = UNSEEN, as all its scores: their weight is 0, not exp2(0).
fn weight(score: vec4f, top: f32) -> vec4f { return exp2(score - select(top, 0.0, top < -1e38)); }

// Scores to weights.
fn weights(page: Page, top: Sums) -> Page {
  var next = page;
  for (var h = 0u; h < R; h++) { next.near[h] = weight(page.near[h], top[h]); next.far[h] = weight(page.far[h], top[h]); }  // unrolled
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

// Adds this lane's slot of four to the sums (weight, weight·scale, weight·minimum, –).
fn count_weights(sums: Heads, page: Page, pair: vec2f) -> Heads {
  var next = sums;
  for (var h = 0u; h < R; h++) { next[h] = sums[h] + page.near[h].x * vec4f(1.0, pair, 0.0); }  // unrolled
  return next;
}

fn around(x: f32) -> vec4f { return vec4f(x, quadSwapX(x), quadSwapY(x), quadSwapDiagonal(x)); }

// Weight·scale of the first four slots, in the order in which this lane meets them.
fn turns(page: Page, scale: f32) -> Heads {
  var w = Heads();
  for (var h = 0u; h < R; h++) { w[h] = around(page.near[h].x * scale); }  // unrolled
  return w;
}

// Adds one column of four slots to the output.
fn add_column(o: Heads, w: Heads, v0: vec4f, v1: vec4f, v2: vec4f, v3: vec4f) -> Heads {
  var next = o;
  for (var h = 0u; h < R; h++) { next[h] = o[h] + w[h].x * v0 + w[h].y * v1 + w[h].z * v2 + w[h].w * v3; }  // unrolled
  return next;
}

fn add_words(o: Heads, w: Heads, words: vec4u, part: u32) -> Heads {
  return add_column(o, w, opened(words.x, part), opened(words.y, part), opened(words.z, part), opened(words.w, part));
}

fn words4(at: vec4u, add: u32) -> vec4u { return vec4u(kv[at.x + add], kv[at.y + add], kv[at.z + add], kv[at.w + add]); }

// Where the output of a head goes, and what it is multiplied with there.
struct Output { at: u32, scale: f32, direct: bool }

// Of one head, whose weights sum to `sum`; writes max and sum where the result is partial.
fn output_of(m: u32, split: u32, head: u32, lane: u32, sum: f32, top: f32) -> Output {
  let entries = params.splits * params.parts;
  if (entries == 1u) { return Output(((params.firstRow + m) * H + head) * E, select(0.0, 1.0 / sum, sum > 0.0), true); }
  let at = ((m * H + head) * entries + split * params.parts + params.part) * (E + 2u);
  if (lane == 0u) {
    partials[at + E] = select(UNSEEN, top / LOG2E, top > -1e38);
    partials[at + E + 1u] = sum;
  }
  return Output(at, 1.0, false);
}

// Writes one column of one head; sums are those of all lanes.
fn store(output: Output, column: u32, lane: u32, sum: vec4f, sums: vec3f) {
  let e = place(column, lane);
  if (e >= E) { return; }
  var value = sum * down(column) + sums.z;
  if (column % SPAN == SPAN - 1u) { value.w += HALF * sums.y; }
  value *= output.scale;
  for (var i = 0u; i < 4u; i++) {
    if (output.direct) { out[output.at + e + i] = value[i]; } else { partials[output.at + e + i] = value[i]; }
  }
}

@compute @workgroup_size(4)
fn attn_decode_affine(@builtin(workgroup_id) wg: vec3u, @builtin(subgroup_invocation_id) subgroup: u32) {
  let lane = subgroup & 3u;
  let row = rows[params.firstRow + wg.z];
  let head0 = wg.x * R;
  let query = ((params.firstRow + wg.z) * H + head0) * E;
  let firstPage = wg.y * params.pagesPerSplit;
  let endPage = min(firstPage + params.pagesPerSplit, row.y / 32u + 1u);
  let entry0 = row.z * params.maxPages * params.stride + params.lane0 + wg.x;
  let factor = params.scale * LOG2E;
  let order = vec4u(lane) ^ vec4u(0u, 1u, 2u, 3u);  // of the slots

  var x = Columns();
  var constants = Constants();
  for (var c = 0u; c < COLUMNS; c++) { x[c] = query_column(query, c, lane, factor); }  // unrolled
  for (var c = 0u; c < COLUMNS; c++) { constants = count_column(constants, x[c], c); }  // unrolled
  for (var c = 0u; c < COLUMNS; c++) { x[c] = times(x[c], down(c)); }  // unrolled
  constants = Constants(totals(constants.minimum), totals(constants.scale));

  var sums: Heads;
  var top = Sums();
  for (var h = 0u; h < R; h++) { top[h] = UNSEEN; }  // unrolled
  var o = Columns();

  for (var list = firstPage; list < endPage; list++) {
    let entry = table[entry0 + list * params.stride];
    let bits = seen(entry, row.x);
    let begin = select(0u, 32u, bits == 0u);  // a branch would not skip: it costs what is in it whether taken or not
    let affine = entry.x + 2u * E * KV_BITS + lane;

    var page = unseen();
    var bit = 1u << lane;
    for (var slot = begin; slot < 32u; slot += 4u) {
      let shown = (bits & bit) != 0u;
      let pair = unpack2x16float(select(0u, kv[affine + slot], shown));
      let at = entry.x + lane * 32u + slot + order;
      let a = parts_of(at.x, x);
      let b = parts_of(at.y, x);
      let c = parts_of(at.z, x);
      let d = parts_of(at.w, x);
      page = push(page, scores(a, b, c, d, constants, pair, shown));
      bit *= 16u;
    }

    let newTop = tops(top, page);
    let keep = decays(top, newTop);
    top = newTop;
    page = weights(page, top);
    sums = rescale(sums, keep);
    for (var c = 0u; c < COLUMNS; c++) { o[c] = rescale(o[c], keep); }  // unrolled

    bit = 1u << lane;
    for (var slot = begin; slot < 32u; slot += 4u) {
      let shown = (bits & bit) != 0u;
      let pair = unpack2x16float(select(0u, kv[affine + 32u + slot], shown));
      sums = count_weights(sums, page, pair);
      let w = turns(page, pair.x);
      page = push(page, Sums());
      let at = entry.x + E * KV_BITS + lane + (slot + order) * WORDS;
      for (var i = 0u; i < LOADS; i++) { let words = words4(at, i * 4u); for (var p = 0u; p < SPAN; p++) { o[i * SPAN + p] = add_words(o[i * SPAN + p], w, words, p); } }  // unrolled
      bit *= 16u;
    }
  }

  var all = array<vec3f, R>();
  var outputs = array<Output, R>();
  for (var h = 0u; h < R; h++) { all[h] = vec3f(total(sums[h].x), total(sums[h].y), total(sums[h].z)); }  // unrolled
  for (var h = 0u; h < R; h++) { outputs[h] = output_of(wg.z, wg.y, head0 + h, lane, all[h].x, top[h]); }  // unrolled
  for (var h = 0u; h < R; h++) { for (var c = 0u; c < COLUMNS; c++) { store(outputs[h], c, lane, o[c][h], all[h]); } }  // unrolled
}

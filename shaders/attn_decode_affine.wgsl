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
const COLUMNS = (WORDS + 3u) / 4u * SPAN;   // per lane, at most 8
const HALF = f32(1u << (KV_BITS - 1u));     // half the range of a unit

// By query head of the group. Only constants may be indices, and all must be valid: [H5] within `if (R > 5u)`.
alias Heads = array<vec4f, R>;
alias Sums = array<f32, R>;
const H1 = min(1u, R - 1u);
const H2 = min(2u, R - 1u);
const H3 = min(3u, R - 1u);
const H4 = min(4u, R - 1u);
const H5 = min(5u, R - 1u);
const H6 = min(6u, R - 1u);
const H7 = min(7u, R - 1u);

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
  x[0] = query4(at + 0u * E) * scale;
  if (R > 1u) { x[H1] = query4(at + 1u * E) * scale; }
  if (R > 2u) { x[H2] = query4(at + 2u * E) * scale; }
  if (R > 3u) { x[H3] = query4(at + 3u * E) * scale; }
  if (R > 4u) { x[H4] = query4(at + 4u * E) * scale; }
  if (R > 5u) { x[H5] = query4(at + 5u * E) * scale; }
  if (R > 6u) { x[H6] = query4(at + 6u * E) * scale; }
  if (R > 7u) { x[H7] = query4(at + 7u * E) * scale; }
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
  next.minimum[0] += dot(x[0], vec4f(1.0)); next.scale[0] += x[0].w * top;
  if (R > 1u) { next.minimum[H1] += dot(x[H1], vec4f(1.0)); next.scale[H1] += x[H1].w * top; }
  if (R > 2u) { next.minimum[H2] += dot(x[H2], vec4f(1.0)); next.scale[H2] += x[H2].w * top; }
  if (R > 3u) { next.minimum[H3] += dot(x[H3], vec4f(1.0)); next.scale[H3] += x[H3].w * top; }
  if (R > 4u) { next.minimum[H4] += dot(x[H4], vec4f(1.0)); next.scale[H4] += x[H4].w * top; }
  if (R > 5u) { next.minimum[H5] += dot(x[H5], vec4f(1.0)); next.scale[H5] += x[H5].w * top; }
  if (R > 6u) { next.minimum[H6] += dot(x[H6], vec4f(1.0)); next.scale[H6] += x[H6].w * top; }
  if (R > 7u) { next.minimum[H7] += dot(x[H7], vec4f(1.0)); next.scale[H7] += x[H7].w * top; }
  return next;
}

fn totals(mine: Sums) -> Sums {
  var all = mine;
  all[0] = total(mine[0]);
  if (R > 1u) { all[H1] = total(mine[H1]); }
  if (R > 2u) { all[H2] = total(mine[H2]); }
  if (R > 3u) { all[H3] = total(mine[H3]); }
  if (R > 4u) { all[H4] = total(mine[H4]); }
  if (R > 5u) { all[H5] = total(mine[H5]); }
  if (R > 6u) { all[H6] = total(mine[H6]); }
  if (R > 7u) { all[H7] = total(mine[H7]); }
  return all;
}

fn times(x: Heads, factor: vec4f) -> Heads {
  var next = x;
  next[0] = x[0] * factor;
  if (R > 1u) { next[H1] = x[H1] * factor; }
  if (R > 2u) { next[H2] = x[H2] * factor; }
  if (R > 3u) { next[H3] = x[H3] * factor; }
  if (R > 4u) { next[H4] = x[H4] * factor; }
  if (R > 5u) { next[H5] = x[H5] * factor; }
  if (R > 6u) { next[H6] = x[H6] * factor; }
  if (R > 7u) { next[H7] = x[H7] * factor; }
  return next;
}

fn meet(sum: f32, x: vec4f, v: vec4f) -> f32 { return sum + x.x * v.x + x.y * v.y + x.z * v.z + x.w * v.w; }

// Adds a column of one slot to this lane's parts of q·u.
fn meets(sums: Sums, x: Heads, v: vec4f) -> Sums {
  var next = sums;
  next[0] = meet(sums[0], x[0], v);
  if (R > 1u) { next[H1] = meet(sums[H1], x[H1], v); }
  if (R > 2u) { next[H2] = meet(sums[H2], x[H2], v); }
  if (R > 3u) { next[H3] = meet(sums[H3], x[H3], v); }
  if (R > 4u) { next[H4] = meet(sums[H4], x[H4], v); }
  if (R > 5u) { next[H5] = meet(sums[H5], x[H5], v); }
  if (R > 6u) { next[H6] = meet(sums[H6], x[H6], v); }
  if (R > 7u) { next[H7] = meet(sums[H7], x[H7], v); }
  return next;
}

// This lane's parts of q·u of the slot whose first word is at `at`.
fn parts_of(at: u32, x0: Heads, x1: Heads, x2: Heads, x3: Heads, x4: Heads, x5: Heads, x6: Heads, x7: Heads) -> Sums {
  let first = kv[at];
  var sums = meets(Sums(), x0, opened(first, 0u));
  if (KV_BITS == 4u) {
    sums = meets(sums, x1, opened(first, 1u));
    if (COLUMNS > 2u) { let word = kv[at + 128u]; sums = meets(meets(sums, x2, opened(word, 0u)), x3, opened(word, 1u)); }
    if (COLUMNS > 4u) { let word = kv[at + 256u]; sums = meets(meets(sums, x4, opened(word, 0u)), x5, opened(word, 1u)); }
    if (COLUMNS > 6u) { let word = kv[at + 384u]; sums = meets(meets(sums, x6, opened(word, 0u)), x7, opened(word, 1u)); }
    return sums;
  }
  if (COLUMNS > 1u) { sums = meets(sums, x1, opened(kv[at + 128u], 0u)); }
  if (COLUMNS > 2u) { sums = meets(sums, x2, opened(kv[at + 256u], 0u)); }
  if (COLUMNS > 3u) { sums = meets(sums, x3, opened(kv[at + 384u], 0u)); }
  if (COLUMNS > 4u) { sums = meets(sums, x4, opened(kv[at + 512u], 0u)); }
  if (COLUMNS > 5u) { sums = meets(sums, x5, opened(kv[at + 640u], 0u)); }
  if (COLUMNS > 6u) { sums = meets(sums, x6, opened(kv[at + 768u], 0u)); }
  if (COLUMNS > 7u) { sums = meets(sums, x7, opened(kv[at + 896u], 0u)); }
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
  page.near[0] = vec4f(UNSEEN); page.far[0] = vec4f(UNSEEN);
  if (R > 1u) { page.near[H1] = vec4f(UNSEEN); page.far[H1] = vec4f(UNSEEN); }
  if (R > 2u) { page.near[H2] = vec4f(UNSEEN); page.far[H2] = vec4f(UNSEEN); }
  if (R > 3u) { page.near[H3] = vec4f(UNSEEN); page.far[H3] = vec4f(UNSEEN); }
  if (R > 4u) { page.near[H4] = vec4f(UNSEEN); page.far[H4] = vec4f(UNSEEN); }
  if (R > 5u) { page.near[H5] = vec4f(UNSEEN); page.far[H5] = vec4f(UNSEEN); }
  if (R > 6u) { page.near[H6] = vec4f(UNSEEN); page.far[H6] = vec4f(UNSEEN); }
  if (R > 7u) { page.near[H7] = vec4f(UNSEEN); page.far[H7] = vec4f(UNSEEN); }
  return page;
}

fn shift(four: vec4f, last: f32) -> vec4f { return vec4f(four.yzw, last); }

// Four slots join, the first four leave.
fn push(page: Page, value: Sums) -> Page {
  var next = page;
  next.near[0] = shift(page.near[0], page.far[0].x); next.far[0] = shift(page.far[0], value[0]);
  if (R > 1u) { next.near[H1] = shift(page.near[H1], page.far[H1].x); next.far[H1] = shift(page.far[H1], value[H1]); }
  if (R > 2u) { next.near[H2] = shift(page.near[H2], page.far[H2].x); next.far[H2] = shift(page.far[H2], value[H2]); }
  if (R > 3u) { next.near[H3] = shift(page.near[H3], page.far[H3].x); next.far[H3] = shift(page.far[H3], value[H3]); }
  if (R > 4u) { next.near[H4] = shift(page.near[H4], page.far[H4].x); next.far[H4] = shift(page.far[H4], value[H4]); }
  if (R > 5u) { next.near[H5] = shift(page.near[H5], page.far[H5].x); next.far[H5] = shift(page.far[H5], value[H5]); }
  if (R > 6u) { next.near[H6] = shift(page.near[H6], page.far[H6].x); next.far[H6] = shift(page.far[H6], value[H6]); }
  if (R > 7u) { next.near[H7] = shift(page.near[H7], page.far[H7].x); next.far[H7] = shift(page.far[H7], value[H7]); }
  return next;
}

fn score(units: f32, minimum: f32, scale: f32, pair: vec2f, shown: bool) -> f32 {
  return select(UNSEEN, pair.x * (units + scale) + pair.y * minimum, shown);
}

// Scores of this lane's slot of four, from the parts of slots lane, lane ^ 1, …; pair is its (scale, minimum).
fn scores(a: Sums, b: Sums, c: Sums, d: Sums, constants: Constants, pair: vec2f, shown: bool) -> Sums {
  var next = Sums();
  next[0] = score(gathered(a[0], b[0], c[0], d[0]), constants.minimum[0], constants.scale[0], pair, shown);
  if (R > 1u) { next[H1] = score(gathered(a[H1], b[H1], c[H1], d[H1]), constants.minimum[H1], constants.scale[H1], pair, shown); }
  if (R > 2u) { next[H2] = score(gathered(a[H2], b[H2], c[H2], d[H2]), constants.minimum[H2], constants.scale[H2], pair, shown); }
  if (R > 3u) { next[H3] = score(gathered(a[H3], b[H3], c[H3], d[H3]), constants.minimum[H3], constants.scale[H3], pair, shown); }
  if (R > 4u) { next[H4] = score(gathered(a[H4], b[H4], c[H4], d[H4]), constants.minimum[H4], constants.scale[H4], pair, shown); }
  if (R > 5u) { next[H5] = score(gathered(a[H5], b[H5], c[H5], d[H5]), constants.minimum[H5], constants.scale[H5], pair, shown); }
  if (R > 6u) { next[H6] = score(gathered(a[H6], b[H6], c[H6], d[H6]), constants.minimum[H6], constants.scale[H6], pair, shown); }
  if (R > 7u) { next[H7] = score(gathered(a[H7], b[H7], c[H7], d[H7]), constants.minimum[H7], constants.scale[H7], pair, shown); }
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
  next[0] = largest(old[0], page.near[0], page.far[0]);
  if (R > 1u) { next[H1] = largest(old[H1], page.near[H1], page.far[H1]); }
  if (R > 2u) { next[H2] = largest(old[H2], page.near[H2], page.far[H2]); }
  if (R > 3u) { next[H3] = largest(old[H3], page.near[H3], page.far[H3]); }
  if (R > 4u) { next[H4] = largest(old[H4], page.near[H4], page.far[H4]); }
  if (R > 5u) { next[H5] = largest(old[H5], page.near[H5], page.far[H5]); }
  if (R > 6u) { next[H6] = largest(old[H6], page.near[H6], page.far[H6]); }
  if (R > 7u) { next[H7] = largest(old[H7], page.near[H7], page.far[H7]); }
  return next;
}

// A head that has seen nothing yet has top = UNSEEN, as all its scores: their weight is 0, not exp2(0).
fn weight(score: vec4f, top: f32) -> vec4f { return exp2(score - select(top, 0.0, top < -1e38)); }

// Scores to weights.
fn weights(page: Page, top: Sums) -> Page {
  var next = page;
  next.near[0] = weight(page.near[0], top[0]); next.far[0] = weight(page.far[0], top[0]);
  if (R > 1u) { next.near[H1] = weight(page.near[H1], top[H1]); next.far[H1] = weight(page.far[H1], top[H1]); }
  if (R > 2u) { next.near[H2] = weight(page.near[H2], top[H2]); next.far[H2] = weight(page.far[H2], top[H2]); }
  if (R > 3u) { next.near[H3] = weight(page.near[H3], top[H3]); next.far[H3] = weight(page.far[H3], top[H3]); }
  if (R > 4u) { next.near[H4] = weight(page.near[H4], top[H4]); next.far[H4] = weight(page.far[H4], top[H4]); }
  if (R > 5u) { next.near[H5] = weight(page.near[H5], top[H5]); next.far[H5] = weight(page.far[H5], top[H5]); }
  if (R > 6u) { next.near[H6] = weight(page.near[H6], top[H6]); next.far[H6] = weight(page.far[H6], top[H6]); }
  if (R > 7u) { next.near[H7] = weight(page.near[H7], top[H7]); next.far[H7] = weight(page.far[H7], top[H7]); }
  return next;
}

// What sums under the old maxima are multiplied with.
fn decays(old: Sums, top: Sums) -> Sums {
  var keep = old;
  keep[0] = exp2(old[0] - top[0]);
  if (R > 1u) { keep[H1] = exp2(old[H1] - top[H1]); }
  if (R > 2u) { keep[H2] = exp2(old[H2] - top[H2]); }
  if (R > 3u) { keep[H3] = exp2(old[H3] - top[H3]); }
  if (R > 4u) { keep[H4] = exp2(old[H4] - top[H4]); }
  if (R > 5u) { keep[H5] = exp2(old[H5] - top[H5]); }
  if (R > 6u) { keep[H6] = exp2(old[H6] - top[H6]); }
  if (R > 7u) { keep[H7] = exp2(old[H7] - top[H7]); }
  return keep;
}

fn rescale(o: Heads, keep: Sums) -> Heads {
  var next = o;
  next[0] = o[0] * keep[0];
  if (R > 1u) { next[H1] = o[H1] * keep[H1]; }
  if (R > 2u) { next[H2] = o[H2] * keep[H2]; }
  if (R > 3u) { next[H3] = o[H3] * keep[H3]; }
  if (R > 4u) { next[H4] = o[H4] * keep[H4]; }
  if (R > 5u) { next[H5] = o[H5] * keep[H5]; }
  if (R > 6u) { next[H6] = o[H6] * keep[H6]; }
  if (R > 7u) { next[H7] = o[H7] * keep[H7]; }
  return next;
}

// Adds this lane's slot of four to the sums (weight, weight·scale, weight·minimum, –).
fn count_weights(sums: Heads, page: Page, pair: vec2f) -> Heads {
  var next = sums;
  next[0] = sums[0] + page.near[0].x * vec4f(1.0, pair, 0.0);
  if (R > 1u) { next[H1] = sums[H1] + page.near[H1].x * vec4f(1.0, pair, 0.0); }
  if (R > 2u) { next[H2] = sums[H2] + page.near[H2].x * vec4f(1.0, pair, 0.0); }
  if (R > 3u) { next[H3] = sums[H3] + page.near[H3].x * vec4f(1.0, pair, 0.0); }
  if (R > 4u) { next[H4] = sums[H4] + page.near[H4].x * vec4f(1.0, pair, 0.0); }
  if (R > 5u) { next[H5] = sums[H5] + page.near[H5].x * vec4f(1.0, pair, 0.0); }
  if (R > 6u) { next[H6] = sums[H6] + page.near[H6].x * vec4f(1.0, pair, 0.0); }
  if (R > 7u) { next[H7] = sums[H7] + page.near[H7].x * vec4f(1.0, pair, 0.0); }
  return next;
}

fn around(x: f32) -> vec4f { return vec4f(x, quadSwapX(x), quadSwapY(x), quadSwapDiagonal(x)); }

// Weight·scale of the first four slots, in the order in which this lane meets them.
fn turns(page: Page, scale: f32) -> Heads {
  var w = Heads();
  w[0] = around(page.near[0].x * scale);
  if (R > 1u) { w[H1] = around(page.near[H1].x * scale); }
  if (R > 2u) { w[H2] = around(page.near[H2].x * scale); }
  if (R > 3u) { w[H3] = around(page.near[H3].x * scale); }
  if (R > 4u) { w[H4] = around(page.near[H4].x * scale); }
  if (R > 5u) { w[H5] = around(page.near[H5].x * scale); }
  if (R > 6u) { w[H6] = around(page.near[H6].x * scale); }
  if (R > 7u) { w[H7] = around(page.near[H7].x * scale); }
  return w;
}

// Adds one column of four slots to the output.
fn add_column(o: Heads, w: Heads, v0: vec4f, v1: vec4f, v2: vec4f, v3: vec4f) -> Heads {
  var next = o;
  next[0] = o[0] + w[0].x * v0 + w[0].y * v1 + w[0].z * v2 + w[0].w * v3;
  if (R > 1u) { next[H1] = o[H1] + w[H1].x * v0 + w[H1].y * v1 + w[H1].z * v2 + w[H1].w * v3; }
  if (R > 2u) { next[H2] = o[H2] + w[H2].x * v0 + w[H2].y * v1 + w[H2].z * v2 + w[H2].w * v3; }
  if (R > 3u) { next[H3] = o[H3] + w[H3].x * v0 + w[H3].y * v1 + w[H3].z * v2 + w[H3].w * v3; }
  if (R > 4u) { next[H4] = o[H4] + w[H4].x * v0 + w[H4].y * v1 + w[H4].z * v2 + w[H4].w * v3; }
  if (R > 5u) { next[H5] = o[H5] + w[H5].x * v0 + w[H5].y * v1 + w[H5].z * v2 + w[H5].w * v3; }
  if (R > 6u) { next[H6] = o[H6] + w[H6].x * v0 + w[H6].y * v1 + w[H6].z * v2 + w[H6].w * v3; }
  if (R > 7u) { next[H7] = o[H7] + w[H7].x * v0 + w[H7].y * v1 + w[H7].z * v2 + w[H7].w * v3; }
  return next;
}

fn add_words(o: Heads, w: Heads, words: vec4u, part: u32) -> Heads {
  return add_column(o, w, opened(words.x, part), opened(words.y, part), opened(words.z, part), opened(words.w, part));
}

fn words4(at: vec4u, add: u32) -> vec4u { return vec4u(kv[at.x + add], kv[at.y + add], kv[at.z + add], kv[at.w + add]); }

// Writes one column of one head; sums are those of all lanes.
fn store(to: u32, column: u32, lane: u32, sum: vec4f, sums: vec3f, scale: f32, direct: bool) {
  let e = place(column, lane);
  if (e >= E) { return; }
  var value = sum * down(column) + sums.z;
  if (column % SPAN == SPAN - 1u) { value.w += HALF * sums.y; }
  value *= scale;
  for (var i = 0u; i < 4u; i++) {
    if (direct) { out[to + e + i] = value[i]; } else { partials[to + e + i] = value[i]; }
  }
}

// Writes one head: its output and, where the result is partial, max and sum.
fn finish(m: u32, split: u32, head: u32, lane: u32, mine: vec4f, top: f32, o0: vec4f, o1: vec4f, o2: vec4f, o3: vec4f, o4: vec4f, o5: vec4f, o6: vec4f, o7: vec4f) {
  let sums = vec3f(total(mine.x), total(mine.y), total(mine.z));
  let entries = params.splits * params.parts;
  let direct = entries == 1u;
  var to = ((params.firstRow + m) * H + head) * E;
  var scale = 1.0;
  if (direct) {
    scale = select(0.0, 1.0 / sums.x, sums.x > 0.0);
  } else {
    to = ((m * H + head) * entries + split * params.parts + params.part) * (E + 2u);
    if (lane == 0u) {
      partials[to + E] = select(UNSEEN, top / LOG2E, top > -1e38);
      partials[to + E + 1u] = sums.x;
    }
  }
  store(to, 0u, lane, o0, sums, scale, direct);
  if (COLUMNS > 1u) { store(to, 1u, lane, o1, sums, scale, direct); }
  if (COLUMNS > 2u) { store(to, 2u, lane, o2, sums, scale, direct); }
  if (COLUMNS > 3u) { store(to, 3u, lane, o3, sums, scale, direct); }
  if (COLUMNS > 4u) { store(to, 4u, lane, o4, sums, scale, direct); }
  if (COLUMNS > 5u) { store(to, 5u, lane, o5, sums, scale, direct); }
  if (COLUMNS > 6u) { store(to, 6u, lane, o6, sums, scale, direct); }
  if (COLUMNS > 7u) { store(to, 7u, lane, o7, sums, scale, direct); }
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

  var x0 = query_column(query, 0u, lane, factor);
  var x1: Heads; var x2: Heads; var x3: Heads; var x4: Heads; var x5: Heads; var x6: Heads; var x7: Heads;
  if (COLUMNS > 1u) { x1 = query_column(query, 1u, lane, factor); }
  if (COLUMNS > 2u) { x2 = query_column(query, 2u, lane, factor); }
  if (COLUMNS > 3u) { x3 = query_column(query, 3u, lane, factor); }
  if (COLUMNS > 4u) { x4 = query_column(query, 4u, lane, factor); }
  if (COLUMNS > 5u) { x5 = query_column(query, 5u, lane, factor); }
  if (COLUMNS > 6u) { x6 = query_column(query, 6u, lane, factor); }
  if (COLUMNS > 7u) { x7 = query_column(query, 7u, lane, factor); }
  var constants = count_column(Constants(), x0, 0u);
  if (COLUMNS > 1u) { constants = count_column(constants, x1, 1u); }
  if (COLUMNS > 2u) { constants = count_column(constants, x2, 2u); }
  if (COLUMNS > 3u) { constants = count_column(constants, x3, 3u); }
  if (COLUMNS > 4u) { constants = count_column(constants, x4, 4u); }
  if (COLUMNS > 5u) { constants = count_column(constants, x5, 5u); }
  if (COLUMNS > 6u) { constants = count_column(constants, x6, 6u); }
  if (COLUMNS > 7u) { constants = count_column(constants, x7, 7u); }
  constants = Constants(totals(constants.minimum), totals(constants.scale));
  x0 = times(x0, down(0u));
  x1 = times(x1, down(1u));
  x2 = times(x2, down(2u));
  x3 = times(x3, down(3u));
  x4 = times(x4, down(4u));
  x5 = times(x5, down(5u));
  x6 = times(x6, down(6u));
  x7 = times(x7, down(7u));

  var sums: Heads;
  var top = Sums();
  top[0] = UNSEEN;
  if (R > 1u) { top[H1] = UNSEEN; }
  if (R > 2u) { top[H2] = UNSEEN; }
  if (R > 3u) { top[H3] = UNSEEN; }
  if (R > 4u) { top[H4] = UNSEEN; }
  if (R > 5u) { top[H5] = UNSEEN; }
  if (R > 6u) { top[H6] = UNSEEN; }
  if (R > 7u) { top[H7] = UNSEEN; }
  var o0: Heads; var o1: Heads; var o2: Heads; var o3: Heads;
  var o4: Heads; var o5: Heads; var o6: Heads; var o7: Heads;

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
      let a = parts_of(at.x, x0, x1, x2, x3, x4, x5, x6, x7);
      let b = parts_of(at.y, x0, x1, x2, x3, x4, x5, x6, x7);
      let c = parts_of(at.z, x0, x1, x2, x3, x4, x5, x6, x7);
      let d = parts_of(at.w, x0, x1, x2, x3, x4, x5, x6, x7);
      page = push(page, scores(a, b, c, d, constants, pair, shown));
      bit *= 16u;
    }

    let newTop = tops(top, page);
    let keep = decays(top, newTop);
    top = newTop;
    page = weights(page, top);
    sums = rescale(sums, keep);
    o0 = rescale(o0, keep);
    if (COLUMNS > 1u) { o1 = rescale(o1, keep); }
    if (COLUMNS > 2u) { o2 = rescale(o2, keep); }
    if (COLUMNS > 3u) { o3 = rescale(o3, keep); }
    if (COLUMNS > 4u) { o4 = rescale(o4, keep); }
    if (COLUMNS > 5u) { o5 = rescale(o5, keep); }
    if (COLUMNS > 6u) { o6 = rescale(o6, keep); }
    if (COLUMNS > 7u) { o7 = rescale(o7, keep); }

    bit = 1u << lane;
    for (var slot = begin; slot < 32u; slot += 4u) {
      let shown = (bits & bit) != 0u;
      let pair = unpack2x16float(select(0u, kv[affine + 32u + slot], shown));
      sums = count_weights(sums, page, pair);
      let w = turns(page, pair.x);
      page = push(page, Sums());
      let at = entry.x + E * KV_BITS + lane + (slot + order) * WORDS;
      let words = words4(at, 0u);
      o0 = add_words(o0, w, words, 0u);
      if (KV_BITS == 4u) {
        o1 = add_words(o1, w, words, 1u);
        if (COLUMNS > 2u) { let b = words4(at, 4u); o2 = add_words(o2, w, b, 0u); o3 = add_words(o3, w, b, 1u); }
        if (COLUMNS > 4u) { let c = words4(at, 8u); o4 = add_words(o4, w, c, 0u); o5 = add_words(o5, w, c, 1u); }
        if (COLUMNS > 6u) { let d = words4(at, 12u); o6 = add_words(o6, w, d, 0u); o7 = add_words(o7, w, d, 1u); }
      } else {
        if (COLUMNS > 1u) { o1 = add_words(o1, w, words4(at, 4u), 0u); }
        if (COLUMNS > 2u) { o2 = add_words(o2, w, words4(at, 8u), 0u); }
        if (COLUMNS > 3u) { o3 = add_words(o3, w, words4(at, 12u), 0u); }
        if (COLUMNS > 4u) { o4 = add_words(o4, w, words4(at, 16u), 0u); }
        if (COLUMNS > 5u) { o5 = add_words(o5, w, words4(at, 20u), 0u); }
        if (COLUMNS > 6u) { o6 = add_words(o6, w, words4(at, 24u), 0u); }
        if (COLUMNS > 7u) { o7 = add_words(o7, w, words4(at, 28u), 0u); }
      }
      bit *= 16u;
    }
  }

  finish(wg.z, wg.y, head0 + 0u, lane, sums[0], top[0], o0[0], o1[0], o2[0], o3[0], o4[0], o5[0], o6[0], o7[0]);
  if (R > 1u) { finish(wg.z, wg.y, head0 + 1u, lane, sums[H1], top[H1], o0[H1], o1[H1], o2[H1], o3[H1], o4[H1], o5[H1], o6[H1], o7[H1]); }
  if (R > 2u) { finish(wg.z, wg.y, head0 + 2u, lane, sums[H2], top[H2], o0[H2], o1[H2], o2[H2], o3[H2], o4[H2], o5[H2], o6[H2], o7[H2]); }
  if (R > 3u) { finish(wg.z, wg.y, head0 + 3u, lane, sums[H3], top[H3], o0[H3], o1[H3], o2[H3], o3[H3], o4[H3], o5[H3], o6[H3], o7[H3]); }
  if (R > 4u) { finish(wg.z, wg.y, head0 + 4u, lane, sums[H4], top[H4], o0[H4], o1[H4], o2[H4], o3[H4], o4[H4], o5[H4], o6[H4], o7[H4]); }
  if (R > 5u) { finish(wg.z, wg.y, head0 + 5u, lane, sums[H5], top[H5], o0[H5], o1[H5], o2[H5], o3[H5], o4[H5], o5[H5], o6[H5], o7[H5]); }
  if (R > 6u) { finish(wg.z, wg.y, head0 + 6u, lane, sums[H6], top[H6], o0[H6], o1[H6], o2[H6], o3[H6], o4[H6], o5[H6], o6[H6], o7[H6]); }
  if (R > 7u) { finish(wg.z, wg.y, head0 + 7u, lane, sums[H7], top[H7], o0[H7], o1[H7], o2[H7], o3[H7], o4[H7], o5[H7], o6[H7], o7[H7]); }
}

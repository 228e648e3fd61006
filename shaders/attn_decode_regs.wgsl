// attn_decode_regs — softmax(q · Kᵀ · scale) · V of single rows over their pages, on one quad of lanes
//
//   q         [T, H, E]                  f32    read
//   rows      [T]                        vec4u  read
//   table     [*, maxPages, stride]      vec4u  read
//   kv        [*]                        u32    read
//   partials  [M, H, splits·parts, E+2]  f32    write
//   out       [T, H, E]                  f32    write
//
// dispatch  (G, splits, M): one workgroup of 4 threads per key/value head, split of the page list and row
// cost      bytes 2·M·G·S·E·KV_BITS/8, flops 4·M·H·S·E: memory bound
// why       For adapters that run shaders on a CPU (SwiftShader): a load is four branches and four scalar loads even
//           where all lanes want one word, and whatever needs an address stays in memory. So no lane loads what
//           another has (quad swaps hand q and the weights round, and each lane meets them with row lane ^ step),
//           all R heads share what was loaded, and every sum is a named variable, spelled out by component. A shift
//           by a variable costs half a load there, and a branch not taken as much as one taken: hence the masks.

enable subgroups;

override H: u32 = 9;         // query heads
override G: u32 = 3;         // key/value heads
override KV_BITS: u32 = 16;  // 32: pages of f32, 16: of f16 pairs
const R: u32 = 3;            // H / G, at most 8
const E: u32 = 64;           // head width, a multiple of 8, at most 256

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

@group(0) @binding(0) var<storage, read> q: array<vec2f>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> kv: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const UNSEEN = -3e38;
const LOG2E = 1.4426950408889634;
const ALL = 0xffffffffu;

struct Tile {
  a: vec4f,
  b: vec4f,
}

// One Tile per query head of the group.
struct Heads {
  h0: Tile, h1: Tile, h2: Tile, h3: Tile, h4: Tile, h5: Tile, h6: Tile, h7: Tile,
}

// Bit s is set if the query at `position` sees slot s of the page.
fn seen(entry: vec4u, position: u32) -> u32 {
  if (entry.w > position || entry.z != params.part) { return 0u; }
  let newest = position - entry.w;
  let bits = select(entry.y, entry.y & ((2u << (newest % 32u)) - 1u), newest < 31u);
  if (params.window == 0u || newest < params.window) { return bits; }
  let gone = newest - params.window + 1u;
  return select(0u, bits & (0xffffffffu << (gone % 32u)), gone < 32u);
}

// Low and high halves of four words as f32.
fn opened(w: vec4u) -> Tile {
  let x = unpack2x16float(w.x);
  let y = unpack2x16float(w.y);
  let z = unpack2x16float(w.z);
  let t = unpack2x16float(w.w);
  return Tile(vec4f(x.x, y.x, z.x, t.x), vec4f(x.y, y.y, z.y, t.y));
}

// Keys 2·pair and 2·pair+1 of slots 4·quad .. 4·quad+3. `page` in vec4s.
fn keys(page: u32, pair: u32, quad: u32) -> Tile {
  if (KV_BITS == 16u) {
    return opened(kv[page + pair * 8u + quad]);
  }
  let at = page + pair * 16u + quad;
  return Tile(bitcast<vec4f>(kv[at]), bitcast<vec4f>(kv[at + 8u]));
}

// Values 8·column .. 8·column+7 of a slot: f16 even | odd, f32 first | last four; 0 unless visible = ALL.
fn values(page: u32, column: u32, slot: u32, visible: u32) -> Tile {
  if (KV_BITS == 16u) {
    return opened(kv[page + E * 4u + slot * (E / 8u) + column] & vec4u(visible));
  }
  let at = page + E * 8u + slot * (E / 4u) + 2u * column;
  return Tile(bitcast<vec4f>(kv[at] & vec4u(visible)), bitcast<vec4f>(kv[at + 1u] & vec4u(visible)));
}

// Adds to the scores of one head what four pairs of its query contribute: this lane holds pair x = lane, tile s the
// keys of pair lane ^ s.
fn meet(sum: vec4f, x: vec2f, k0: Tile, k1: Tile, k2: Tile, k3: Tile) -> vec4f {
  let y = quadSwapX(x);
  let z = quadSwapY(x);
  let w = quadSwapDiagonal(x);
  return vec4f(
    sum.x + x.x * k0.a.x + x.y * k0.b.x + y.x * k1.a.x + y.y * k1.b.x + z.x * k2.a.x + z.y * k2.b.x + w.x * k3.a.x + w.y * k3.b.x,
    sum.y + x.x * k0.a.y + x.y * k0.b.y + y.x * k1.a.y + y.y * k1.b.y + z.x * k2.a.y + z.y * k2.b.y + w.x * k3.a.y + w.y * k3.b.y,
    sum.z + x.x * k0.a.z + x.y * k0.b.z + y.x * k1.a.z + y.y * k1.b.z + z.x * k2.a.z + z.y * k2.b.z + w.x * k3.a.z + w.y * k3.b.z,
    sum.w + x.x * k0.a.w + x.y * k0.b.w + y.x * k1.a.w + y.y * k1.b.w + z.x * k2.a.w + z.y * k2.b.w + w.x * k3.a.w + w.y * k3.b.w,
  );
}

// Adds to the output of one head four slots: this lane holds the weight of slot group `lane`, tile s the values of
// slot group lane ^ s.
fn absorb(sum: Tile, x: f32, v0: Tile, v1: Tile, v2: Tile, v3: Tile) -> Tile {
  let y = quadSwapX(x);
  let z = quadSwapY(x);
  let w = quadSwapDiagonal(x);
  return Tile(
    vec4f(
      sum.a.x + x * v0.a.x + y * v1.a.x + z * v2.a.x + w * v3.a.x,
      sum.a.y + x * v0.a.y + y * v1.a.y + z * v2.a.y + w * v3.a.y,
      sum.a.z + x * v0.a.z + y * v1.a.z + z * v2.a.z + w * v3.a.z,
      sum.a.w + x * v0.a.w + y * v1.a.w + z * v2.a.w + w * v3.a.w,
    ),
    vec4f(
      sum.b.x + x * v0.b.x + y * v1.b.x + z * v2.b.x + w * v3.b.x,
      sum.b.y + x * v0.b.y + y * v1.b.y + z * v2.b.y + w * v3.b.y,
      sum.b.z + x * v0.b.z + y * v1.b.z + z * v2.b.z + w * v3.b.z,
      sum.b.w + x * v0.b.w + y * v1.b.w + z * v2.b.w + w * v3.b.w,
    ),
  );
}

// The same for all heads. `weights` are those of slots first + 4·lane.
fn absorb_heads(sums: Heads, w0: f32, w1: f32, w2: f32, w3: f32, w4: f32, w5: f32, w6: f32, w7: f32, page: u32, column: u32, first: u32, lane: u32, visible: u32) -> Heads {
  let v0 = values(page, column, first + 4u * lane, visible);
  let v1 = values(page, column, first + 4u * (lane ^ 1u), quadSwapX(visible));
  let v2 = values(page, column, first + 4u * (lane ^ 2u), quadSwapY(visible));
  let v3 = values(page, column, first + 4u * (lane ^ 3u), quadSwapDiagonal(visible));
  var next = sums;
  next.h0 = absorb(next.h0, w0, v0, v1, v2, v3);
  if (R > 1u) { next.h1 = absorb(next.h1, w1, v0, v1, v2, v3); }
  if (R > 2u) { next.h2 = absorb(next.h2, w2, v0, v1, v2, v3); }
  if (R > 3u) { next.h3 = absorb(next.h3, w3, v0, v1, v2, v3); }
  if (R > 4u) { next.h4 = absorb(next.h4, w4, v0, v1, v2, v3); }
  if (R > 5u) { next.h5 = absorb(next.h5, w5, v0, v1, v2, v3); }
  if (R > 6u) { next.h6 = absorb(next.h6, w6, v0, v1, v2, v3); }
  if (R > 7u) { next.h7 = absorb(next.h7, w7, v0, v1, v2, v3); }
  return next;
}

fn max4(x: vec4f) -> f32 {
  return max(max(x.x, x.y), max(x.z, x.w));
}

fn add4(x: vec4f) -> f32 {
  return (x.x + x.y) + (x.z + x.w);
}

// Largest of the quad's scores, or what it was before.
fn raise(top: f32, score: Tile) -> f32 {
  var best = max(max4(score.a), max4(score.b));
  best = max(best, quadSwapX(best));
  return max(top, max(best, quadSwapY(best)));
}

fn hide(score: Tile, a: vec4<bool>, b: vec4<bool>) -> Tile {
  return Tile(select(vec4f(UNSEEN), score.a, a), select(vec4f(UNSEEN), score.b, b));
}

// exp2(score − top); 0 for a row that has seen nothing, whose top and scores are all UNSEEN.
fn weigh(score: Tile, top: f32) -> Tile {
  let base = select(top, 0.0, top < -1e38);
  return Tile(exp2(score.a - base), exp2(score.b - base));
}

fn times(x: Tile, factor: f32) -> Tile {
  return Tile(x.a * factor, x.b * factor);
}

fn scaled(sums: Heads, f0: f32, f1: f32, f2: f32, f3: f32, f4: f32, f5: f32, f6: f32, f7: f32) -> Heads {
  var next = sums;
  next.h0 = times(next.h0, f0);
  if (R > 1u) { next.h1 = times(next.h1, f1); }
  if (R > 2u) { next.h2 = times(next.h2, f2); }
  if (R > 3u) { next.h3 = times(next.h3, f3); }
  if (R > 4u) { next.h4 = times(next.h4, f4); }
  if (R > 5u) { next.h5 = times(next.h5, f5); }
  if (R > 6u) { next.h6 = times(next.h6, f6); }
  if (R > 7u) { next.h7 = times(next.h7, f7); }
  return next;
}

// Values of one column, 8·column .. 8·column+7, of one head.
fn store(to: u32, column: u32, sum: Tile, direct: bool) {
  for (var i = 0u; i < 4u; i++) {
    let ea = 8u * column + select(i, 2u * i, KV_BITS == 16u);
    let eb = 8u * column + select(4u + i, 2u * i + 1u, KV_BITS == 16u);
    if (direct) {
      out[to + ea] = sum.a[i];
      out[to + eb] = sum.b[i];
    } else {
      partials[to + ea] = sum.a[i];
      partials[to + eb] = sum.b[i];
    }
  }
}

// Writes one head: its output in columns lane, lane + 4, … and, where the result is partial, max and sum.
fn finish(row: u32, m: u32, split: u32, head: u32, lane: u32, top: f32, sum: f32, t0: Tile, t1: Tile, t2: Tile, t3: Tile, t4: Tile, t5: Tile, t6: Tile, t7: Tile) {
  var total = sum + quadSwapX(sum);
  total += quadSwapY(total);
  let entries = params.splits * params.parts;
  let direct = entries == 1u;
  var to = (row * H + head) * E;
  var scale = 1.0;
  if (direct) {
    scale = select(0.0, 1.0 / total, total > 0.0);
  } else {
    to = ((m * H + head) * entries + split * params.parts + params.part) * (E + 2u);
    if (lane == 0u) {
      partials[to + E] = select(UNSEEN, top / LOG2E, top > -1e38);
      partials[to + E + 1u] = total;
    }
  }
  if (lane + 0u < E / 8u) { store(to, lane + 0u, times(t0, scale), direct); }
  if (lane + 4u < E / 8u) { store(to, lane + 4u, times(t1, scale), direct); }
  if (lane + 8u < E / 8u) { store(to, lane + 8u, times(t2, scale), direct); }
  if (lane + 12u < E / 8u) { store(to, lane + 12u, times(t3, scale), direct); }
  if (lane + 16u < E / 8u) { store(to, lane + 16u, times(t4, scale), direct); }
  if (lane + 20u < E / 8u) { store(to, lane + 20u, times(t5, scale), direct); }
  if (lane + 24u < E / 8u) { store(to, lane + 24u, times(t6, scale), direct); }
  if (lane + 28u < E / 8u) { store(to, lane + 28u, times(t7, scale), direct); }
}

@compute @workgroup_size(4)
fn attn_decode_regs(@builtin(workgroup_id) wg: vec3u, @builtin(subgroup_invocation_id) subgroup: u32) {
  let lane = subgroup & 3u;
  let row = rows[params.firstRow + wg.z];
  let head0 = wg.x * R;
  let query = ((params.firstRow + wg.z) * H + head0) * (E / 2u) + lane;
  let firstPage = wg.y * params.pagesPerSplit;
  let endPage = min(firstPage + params.pagesPerSplit, row.y / 32u + 1u);
  let entry0 = row.z * params.maxPages * params.stride + params.lane0 + wg.x;
  let factor = params.scale * LOG2E;

  var top0 = UNSEEN;
  var top1 = UNSEEN;
  var top2 = UNSEEN;
  var top3 = UNSEEN;
  var top4 = UNSEEN;
  var top5 = UNSEEN;
  var top6 = UNSEEN;
  var top7 = UNSEEN;
  var sum0 = 0.0;
  var sum1 = 0.0;
  var sum2 = 0.0;
  var sum3 = 0.0;
  var sum4 = 0.0;
  var sum5 = 0.0;
  var sum6 = 0.0;
  var sum7 = 0.0;
  var o0 = Heads();
  var o1 = Heads();
  var o2 = Heads();
  var o3 = Heads();
  var o4 = Heads();
  var o5 = Heads();
  var o6 = Heads();
  var o7 = Heads();
  for (var list = firstPage; list < endPage; list++) {
    let entry = table[entry0 + list * params.stride];
    let bits = seen(entry, row.x);
    if (bits == 0u) { continue; }
    let page = entry.x / 4u;

    // Scores of slots 4·lane + i (a) and 16 + 4·lane + i (b).
    var w0 = Tile();
    var w1 = Tile();
    var w2 = Tile();
    var w3 = Tile();
    var w4 = Tile();
    var w5 = Tile();
    var w6 = Tile();
    var w7 = Tile();
    for (var pair = 0u; pair < E / 2u; pair += 4u) {
      let a0 = keys(page, pair + lane, lane);
      let a1 = keys(page, pair + (lane ^ 1u), lane);
      let a2 = keys(page, pair + (lane ^ 2u), lane);
      let a3 = keys(page, pair + (lane ^ 3u), lane);
      let b0 = keys(page, pair + lane, lane + 4u);
      let b1 = keys(page, pair + (lane ^ 1u), lane + 4u);
      let b2 = keys(page, pair + (lane ^ 2u), lane + 4u);
      let b3 = keys(page, pair + (lane ^ 3u), lane + 4u);
      let x0 = q[query + 0u * (E / 2u) + pair] * factor;
      w0 = Tile(meet(w0.a, x0, a0, a1, a2, a3), meet(w0.b, x0, b0, b1, b2, b3));
      if (R > 1u) {
        let x1 = q[query + 1u * (E / 2u) + pair] * factor;
        w1 = Tile(meet(w1.a, x1, a0, a1, a2, a3), meet(w1.b, x1, b0, b1, b2, b3));
      }
      if (R > 2u) {
        let x2 = q[query + 2u * (E / 2u) + pair] * factor;
        w2 = Tile(meet(w2.a, x2, a0, a1, a2, a3), meet(w2.b, x2, b0, b1, b2, b3));
      }
      if (R > 3u) {
        let x3 = q[query + 3u * (E / 2u) + pair] * factor;
        w3 = Tile(meet(w3.a, x3, a0, a1, a2, a3), meet(w3.b, x3, b0, b1, b2, b3));
      }
      if (R > 4u) {
        let x4 = q[query + 4u * (E / 2u) + pair] * factor;
        w4 = Tile(meet(w4.a, x4, a0, a1, a2, a3), meet(w4.b, x4, b0, b1, b2, b3));
      }
      if (R > 5u) {
        let x5 = q[query + 5u * (E / 2u) + pair] * factor;
        w5 = Tile(meet(w5.a, x5, a0, a1, a2, a3), meet(w5.b, x5, b0, b1, b2, b3));
      }
      if (R > 6u) {
        let x6 = q[query + 6u * (E / 2u) + pair] * factor;
        w6 = Tile(meet(w6.a, x6, a0, a1, a2, a3), meet(w6.b, x6, b0, b1, b2, b3));
      }
      if (R > 7u) {
        let x7 = q[query + 7u * (E / 2u) + pair] * factor;
        w7 = Tile(meet(w7.a, x7, a0, a1, a2, a3), meet(w7.b, x7, b0, b1, b2, b3));
      }
    }

    // Weights.
    let shown = vec4u(bits) >> (vec4u(0u, 1u, 2u, 3u) + 4u * lane);
    let showA = (shown & vec4u(1u)) != vec4u();
    let showB = (shown & vec4u(65536u)) != vec4u();
    var keep0 = 1.0;
    var keep1 = 1.0;
    var keep2 = 1.0;
    var keep3 = 1.0;
    var keep4 = 1.0;
    var keep5 = 1.0;
    var keep6 = 1.0;
    var keep7 = 1.0;
    w0 = hide(w0, showA, showB);
    let new0 = raise(top0, w0);
    keep0 = exp2(top0 - new0);
    top0 = new0;
    w0 = weigh(w0, top0);
    sum0 = sum0 * keep0 + add4(w0.a) + add4(w0.b);
    if (R > 1u) {
      w1 = hide(w1, showA, showB);
      let new1 = raise(top1, w1);
      keep1 = exp2(top1 - new1);
      top1 = new1;
      w1 = weigh(w1, top1);
      sum1 = sum1 * keep1 + add4(w1.a) + add4(w1.b);
    }
    if (R > 2u) {
      w2 = hide(w2, showA, showB);
      let new2 = raise(top2, w2);
      keep2 = exp2(top2 - new2);
      top2 = new2;
      w2 = weigh(w2, top2);
      sum2 = sum2 * keep2 + add4(w2.a) + add4(w2.b);
    }
    if (R > 3u) {
      w3 = hide(w3, showA, showB);
      let new3 = raise(top3, w3);
      keep3 = exp2(top3 - new3);
      top3 = new3;
      w3 = weigh(w3, top3);
      sum3 = sum3 * keep3 + add4(w3.a) + add4(w3.b);
    }
    if (R > 4u) {
      w4 = hide(w4, showA, showB);
      let new4 = raise(top4, w4);
      keep4 = exp2(top4 - new4);
      top4 = new4;
      w4 = weigh(w4, top4);
      sum4 = sum4 * keep4 + add4(w4.a) + add4(w4.b);
    }
    if (R > 5u) {
      w5 = hide(w5, showA, showB);
      let new5 = raise(top5, w5);
      keep5 = exp2(top5 - new5);
      top5 = new5;
      w5 = weigh(w5, top5);
      sum5 = sum5 * keep5 + add4(w5.a) + add4(w5.b);
    }
    if (R > 6u) {
      w6 = hide(w6, showA, showB);
      let new6 = raise(top6, w6);
      keep6 = exp2(top6 - new6);
      top6 = new6;
      w6 = weigh(w6, top6);
      sum6 = sum6 * keep6 + add4(w6.a) + add4(w6.b);
    }
    if (R > 7u) {
      w7 = hide(w7, showA, showB);
      let new7 = raise(top7, w7);
      keep7 = exp2(top7 - new7);
      top7 = new7;
      w7 = weigh(w7, top7);
      sum7 = sum7 * keep7 + add4(w7.a) + add4(w7.b);
    }
    o0 = scaled(o0, keep0, keep1, keep2, keep3, keep4, keep5, keep6, keep7);
    if (E > 32u) { o1 = scaled(o1, keep0, keep1, keep2, keep3, keep4, keep5, keep6, keep7); }
    if (E > 64u) { o2 = scaled(o2, keep0, keep1, keep2, keep3, keep4, keep5, keep6, keep7); }
    if (E > 96u) { o3 = scaled(o3, keep0, keep1, keep2, keep3, keep4, keep5, keep6, keep7); }
    if (E > 128u) { o4 = scaled(o4, keep0, keep1, keep2, keep3, keep4, keep5, keep6, keep7); }
    if (E > 160u) { o5 = scaled(o5, keep0, keep1, keep2, keep3, keep4, keep5, keep6, keep7); }
    if (E > 192u) { o6 = scaled(o6, keep0, keep1, keep2, keep3, keep4, keep5, keep6, keep7); }
    if (E > 224u) { o7 = scaled(o7, keep0, keep1, keep2, keep3, keep4, keep5, keep6, keep7); }

    var shownA = select(vec4u(), vec4u(ALL), showA);
    var shownB = select(vec4u(), vec4u(ALL), showB);
    // Values, one slot of each group of four at a time; the weights rotate so that the next one is .x.
    for (var i = 0u; i < 4u; i++) {
      let c0 = min(lane + 0u, E / 8u - 1u); o0 = absorb_heads(o0, w0.a.x, w1.a.x, w2.a.x, w3.a.x, w4.a.x, w5.a.x, w6.a.x, w7.a.x, page, c0, i, lane, shownA.x); o0 = absorb_heads(o0, w0.b.x, w1.b.x, w2.b.x, w3.b.x, w4.b.x, w5.b.x, w6.b.x, w7.b.x, page, c0, i + 16u, lane, shownB.x);
      if (E > 32u) { let c1 = min(lane + 4u, E / 8u - 1u); o1 = absorb_heads(o1, w0.a.x, w1.a.x, w2.a.x, w3.a.x, w4.a.x, w5.a.x, w6.a.x, w7.a.x, page, c1, i, lane, shownA.x); o1 = absorb_heads(o1, w0.b.x, w1.b.x, w2.b.x, w3.b.x, w4.b.x, w5.b.x, w6.b.x, w7.b.x, page, c1, i + 16u, lane, shownB.x); }
      if (E > 64u) { let c2 = min(lane + 8u, E / 8u - 1u); o2 = absorb_heads(o2, w0.a.x, w1.a.x, w2.a.x, w3.a.x, w4.a.x, w5.a.x, w6.a.x, w7.a.x, page, c2, i, lane, shownA.x); o2 = absorb_heads(o2, w0.b.x, w1.b.x, w2.b.x, w3.b.x, w4.b.x, w5.b.x, w6.b.x, w7.b.x, page, c2, i + 16u, lane, shownB.x); }
      if (E > 96u) { let c3 = min(lane + 12u, E / 8u - 1u); o3 = absorb_heads(o3, w0.a.x, w1.a.x, w2.a.x, w3.a.x, w4.a.x, w5.a.x, w6.a.x, w7.a.x, page, c3, i, lane, shownA.x); o3 = absorb_heads(o3, w0.b.x, w1.b.x, w2.b.x, w3.b.x, w4.b.x, w5.b.x, w6.b.x, w7.b.x, page, c3, i + 16u, lane, shownB.x); }
      if (E > 128u) { let c4 = min(lane + 16u, E / 8u - 1u); o4 = absorb_heads(o4, w0.a.x, w1.a.x, w2.a.x, w3.a.x, w4.a.x, w5.a.x, w6.a.x, w7.a.x, page, c4, i, lane, shownA.x); o4 = absorb_heads(o4, w0.b.x, w1.b.x, w2.b.x, w3.b.x, w4.b.x, w5.b.x, w6.b.x, w7.b.x, page, c4, i + 16u, lane, shownB.x); }
      if (E > 160u) { let c5 = min(lane + 20u, E / 8u - 1u); o5 = absorb_heads(o5, w0.a.x, w1.a.x, w2.a.x, w3.a.x, w4.a.x, w5.a.x, w6.a.x, w7.a.x, page, c5, i, lane, shownA.x); o5 = absorb_heads(o5, w0.b.x, w1.b.x, w2.b.x, w3.b.x, w4.b.x, w5.b.x, w6.b.x, w7.b.x, page, c5, i + 16u, lane, shownB.x); }
      if (E > 192u) { let c6 = min(lane + 24u, E / 8u - 1u); o6 = absorb_heads(o6, w0.a.x, w1.a.x, w2.a.x, w3.a.x, w4.a.x, w5.a.x, w6.a.x, w7.a.x, page, c6, i, lane, shownA.x); o6 = absorb_heads(o6, w0.b.x, w1.b.x, w2.b.x, w3.b.x, w4.b.x, w5.b.x, w6.b.x, w7.b.x, page, c6, i + 16u, lane, shownB.x); }
      if (E > 224u) { let c7 = min(lane + 28u, E / 8u - 1u); o7 = absorb_heads(o7, w0.a.x, w1.a.x, w2.a.x, w3.a.x, w4.a.x, w5.a.x, w6.a.x, w7.a.x, page, c7, i, lane, shownA.x); o7 = absorb_heads(o7, w0.b.x, w1.b.x, w2.b.x, w3.b.x, w4.b.x, w5.b.x, w6.b.x, w7.b.x, page, c7, i + 16u, lane, shownB.x); }
      w0 = Tile(w0.a.yzwx, w0.b.yzwx);
      if (R > 1u) { w1 = Tile(w1.a.yzwx, w1.b.yzwx); }
      if (R > 2u) { w2 = Tile(w2.a.yzwx, w2.b.yzwx); }
      if (R > 3u) { w3 = Tile(w3.a.yzwx, w3.b.yzwx); }
      if (R > 4u) { w4 = Tile(w4.a.yzwx, w4.b.yzwx); }
      if (R > 5u) { w5 = Tile(w5.a.yzwx, w5.b.yzwx); }
      if (R > 6u) { w6 = Tile(w6.a.yzwx, w6.b.yzwx); }
      if (R > 7u) { w7 = Tile(w7.a.yzwx, w7.b.yzwx); }
      shownA = shownA.yzwx;
      shownB = shownB.yzwx;
    }
  }

  finish(params.firstRow + wg.z, wg.z, wg.y, head0 + 0u, lane, top0, sum0, o0.h0, o1.h0, o2.h0, o3.h0, o4.h0, o5.h0, o6.h0, o7.h0);
  if (R > 1u) { finish(params.firstRow + wg.z, wg.z, wg.y, head0 + 1u, lane, top1, sum1, o0.h1, o1.h1, o2.h1, o3.h1, o4.h1, o5.h1, o6.h1, o7.h1); }
  if (R > 2u) { finish(params.firstRow + wg.z, wg.z, wg.y, head0 + 2u, lane, top2, sum2, o0.h2, o1.h2, o2.h2, o3.h2, o4.h2, o5.h2, o6.h2, o7.h2); }
  if (R > 3u) { finish(params.firstRow + wg.z, wg.z, wg.y, head0 + 3u, lane, top3, sum3, o0.h3, o1.h3, o2.h3, o3.h3, o4.h3, o5.h3, o6.h3, o7.h3); }
  if (R > 4u) { finish(params.firstRow + wg.z, wg.z, wg.y, head0 + 4u, lane, top4, sum4, o0.h4, o1.h4, o2.h4, o3.h4, o4.h4, o5.h4, o6.h4, o7.h4); }
  if (R > 5u) { finish(params.firstRow + wg.z, wg.z, wg.y, head0 + 5u, lane, top5, sum5, o0.h5, o1.h5, o2.h5, o3.h5, o4.h5, o5.h5, o6.h5, o7.h5); }
  if (R > 6u) { finish(params.firstRow + wg.z, wg.z, wg.y, head0 + 6u, lane, top6, sum6, o0.h6, o1.h6, o2.h6, o3.h6, o4.h6, o5.h6, o6.h6, o7.h6); }
  if (R > 7u) { finish(params.firstRow + wg.z, wg.z, wg.y, head0 + 7u, lane, top7, sum7, o0.h7, o1.h7, o2.h7, o3.h7, o4.h7, o5.h7, o6.h7, o7.h7); }
}

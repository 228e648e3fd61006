import { window_score } from "../../../src/gpu/kernels.gen.ts";
import { ATTENTION_CASES } from "../attn_case.ts";
import { floats, pick, spec } from "../spec.ts";
import { commonParams, counted, drawWindow, keysOf, SCORE_ULPS } from "./window_case.ts";

/** (largest, sum) of each query over its keys, in two parts, and what pages of other arenas add. */
function drawSums(drawn: ReturnType<typeof drawWindow>, entries: number) {
  const { uniform, cache, G, W, R } = drawn;
  const sums = new Float32Array(G * W * R * entries * 2);
  const totals = Array.from({ length: G * W * R }, (_, index) => {
    const keys = keysOf(drawn, Math.floor(index / (W * R)), index % (W * R));
    const shares = Array.from({ length: entries }, () => [Math.fround(4 * uniform() - 2), Math.fround(3 * uniform())]);
    const split = Math.floor(uniform() * (keys.length + 1));
    for (const [i, some] of [keys.slice(0, split), keys.slice(split)].entries()) {
      const top = some.reduce((most, { score }) => Math.max(most, score), Math.fround(-3e38));
      shares[i] = [Math.fround(top), Math.fround(some.reduce((sum, { score }) => sum + Math.exp(score - top), 0))];
    }
    for (const [i, share] of shares.entries()) sums.set(share, (index * entries + i) * 2);
    const top = Math.max(...shares.map(([largest]) => largest!));
    return { top, sum: shares.reduce((sum, [largest, part]) => sum + part! * Math.exp(largest! - top), 0) };
  });
  return { cache, sums, totals };
}

function make(seed: number, tiny = false) {
  const drawn = drawWindow(seed, tiny);
  const { uniform, cache, H, G, E, KV_BITS, R, W, q, rows, pages, WG } = drawn;
  const entries = pick(uniform, [2, 3, 5]);
  const { sums, totals } = drawSums(drawn, entries);
  const MOST = Number(E % 16 === 0); // one per shape: each compiles for seconds
  const joins = pick(uniform, [0, 2, 99]);
  const [first, scored] = [pick(uniform, [0, 2]), tiny ? cache.longest : 1 + Math.floor(uniform() * cache.longest)];
  const stride = 32 * (counted(drawn, scored - 1) + 1) + pick(uniform, [0, 32]);
  const scores = floats(uniform, (first + G) * stride, 1);
  const want = new Float64Array(scores.length).fill(Number.NaN);
  for (let group = 0; group < G; group++) {
    const at = (index: number, slot: number) => (first + group) * stride + 32 * index + slot;
    for (const index of ourPages(drawn, group, scored))
      for (let slot = 0; slot < 32; slot++)
        want[at(index, slot)] = index < joins ? Math.max(MOST ? 0 : -Infinity, scores[at(index, slot)]!) : 0;
    for (let i = 0; i < W * R; i++) {
      const { top, sum } = totals[group * W * R + i]!;
      for (const { score, index, slot } of keysOf(drawn, group, i, 0, scored)) {
        const [weight, before] = [Math.exp(score - top) / sum, want[at(index, slot)]!];
        want[at(index, slot)] = MOST ? Math.max(before, weight) : before + weight / R;
      }
    }
  }
  return {
    label: `W ${W} H ${H} G ${G} E ${E} bits ${KV_BITS} pages ${scored} of ${pages} entries ${entries} joins ${joins} most ${MOST} window ${cache.window} WG ${WG}`,
    constants: { WG, E, KV_BITS, H, R, MOST },
    params: { ...commonParams(drawn), entries, first, stride, joins },
    grid: [G, scored, 1] as const,
    buffers: { q, rows, table: cache.table, kv: cache.kv, sums, scores },
    want: { scores: want },
    terms: W * R,
    ulps: SCORE_ULPS,
    magnitude: W, // each of W·R weights is at most 1
  };
}

/** Entries of the first `end` pages of a list that count, as far as they lie in the arena under test. */
function ourPages(drawn: ReturnType<typeof drawWindow>, group: number, end: number): number[] {
  const { cache, row, pages } = drawn;
  const entry = (at: number) => ((row * cache.listLength + at) * cache.columns + cache.column + group) * 4;
  const [kept, liveFrom] = cache.table.subarray(entry(0));
  const listed = pages + kept! - liveFrom!;
  const place = (i: number) => 1 + (i < kept! ? i : i - kept! + liveFrom!);
  return Array.from({ length: end }, (_, i) => counted(drawn, i)).filter(
    (i) => i < listed && cache.table[entry(place(i)) + 2] === cache.arena,
  );
}

export default spec({
  kernel: window_score,
  ...ATTENTION_CASES,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["sees the future", "seen(entry, position[j])", "seen(entry, position[QUERIES - 1u])"],
    ["the last query again", "select(0.0, 1.0 / whole.y, params.queries > done + i)", "1.0 / whole.y"],
    ["only a part of the softmax", "part < params.entries; part++", "part < 1u; part++"],
    ["sum over query heads", "total /= f32(R)", "total /= 1.0"],
    ["the first layer only", "page < params.joins", "page > params.joins"],
    ["pages that do not count", "let page = counted(wg.y)", "let page = wg.y"],
    ["sums of weights for the largest", "if (MOST) { return max(a, b); }", ""],
    [
      "the largest of half of the queries",
      "total = both(total, parts[8u * i + local])",
      "total = select(both(total, parts[8u * i + local]), total, MOST)",
    ],
    ["the largest over query heads divided", "if (!MOST) { total", "{ total"],
  ],
});

import { window_sums } from "../../../src/gpu/kernels.gen.ts";
import { ATTENTION_CASES } from "../attn_case.ts";
import { pick, spec } from "../spec.ts";
import { commonParams, drawWindow, keysOf, SCORE_ULPS } from "./window_case.ts";

function make(seed: number, tiny = false) {
  const drawn = drawWindow(seed, tiny);
  const { uniform, cache, H, G, E, KV_BITS, R, W, q, rows, pages, WG } = drawn;
  const queries = W * R;
  const pagesPerSplit = pick(uniform, [1, 2, pages]);
  const splits = Math.ceil(cache.longest / pagesPerSplit) + pick(uniform, [0, 1]);
  const [before, after] = [pick(uniform, [0, 2]), pick(uniform, [0, 1])];
  const entries = before + splits + after;
  const want = new Float64Array(G * queries * entries * 2).fill(Number.NaN);
  let magnitude = 1;
  for (let group = 0; group < G; group++) {
    for (let i = 0; i < queries; i++) {
      for (let split = 0; split < splits; split++) {
        const keys = keysOf(drawn, group, i, split * pagesPerSplit, (split + 1) * pagesPerSplit);
        const top = keys.reduce((most, { score }) => Math.max(most, score), Math.fround(-3e38));
        const sum = keys.reduce((total, { score }) => total + Math.exp(score - top), 0);
        want.set([top, sum], ((group * queries + i) * entries + before + split) * 2);
        if (keys.length > 0) magnitude = Math.max(magnitude, sum, Math.abs(top));
      }
    }
  }
  return {
    label: `W ${W} H ${H} G ${G} E ${E} bits ${KV_BITS} pages ${pages} splits ${splits}×${pagesPerSplit} window ${cache.window} WG ${WG}`,
    constants: { WG, E, KV_BITS, H, R },
    params: { ...commonParams(drawn), pagesPerSplit, entries, entry: before },
    grid: [G, splits, Math.ceil(queries / (2 * WG))] as const,
    buffers: { q, rows, table: cache.table, kv: cache.kv, sums: new Float32Array(want.length).fill(7) },
    want: { sums: want },
    terms: 200,
    ulps: SCORE_ULPS,
    magnitude,
  };
}

export default spec({
  kernel: window_sums,
  ...ATTENTION_CASES,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["sees the future", "seen(entry, position[j])", "seen(entry, position[QUERIES - 1u])"],
    ["forgets to rescale", "known.y * exp(known.x - top)", "known.y"],
    ["pages that do not count", "let page = counted(i)", "let page = i"],
    ["another query head", "wg.x * R + i % R", "wg.x * R"],
  ],
});

import { window_density } from "../../../src/gpu/kernels.gen.ts";
import { ATTENTION_CASES } from "../attn_case.ts";
import { pick, spec } from "../spec.ts";
import { commonParams, drawWindow, keysOf } from "./window_case.ts";

type Drawn = ReturnType<typeof drawWindow>;

/** Every page counts. */
const NO_GAPS = { gapAt: 0, gap: 0, endAt: 0, endGap: 0 };

/** Scores of f32 err by far less than this: a threshold that keeps this distance from all of them is no matter of rounding. */
const CLEAR = 1e-3;

/** The largest score of a query, given so that the threshold below it lies clear of all its scores. */
function topFor(scores: readonly number[], log: number): number {
  let top = scores.length === 0 ? 0 : Math.max(...scores);
  const isClose = () => scores.some((score) => Math.abs(score - top - log) < CLEAR);
  while (isClose()) top += CLEAR;
  return Math.fround(top);
}

function make(seed: number, tiny = false) {
  const drawn = { ...drawWindow(seed, tiny), gaps: NO_GAPS };
  const { uniform, cache, H, G, E, KV_BITS, R, W, q, rows, pages, WG } = drawn;
  const log = Math.fround(Math.log(pick(uniform, [0.01, 0.1, 0.7])));
  const entries = pick(uniform, [1, 2, 5]);
  const [first, listed] = [pick(uniform, [0, 2]), cache.longest];
  const stride = listed + pick(uniform, [0, 3]);
  const sums = new Float32Array(G * W * R * entries * 2);
  const counts = new Uint32Array((first + G) * stride).fill(7);
  const want = counts.slice();
  for (let group = 0; group < G; group++) {
    const ours = pagesOf(drawn, group);
    for (const page of ours) want[(first + group) * stride + page] = 0;
    for (let i = 0; i < W * R; i++) {
      const keys = keysOf(drawn, group, i);
      const top = topFor(
        keys.map(({ score }) => score),
        log,
      );
      const at = (group * W * R + i) * entries;
      const own = Math.floor(uniform() * entries); // the largest is in one of the parts
      for (let part = 0; part < entries; part++)
        sums.set([part === own ? top : top - 1 - uniform(), 1], (at + part) * 2);
      for (const { score, index } of keys) if (score >= top + log) want[(first + group) * stride + index]!++;
    }
  }
  return {
    label: `W ${W} H ${H} G ${G} E ${E} bits ${KV_BITS} pages ${pages} entries ${entries} log ${log} WG ${WG}`,
    constants: { WG, E, KV_BITS, H, R },
    params: { ...commonParams(drawn), entries, first, stride, log },
    grid: [G, listed, 1] as const,
    buffers: { q, rows, table: cache.table, kv: cache.kv, sums, counts },
    want: { counts: want },
    terms: 1,
  };
}

/** Entries of a list whose pages lie in the arena under test. */
function pagesOf({ cache, row, pages }: Drawn, group: number): number[] {
  const entry = (at: number) => ((row * cache.listLength + at) * cache.columns + cache.column + group) * 4;
  const [kept, liveFrom] = cache.table.subarray(entry(0));
  const place = (i: number) => 1 + (i < kept! ? i : i - kept! + liveFrom!);
  const listed = Math.min(cache.longest, pages + kept! - liveFrom!);
  return Array.from({ length: listed }, (_, i) => i).filter((i) => cache.table[entry(place(i)) + 2] === cache.arena);
}

export default spec({
  kernel: window_density,
  ...ATTENTION_CASES,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["sees the future", "seen(entry, position[j])", "seen(entry, position[QUERIES - 1u])"],
    ["the last query again", "select(3e38, top + params.log, done + i < params.queries)", "top + params.log"],
    ["one part of the largest", "part < params.entries; part++", "part < 1u; part++"],
    ["half of the slots", "four_counted(products[2u * j + 1u], threshold, bits >> 4u)", "0u"],
  ],
});

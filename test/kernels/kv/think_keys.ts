import { think_keys } from "../../../src/gpu/kernels.gen.ts";
import { ATTENTION_CASES, get, makeCache, shapeOf } from "../attn_case.ts";
import { pick, random, spec } from "../spec.ts";

/** Two sequences; one of them is a prompt that has just ended. */
function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [, G, E, KV_BITS] = tiny ? ([1, 1, 8, 16] as const) : shapeOf(seed);
  const slots = Array.from({ length: tiny ? 1 : 2 }, () =>
    tiny ? 34 : pick(uniform, [1, 12, 31, 32, 33, 64, 97, 200]),
  );
  const cache = makeCache(uniform, { H: G, G, E, KV_BITS }, slots);
  const { listLength, columns, column, arena, table } = cache;
  const row = tiny ? 0 : pick(uniform, [0, 1]);
  const { position, cacheIndex } = cache.ends[row]!;
  const [pages, tokens] = [Math.floor(cacheIndex / 32) + 1, position + 1];
  const at = (i: number, g: number) =>
    table.subarray(((row * listLength + i) * columns + column + g) * 4).subarray(0, 4);
  const pagesPerSplit = pick(uniform, [1, 2, cache.longest]);
  const splits = Math.ceil(cache.longest / pagesPerSplit) + pick(uniform, [0, 1]);
  const [before, after] = [pick(uniform, [0, 2]), pick(uniform, [0, 1])];
  const entries = before + splits + after;
  const want = new Float64Array(G * entries * E).fill(NaN);
  for (let g = 0; g < G; g++) {
    const [kept, liveFrom] = at(0, g) as unknown as [number, number];
    const listed = kept + pages - liveFrom;
    for (let split = 0; split < splits; split++) {
      const sums = new Float64Array(E);
      for (let i = split * pagesPerSplit; i < Math.min((split + 1) * pagesPerSplit, listed); i++) {
        const [page, mask, own, base] = at(1 + (i < kept ? i : i - kept + liveFrom), g) as unknown as number[];
        if (own !== arena) continue;
        for (let slot = 0; slot < 32; slot++) {
          if (((mask! >>> slot) & 1) === 0 || base! + slot >= tokens) continue;
          for (let e = 0; e < E; e++) sums[e]! += get(cache, page!, "k", slot, e) ** 2;
        }
      }
      want.set(sums, (g * entries + before + split) * E);
    }
  }
  return {
    label: `G ${G} E ${E} bits ${KV_BITS} tokens ${tokens} splits ${splits}×${pagesPerSplit}`,
    constants: { WG: tiny ? 16 : 64, E, KV_BITS },
    params: { listLength, columns, column, row, arena, pages, tokens, pagesPerSplit, entries, entry: before },
    grid: [G, splits, 1] as const,
    buffers: { table, kv: cache.kv, sums: new Float32Array(want.length).fill(7) },
    want: { sums: want },
    terms: 200,
  };
}

export default spec({
  kernel: think_keys,
  ...ATTENTION_CASES,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["reads what nobody wrote", " || entry.w + slot >= params.tokens", ""],
    ["does not square", "sum += x * x", "sum += x"],
    [
      "loses slots",
      "for (var i = 1u; i < SLOTS; i++) { sum += parts",
      "for (var i = 2u; i < SLOTS; i++) { sum += parts",
    ],
  ],
});

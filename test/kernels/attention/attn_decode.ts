import { attn_decode } from "../../../src/gpu/kernels.gen.ts";
import { ATTENTION_CASES, type Cache, drawPlaces, expectAttention, makeCache, shapeOf } from "../attn_case.ts";
import { floats, pick, random, spec } from "../spec.ts";

/**
 * A decode step of M rows, each its own sequence; also the cases of attn_decode_sg and attn_decode_regs. `encode` may change
 * what is cached and returns the arena that the kernel is to read, pages in the same places.
 */
export function decodeCase(
  seed: number,
  tiny = false,
  [H, G, E, KV_BITS]: readonly [number, number, number, number] = tiny ? [2, 1, 8, 16] : shapeOf(seed),
  encode = ({ kv }: Cache): Uint32Array => kv,
) {
  const uniform = random(seed);
  const M = tiny ? 1 : pick(uniform, [1, 1, 2, 3]);
  const lengths = tiny ? [35] : [1, 2, 31, 32, 33, 64, 65, 97, 150, 200];
  const cache = makeCache(
    uniform,
    { H, G, E, KV_BITS },
    Array.from({ length: M }, () => pick(uniform, lengths)),
  );
  const kv = encode(cache);
  const firstRow = pick(uniform, [0, 0, 2]);
  const rows = new Uint32Array((firstRow + M + 1) * 4).fill(0xffffff00);
  cache.ends.forEach(({ position, cacheIndex }, m) => rows.set([position, cacheIndex, m, 0], (firstRow + m) * 4));
  const q = floats(uniform, (firstRow + M + 1) * H * E, 2);
  const pagesPerSplit = pick(uniform, [1, 2, 3, cache.longest]);
  const splits = Math.ceil(cache.longest / pagesPerSplit) + pick(uniform, [0, 0, 1]);
  const places = drawPlaces(uniform, splits, pagesPerSplit);
  const { largestSum, ...want } = expectAttention(cache, q, rows, firstRow, M, places);
  const { table, listLength, columns, column, arena, window } = cache;
  const { entries, entry } = places;
  return {
    label: `M ${M} H ${H} G ${G} E ${E} bits ${KV_BITS} window ${window} arena ${arena} splits ${splits}×${pagesPerSplit} at ${entry}/${entries}`,
    constants: { H, G, E, KV_BITS, R: H / G },
    params: { firstRow, listLength, columns, column, arena, entries, entry, pagesPerSplit, window, scale: 1 / Math.sqrt(E) }, // prettier-ignore
    grid: [G, splits, M] as const,
    buffers: {
      q,
      rows,
      table,
      kv, // prettier-ignore
      partials: new Float32Array(want.partials.length).fill(7),
      out: new Float32Array(want.out.length).fill(7),
    },
    want,
    terms: 200,
    ulps: 200, // a score of ±E carries √E·|score|·2⁻²⁴ into its exponential
    magnitude: largestSum,
  };
}

function make(seed: number, tiny = false) {
  const base = decodeCase(seed, tiny);
  const { H, E, KV_BITS } = base.constants;
  // One of each per shape: each compiles for seconds on a software adapter.
  const WG = tiny ? 8 : ([32, 64, 128].find((size) => size >= ((E * KV_BITS) / 32) * (1 + (H % 2))) ?? 128);
  const PAGES = tiny ? 1 : (H % 3) + 1;
  return { ...base, label: `${base.label} WG ${WG} PAGES ${PAGES}`, constants: { ...base.constants, WG, PAGES } };
}

export default spec({
  kernel: attn_decode,
  ...ATTENTION_CASES,
  make: (seed) => make(seed),
  race: () => make(4, true),
  mutants: [
    ["window off by one", "params.window + 1u", "params.window"],
    ["reads hidden values", "if (((bits >> slot) & 1u) == 0u) { continue; }", ""],
    ["forgets to rescale", "acc[h * PAIRS + i] *= keep;", "", 1],
  ],
});

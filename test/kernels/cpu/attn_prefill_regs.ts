import { attn_prefill_regs } from "../../../src/gpu/kernels.gen.ts";
import { ATTENTION_CASES, drawPlaces, expectAttention, makeCache, shapeOf } from "../attn_case.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** A chunk of `count` rows at the end of a sequence; also the cases of attn_prefill_tile. */
export function prefillCase(seed: number, tiny = false) {
  const uniform = random(seed);
  const [H, G, E, KV_BITS] = tiny ? ([1, 1, 8, 16] as const) : shapeOf(seed);
  const count = tiny ? 3 : pick(uniform, [1, 3, 4, 5, 15, 16, 17, 31, 33, 50]);
  const history = tiny ? 31 : pick(uniform, [0, 0, 1, 31, 32, 40, 64, 130]);
  const cache = makeCache(uniform, { H, G, E, KV_BITS }, [pick(uniform, [1, 40]), history + count], count);
  const firstRow = pick(uniform, [0, 2]);
  const rows = new Uint32Array((firstRow + count + 1) * 4).fill(0xffffff00);
  const { position, cacheIndex } = cache.ends[1]!;
  for (let i = 0; i < count; i++) {
    const back = count - 1 - i;
    rows.set([position - back, cacheIndex - back, 1, 0], (firstRow + i) * 4);
  }
  const q = floats(uniform, (firstRow + count + 1) * H * E, 2);
  const places = drawPlaces(uniform, 1, cache.longest);
  const { largestSum, ...want } = expectAttention(cache, q, rows, firstRow, count, places);
  const { table, kv, listLength, columns, column, arena, window } = cache;
  const { entries, entry } = places;
  return {
    label: `count ${count} history ${history} H ${H} G ${G} E ${E} bits ${KV_BITS} window ${window} arena ${arena} at ${entry}/${entries}`,
    constants: { H, G, E, KV_BITS },
    params: { firstRow, count, listLength, columns, column, arena, entries, entry, window, scale: 1 / Math.sqrt(E) },
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

function make(seed: number) {
  const base = prefillCase(seed);
  return { ...base, grid: [Math.ceil(base.params.count / 16), base.constants.H, 1] as const };
}

export default spec({
  kernel: attn_prefill_regs,
  ...ATTENTION_CASES,
  make,
  race: "wgsl_reflect does not run quad functions; the kernel shares no memory between invocations",
  mutants: [
    ["sees the future", "age >= vec4f()", "age >= vec4f(-1.0)"],
    ["reads unwritten values", "f32(lastPosition)", "f32(lastPosition + 1u)"],
    ["forgets to rescale", "sums[r] * soft[r].keep", "sums[r] * select(soft[r].keep, 1.0, r == 3u)"],
  ],
});

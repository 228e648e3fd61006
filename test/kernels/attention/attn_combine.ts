import { attn_combine } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** [H, E, WG, COLUMNS, BATCH]: few, since SwiftShader compiles a store for each float of workgroup memory. */
const SHAPES = [
  [9, 64, 4, 4, 4],
  [3, 80, 64, 16, 8],
  [1, 8, 32, 16, 3],
  [3, 48, 16, 4, 1],
  [2, 256, 64, 16, 8],
] as const;

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [H, E, WG, COLUMNS, BATCH] = tiny ? ([2, 10, 8, 4, 2] as const) : SHAPES[seed % SHAPES.length]!;
  const M = tiny ? 1 : pick(uniform, [1, 2, 5]);
  const entries = tiny ? 2 : pick(uniform, [2, 3, 8, 17, 64, 130]);
  const firstRow = pick(uniform, [0, 1]);
  const partials = floats(uniform, M * H * entries * (E + 2), 3);
  const out = new Float32Array((firstRow + M + 1) * H * E).fill(7);
  const want = new Float64Array(out.length).fill(Number.NaN);
  for (let head = 0; head < M * H; head++) {
    const blind = uniform() < 0.1; // no entry saw a key
    const all = Array.from({ length: entries }, (_, i) => {
      const entry = partials.subarray((head * entries + i) * (E + 2), (head * entries + i + 1) * (E + 2));
      entry[E] = floats(uniform, 1, pick(uniform, [1, 30]))[0]!;
      entry[E + 1] = Math.fround(1 + 3 * uniform());
      if (blind || uniform() < 0.2) entry.fill(0).set([-3e38, 0], E);
      return entry;
    });
    const max = Math.max(...all.map((entry) => entry[E]!));
    const weights = all.map((entry) => Math.exp(entry[E]! - max));
    const sum = all.reduce((total, entry, i) => total + weights[i]! * entry[E + 1]!, 0);
    for (let e = 0; e < E; e++) {
      const acc = all.reduce((total, entry, i) => total + weights[i]! * entry[e]!, 0);
      want[(firstRow * H + head) * E + e] = sum > 0 ? acc / sum : 0;
    }
  }
  return {
    label: `M ${M} H ${H} E ${E} entries ${entries} WG ${WG}/${COLUMNS}`,
    constants: { WG, COLUMNS, BATCH, H, E },
    params: { firstRow, entries },
    grid: [H, M, tiny ? 2 : pick(uniform, [1, Math.ceil(E / COLUMNS)])] as const,
    buffers: { partials, out },
    want: { out: want },
    terms: entries,
    ulps: 160, // exp(x) is right to 3 + 2|x| ULP, |x| ≤ 60
    magnitude: 3,
  };
}

export default spec({
  kernel: attn_combine,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["maxima ignored", "let factors = exp(vec2f(a.y, b.y) - top);", "let factors = vec2f(1.0);"],
    ["NaN where nothing was seen", "select(0.0, 1.0 / all.z, all.z > 0.0)", "1.0 / all.z"],
    ["the last entry more than once", "select(-3e38, partials[entry + E], i < params.entries)", "partials[entry + E]"],
    ["first row forgotten", "(params.firstRow + wg.y)", "(wg.y)"],
  ],
});

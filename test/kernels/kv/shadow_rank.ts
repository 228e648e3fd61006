import { shadow_rank } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

const NEVER = Math.fround(-3e38);

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [G, R] = tiny ? ([2, 2] as const) : ([[3, 3], [1, 1], [2, 7]] as const)[seed % 3]!; // prettier-ignore
  const WG = tiny ? 4 : [16, 64][Math.floor(seed / 3) % 2]!;
  const rows = tiny ? 1 : pick(uniform, [1, 2]);
  const span = tiny ? 5 : pick(uniform, [1, 15, 64, 65, 500]);
  const stride = span + pick(uniform, [0, 3]);
  const scale = pick(uniform, [0.1, 5, 60]);
  const products = floats(uniform, rows * G * R * stride, scale);
  const want = new Float64Array(rows * G * stride).fill(Number.NaN);
  const lost = uniform() < 0.2;
  for (let list = 0; list < rows * G; list++) {
    const gone = Array.from({ length: span }, () => lost || uniform() < 0.2);
    const best = new Float64Array(span).fill(NEVER);
    for (let h = 0; h < R; h++) {
      const own = products.subarray((list * R + h) * stride, (list * R + h) * stride + span);
      for (let n = 0; n < span; n++) if (gone[n]) own[n] = NEVER;
      const seen = [...own].filter((product) => product > -1e38);
      const top = Math.max(...seen);
      const sum = Math.log(seen.reduce((total, product) => total + Math.exp(product - top), 0));
      for (let n = 0; n < span; n++) if (!gone[n]) best[n] = Math.max(best[n]!, own[n]! - top - sum);
    }
    want.set(best, list * stride);
  }
  return {
    label: `${rows} rows, ${G}×${R} heads, ${span} chunks, ±${scale}, WG ${WG}`,
    constants: { WG, G, R },
    params: { span, stride },
    grid: [G, rows, 1] as const,
    buffers: { products, ranks: new Float32Array(want.length).fill(Number.NaN) },
    want: { ranks: want },
    terms: span,
    ulps: 32,
    magnitude: 2 * scale + 8,
  };
}

export default spec({
  kernel: shadow_rank,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(0, true),
  mutants: [
    ["weights not compared", "product - logs[h]", "product"],
    [
      "the first head only",
      "for (var h = 0u; h < R; h++) {\n      let product",
      "for (var h = 0u; h < 1u; h++) {\n      let product",
    ],
    ["the largest product alone", "all.x + log(max(all.y, 1.0))", "all.x"],
    ["chunks that may not be chosen", "if (product > -1e38) { best", "if (true) { best"],
  ],
});

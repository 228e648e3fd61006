import { sample_merge } from "../../../src/gpu/kernels.gen.ts";
import { NONE, packSettings, plain } from "../sample_reference.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** The f32 whose bits are `word`: how a token looks in a buffer judged as floats. */
const asFloat = (word: number): number => new Float32Array(Uint32Array.of(word).buffer)[0]!;

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : seed < 32 ? 32 : 64;
  const N = tiny ? 6 : pick(uniform, [1, 2, WG - 1, WG, WG + 1, 149]);
  const M = tiny ? 2 : pick(uniform, [1, 2, 5]);
  const V = pick(uniform, [1, 7, 1000]);
  const scale = pick(uniform, [1e-4, 1, 20, 100]);
  const logits = floats(uniform, M * V, scale);
  const slices = floats(uniform, M * N * 4, scale);
  const picks = Uint32Array.from({ length: M }, () => Math.floor(uniform() * V));
  const sequences = M + 2;
  const tokens = Uint32Array.from({ length: sequences }, () => 12345);
  const wantTokens = tokens.slice();
  const result = new Float64Array(M * 2);
  const rows = Array.from({ length: M }, (_, m) => {
    const temperature = pick(uniform, [0, 0.7]);
    const filter = pick(uniform, [{}, {}, { topK: 3 }, { topP: 0.5 }, { minP: 0.1 }]);
    const forced = pick(uniform, [NONE, NONE, Math.floor(uniform() * V)]);
    return { ...plain, sequence: sequences - 1 - m, temperature, forced, ...filter };
  });
  for (let m = 0; m < M; m++) {
    let sum = 0;
    let best = [-Infinity, 0];
    for (let i = m * N; i < (m + 1) * N; i++) {
      slices[i * 4 + 1] = 1 + uniform() * 1000;
      slices[i * 4 + 3] = Math.floor(uniform() * V);
      if (uniform() < 0.3) slices[i * 4 + 2] = slices[m * N * 4 + 2]!; // ties
      sum += slices[i * 4 + 1]! * Math.exp(slices[i * 4]!);
      const [score, token] = [slices[i * 4 + 2]!, slices[i * 4 + 3]!];
      if (score > best[0]! || (score === best[0] && token < best[1]!)) best = [score, token];
    }
    const { temperature, topK, topP, minP, forced, sequence } = rows[m]!;
    const isFiltered = temperature > 0 && (topK > 0 || topP < 1 || minP > 0);
    const token = forced !== NONE ? forced : isFiltered ? picks[m]! : best[1]!;
    if (forced === NONE) wantTokens[sequence] = token;
    result[m * 2] = asFloat(token);
    result[m * 2 + 1] = logits[m * V + token]! - Math.log(sum);
  }
  return {
    label: `N ${N} M ${M} V ${V} WG ${WG} scale ${scale}`,
    constants: { WG },
    params: { vocabulary: V, sliceCount: N },
    grid: [M, 1, 1] as const,
    buffers: { logits, settings: packSettings(rows), slices, picks, result: new Uint32Array(M * 2 + 4), tokens },
    want: { result, tokens: wantTokens },
    terms: N,
    ulps: 64, // exp: 3 + 2·|x| ULP, weighted with e^x; log
    magnitude: Math.max(1, 2 * scale + Math.log(1000 * N)),
  };
}

export default spec({
  kernel: sample_merge,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(5, true),
  mutants: [
    ["first of the ties", "b.w < a.w", "b.w > a.w"],
    ["filter forgotten", "if (is_filtered(row)) { token = picks[row]; }", ""],
    ["forced token embedded", "if (forced == NONE) { tokens", "if (true) { tokens"],
    ["sum not rescaled", "b.y * exp(b.x - top)", "b.y"],
  ],
});

import { sample_slices } from "../../../src/gpu/kernels.gen.ts";
import { drawn, finite, isClear, LOWEST, packSettings, plain, type RowSettings } from "../sample_reference.ts";
import { floats, pick, random, spec } from "../spec.ts";

/** Some equal values, NaN and infinities among them. */
function spoil(uniform: () => number, logits: Float32Array): void {
  if (uniform() < 0.3) for (let i = 0; i < logits.length; i++) logits[i] = Math.sign(logits[i]!);
  for (const value of [NaN, -Infinity, logits[0]!, logits[0]!, Infinity]) {
    if (uniform() < 0.3) logits[Math.floor(uniform() * logits.length)] = value;
  }
  if (uniform() < 0.05) logits.fill(NaN);
}

/** A row's settings under which the reference's choice in every slice survives f32 rounding. */
function clearRow(row: RowSettings, scores: Float32Array, perSlice: number): RowSettings {
  for (let counter = row.counter; ; counter++) {
    const tried = { ...row, counter };
    let clear = true;
    for (let from = 0; from < scores.length; from += perSlice) {
      const part = Array.from({ length: Math.min(perSlice, scores.length - from) }, (_, i) => from + i);
      const { best, lead } = drawn(scores, tried, part);
      clear &&= isClear(lead, row.temperature, best) || Math.abs(best) > 1e30;
    }
    if (clear) return tried;
  }
}

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  // SwiftShader takes a second to compile a combination and forgets the last but one.
  const [LANES, STEPS] = tiny ? ([4, 2] as const) : seed < 32 ? ([16, 64] as const) : ([64, 16] as const);
  const perSlice = LANES * STEPS;
  const V = tiny ? 11 : pick(uniform, [1, 2, LANES - 1, LANES + 1, perSlice, perSlice + 1, 2 * perSlice - 1, 1009]);
  const M = tiny ? 2 : pick(uniform, [1, 2, 5]);
  const N = Math.ceil(V / perSlice);
  const scale = pick(uniform, [1e-4, 1, 20, 1e4]);
  const logits = floats(uniform, M * V, scale);
  spoil(uniform, logits);
  const adjusted = uniform() < 0.5;
  const scores = adjusted ? floats(uniform, M * V, scale) : logits.slice();
  const rows = Array.from({ length: M }, (_, m) => {
    const temperature = Math.fround(pick(uniform, [0, 0, 1e-3, 0.7, 1, 3]));
    const row = { ...plain, temperature, seed: Math.floor(uniform() * 2 ** 32), counter: m * 1000 + seed };
    return clearRow(row, scores.subarray(m * V, (m + 1) * V), perSlice);
  });
  const slices = new Float64Array(M * N * 4);
  const peaks = new Float64Array(M * N * LANES).fill(LOWEST);
  let magnitude = perSlice;
  for (let m = 0; m < M; m++) {
    const own = scores.subarray(m * V, (m + 1) * V);
    for (let i = 0; i < V; i++) {
      const at = (m * N + Math.floor(i / perSlice)) * LANES + (i % LANES);
      peaks[at] = Math.max(peaks[at]!, finite(own[i]!));
    }
    for (let slice = 0; slice < N; slice++) {
      const ids = Array.from({ length: Math.min(perSlice, V - slice * perSlice) }, (_, i) => slice * perSlice + i);
      const raw = ids.map((i) => finite(logits[m * V + i]!));
      const top = Math.max(...raw);
      const { token, best } = drawn(own, rows[m]!, ids);
      slices.set([top, raw.reduce((sum, v) => sum + Math.exp(v - top), 0), best, token], (m * N + slice) * 4);
      for (const value of [top, best]) if (Math.abs(value) < 1e30) magnitude = Math.max(magnitude, Math.abs(value));
    }
  }
  return {
    label: `V ${V} M ${M} LANES ${LANES} STEPS ${STEPS} scale ${scale} adjusted ${adjusted}`,
    constants: { LANES, STEPS },
    params: { vocabulary: V },
    grid: [N, M, 1] as const,
    buffers: {
      logits,
      scores,
      settings: packSettings(rows),
      slices: new Float32Array(M * N * 4 + 3).fill(7),
      peaks: new Float32Array(M * N * LANES + 3).fill(7),
    },
    want: { slices, peaks },
    terms: perSlice,
    ulps: 64, // exp: 3 + 2·|x| ULP, weighted with e^x; log twice
    magnitude,
  };
}

export default spec({
  kernel: sample_slices,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(5, true),
  mutants: [
    ["the other id on ties", "b.w < a.w", "b.w > a.w"],
    ["noise of the next step", "counter + 0x9e3779b9u", "counter + 0x9e3779bau"],
    ["end of the row ignored", "min((wg.x + 1u) * LANES * STEPS, params.vocabulary)", "(wg.x + 1u) * LANES * STEPS"],
    ["NaN let in", "return LOWEST;", "return value;"],
  ],
});

import { ceilDiv } from "../../../src/errors.ts";
import { attn_weights_back } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 4 : pick(uniform, [32, 64]);
  const T = tiny ? 5 : pick(uniform, [1, 2, 7, 33, 64, 65, 130]);
  const heads = pick(uniform, [1, 3]);
  const head = Math.floor(uniform() * heads);
  const window = pick(uniform, [0, 0, 1, 3, 16, 200]);
  const scale = Math.fround(1 / Math.sqrt(pick(uniform, [8, 64])));
  const scores = floats(uniform, T * T, 4);
  const gradients = floats(uniform, T * T);
  const sums = floats(uniform, T * heads, 2).fill(Number.NaN);
  const deltas = floats(uniform, T * heads).fill(Number.NaN);
  const padded = (data: Float32Array) => Float32Array.from([...data, 7, 7, 7]);
  for (let t = 0; t < T; t++) {
    sums[t * heads + head] = 1 + 2 * uniform();
    deltas[t * heads + head] = 2 * uniform() - 1;
  }
  const wantWeights = new Float64Array(T * T);
  const wantScores = new Float64Array(T * T);
  for (let s = 0; s < T; s++)
    for (let t = 0; t < T; t++) {
      const at = s * T + t;
      if (s > t || (window > 0 && t - s >= window)) {
        scores[at] = Number.NaN;
        continue;
      }
      wantWeights[at] = Math.exp(scale * scores[at]! - sums[t * heads + head]!);
      wantScores[at] = wantWeights[at]! * (gradients[at]! - deltas[t * heads + head]!) * scale;
    }
  return {
    label: `T ${T} head ${head} of ${heads} window ${window} WG ${WG}`,
    constants: { WG },
    params: { rows: T, heads, head, window, scale },
    grid: [ceilDiv(T, WG), T, 1] as const,
    buffers: { weights: padded(scores), scores: padded(gradients), sums, deltas },
    want: { weights: wantWeights, scores: wantScores },
    terms: 1,
    ulps: 16, // exp: 3 + 2·|x| ULP
    magnitude: 4,
  };
}

export default spec({
  kernel: attn_weights_back,
  cases: 60,
  make: (seed) => make(seed),
  race: () => make(3, true),
  mutants: [
    ["sees later tokens", "key > row || ", ""],
    ["one too many in the window", "row - key >= params.window", "row - key > params.window"],
    ["delta forgotten", "(scores[at] - deltas[place])", "scores[at]"],
    ["threads past the row", "if (row >= params.rows) { return; }", ""],
  ],
});

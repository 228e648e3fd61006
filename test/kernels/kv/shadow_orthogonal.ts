import { shadow_orthogonal } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec, type Verdict } from "../spec.ts";

/** Gram–Schmidt in float64: columns of `a` [D][M] as orthonormal ones, and how long each was without the others. */
function orthogonalise(a: Float64Array, D: number, M: number) {
  const q = a.slice();
  const lengths = new Float64Array(M);
  const dot = (i: number, j: number) => {
    let sum = 0;
    for (let k = 0; k < D; k++) sum += q[k * M + i]! * q[k * M + j]!;
    return sum;
  };
  for (let j = 0; j < M; j++) {
    for (let i = 0; i < 2 * j; i++) {
      const along = dot(i % j, j);
      for (let k = 0; k < D; k++) q[k * M + j]! -= along * q[k * M + (i % j)]!;
    }
    lengths[j] = Math.sqrt(dot(j, j));
    for (let k = 0; k < D; k++) q[k * M + j]! *= lengths[j]! > 0 ? 1 / lengths[j]! : 0;
  }
  return { q, lengths };
}

/**
 * A wide spectrum: the columns' own parts fall by up to 1e5. An f32 column errs by 2⁻²⁴ of what it was before the others
 * were taken off, so its direction by as much more as its own part is shorter.
 */
function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const [D, M] = tiny ? ([5, 4] as const) : ([[24, 16], [8, 8], [33, 4], [130, 20]] as const)[seed % 4]!; // prettier-ignore
  const WG = tiny ? 4 : [16, 64][Math.floor(seed / 4) % 2]!;
  const tokens = pick(uniform, [1, 33, 4096]);
  const fall = 10 ** (-pick(uniform, [0, 2, 5]) / M);
  const basis = orthogonalise(Float64Array.from(floats(uniform, D * M)), D, M).q;
  const zero = uniform() < 0.2 ? M - 1 : -1;
  const gram = floats(uniform, (D + 1) * D, tokens);
  const y = new Float32Array((D + 1) * M);
  for (let j = 0; j < M; j++) {
    y[D * M + j] = j === zero ? 0 : tokens * (uniform() - 0.5);
    for (let k = 0; k < D; k++) {
      let value = 0;
      for (let i = 0; i <= j; i++) value += basis[k * M + i]! * fall ** i * (i === j ? 1 : 0.5);
      y[k * M + j] = j === zero ? 0 : tokens * value + (gram[D * D + k]! * y[D * M + j]!) / tokens;
    }
  }
  const taken = Float64Array.from({ length: D * M }, (_, at) => {
    const j = at % M;
    return y[at]! - gram[D * D + Math.floor(at / M)]! * (y[D * M + j]! / tokens);
  });
  const { q: wanted, lengths } = orthogonalise(taken, D, M);
  const size = Math.max(...y.map(Math.abs)) * Math.sqrt(D);
  const errors = lengths.map((length) => (8 * Math.sqrt(D) * M * 2 ** -24 * size) / length);
  const floatsOf = (words: Uint32Array) => new Float32Array(words.buffer, words.byteOffset, words.length);
  const judgeBasis: Verdict = (words) => {
    const got = floatsOf(words);
    for (let j = 0; j < M; j++) {
      // Earlier columns' errors come in through their share of this one.
      const allowed = errors.subarray(0, j + 1).reduce((sum, error) => sum + error, 0);
      for (let k = 0; k < D; k++) {
        const off = Math.abs(got[k * M + j]! - (j === zero ? 0 : wanted[k * M + j]!));
        if (!(off <= (j === zero ? 0 : allowed))) return `[${k}, ${j}] is off by ${off}, want ${allowed}`;
      }
      if (j === zero) continue;
      for (let i = 0; i <= j; i++) {
        let product = 0;
        for (let k = 0; k < D; k++) product += got[k * M + i]! * got[k * M + j]!;
        const off = Math.abs(product - (i === j ? 1 : 0));
        if (!(off <= 8 * Math.sqrt(D) * 2 ** -23)) return `columns ${i} and ${j}: product ${product}`;
      }
    }
    return null;
  };
  const judgeWeights: Verdict = (words) => {
    for (const [j, got] of floatsOf(words).subarray(0, M).entries()) {
      const want = j === zero ? 0 : Math.sqrt(lengths[j]! / tokens);
      if (!(Math.abs(got - want) <= (j === zero ? 0 : want * (errors[j]! + 2 ** -22))))
        return `[${j}] = ${got}, want ${want}`;
    }
    return null;
  };
  return {
    label: `${D}×${M} tokens ${tokens} fall ${fall} WG ${WG}`,
    constants: { WG, D, M },
    params: { tokens },
    grid: [1, 1, 1] as const,
    buffers: { gram, y, q: new Float32Array(D * M).fill(Number.NaN), sigma: new Float32Array(M).fill(Number.NaN) },
    want: { q: judgeBasis, sigma: judgeWeights },
    terms: D,
  };
}

export default spec({
  kernel: shadow_orthogonal,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(0, true),
  mutants: [
    ["the mean stays in", "- gram[D * D + k] * along", ""],
    ["columns once", "turn < 2u", "turn < 1u"],
    ["not all earlier columns", "i < j; i += WG", "i + 1u < j; i += WG"],
    ["weights of sums", "sqrt(sqrt(square) / params.tokens)", "sqrt(square) / params.tokens"],
  ],
});

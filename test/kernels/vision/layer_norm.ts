import { layer_norm } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 8 : pick(uniform, [4, 32, 64]);
  const D = tiny ? 44 : 4 * pick(uniform, [1, 2, 3, WG / 4, WG - 1, WG, WG + 1, 2 * WG + 3, 48]);
  const T = tiny ? 3 : pick(uniform, [1, 2, 3, 7]);
  const size = 10 ** pick(uniform, [-4, -1, 0, 2]);
  const away = size * pick(uniform, [0, 0, 30]); // rows may lie far from zero
  const x = floats(uniform, T * D, size).map((value) => value + away);
  const [weight, bias] = [floats(uniform, D, 2), floats(uniform, D)];
  const eps = Math.fround(1e-6);
  const want = new Float64Array(T * D);
  for (let t = 0; t < T; t++) {
    const row = Array.from(x.subarray(t * D, (t + 1) * D));
    const mean = row.reduce((sum, value) => sum + value, 0) / D;
    const scale = 1 / Math.sqrt(row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / D + eps);
    for (let i = 0; i < D; i++) want[t * D + i] = (row[i]! - mean) * scale * weight[i]! + bias[i]!;
  }
  return {
    label: `T ${T} D ${D} WG ${WG} size ${size} away ${away}`,
    constants: { WG, D },
    params: { eps },
    grid: [T, 1, 1] as const,
    buffers: { x, weight, bias, y: new Float32Array(T * D + 4).fill(7) },
    want: { y: want },
    terms: D,
    ulps: 6, // inverseSqrt: 2 ULP
    magnitude: (2 * (size + away)) / Math.min(size, 1) + 3,
  };
}

export default spec({
  kernel: layer_norm,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(5, true),
  mutants: [
    ["mean left in", "(x[start + i] - mean) * scale", "x[start + i] * scale"],
    ["missing epsilon", "f32(D) + params.eps", "f32(D)"],
    ["bias forgotten", " + bias[i]", ""],
    ["stripe off by one", "i < width; i += WG) { y", "i + 1u < width; i += WG) { y"],
  ],
});

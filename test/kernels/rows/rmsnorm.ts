import { rmsnorm } from "../../../src/gpu/kernels.gen.ts";
import { floats, pick, random, spec } from "../spec.ts";

function make(seed: number, tiny = false) {
  const uniform = random(seed);
  const WG = tiny ? 8 : pick(uniform, [4, 32, 64, 128]);
  const D = tiny ? 44 : 4 * pick(uniform, [1, 2, 3, WG / 4, WG - 1, WG, WG + 1, 2 * WG + 3, 48, 144, 175]);
  const T = tiny ? 3 : pick(uniform, [1, 2, 3, 7]);
  const useRows = pick(uniform, [0, 1]);
  const M = useRows ? pick(uniform, [1, 2, 5]) : T;
  const x = floats(uniform, T * D, 10 ** pick(uniform, [-4, -1, 0, 2, 4]));
  const rows = Uint32Array.from({ length: M }, () => Math.floor(uniform() * T));
  const weight = floats(uniform, D, 2);
  const eps = Math.fround(1e-5);
  const ADD = pick(uniform, [0, 0, 1]);
  const before = floats(uniform, M * D, 3);
  const want = new Float64Array(M * D);
  for (let i = 0; i < M; i++) {
    const row = x.subarray((useRows ? rows[i]! : i) * D).subarray(0, D);
    const scale = 1 / Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / D + eps);
    for (let j = 0; j < D; j++) want[i * D + j] = ADD * before[i * D + j]! + row[j]! * scale * weight[j]!;
  }
  return {
    label: `T ${T} D ${D} M ${M} WG ${WG} useRows ${useRows} ADD ${ADD}`,
    constants: { WG, D, ADD },
    params: { useRows, eps },
    grid: [M, 1, 1] as const,
    buffers: { x, rows, weight, y: Float32Array.from([...before, 7, 7, 7, 7]) },
    want: { y: want },
    terms: D,
    ulps: 4, // inverseSqrt: 2 ULP, two products
  };
}

export default spec({
  kernel: rmsnorm,
  cases: 48,
  make: (seed) => make(seed),
  race: () => make(5, true),
  mutants: [
    ["missing epsilon", "/ f32(D) + params.eps", "/ f32(D)"],
    ["ignores rows", "row = rows[wg.x];", "row = wg.x;"],
    ["stripe off by one", "if (i >= width)", "if (i + 1u >= width)"],
    ["overwrites", "y[wg.x * width + i] += value", "y[wg.x * width + i] = value"],
  ],
});
